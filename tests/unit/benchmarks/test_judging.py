"""What the benchmarks tell from ledgers and journals, on ledgers written by hand."""

from benchmarks.judge import Ledger
from benchmarks.lab_rotations import Seen, observed, rendered
from benchmarks.switchover import explained
from bennu.core.standing import Span, Standing
from bennu.core.states import State

MS = 1_000_000
OLD, NEW = 7001, 7002


def ledger(*entries: tuple[int, int]) -> Ledger:
    """From (ms, port)."""
    return Ledger(0, [at * MS for at, _ in entries], list(range(len(entries))), [port for _, port in entries])


def test_a_crossing_is_the_last_word_of_the_old_master_and_the_first_of_the_new_one() -> None:
    seen = ledger((10, OLD), (20, OLD), (27, NEW), (30, NEW))
    assert seen.crossing(0, 100 * MS) == (20 * MS, 27 * MS)
    assert seen.hand_over_ms(0, 100 * MS) == 7


def test_a_client_that_stays_at_one_master_has_crossed_nothing() -> None:
    seen = ledger((10, OLD), (20, OLD))
    assert seen.crossing(0, 100 * MS) is None
    assert seen.hand_over_ms(0, 100 * MS) is None


def test_steps_and_clients_count_from_the_pause() -> None:
    said = {
        "steps": [
            ["source.observe", 5 * MS, 1.0, 0.0],
            ["source.pause", 21 * MS, 0.5, 0.0],
            ["source.fence", 22 * MS, 3.0, 0.1],
            ["source.attach", 28 * MS, 1.0, 0.0],
        ],
        "pause.ms": "6.0",
        "told": ["writes were paused for 6.0 ms"],
    }
    found = explained(said, [(20 * MS, 27 * MS), None, (21 * MS, 26 * MS)])
    assert found["steps"] == [["source.pause", 0.0, 0.5, 0.0], ["source.fence", 1.0, 3.0, 0.1]]
    assert found["clients"] == [(-1.0, 6.0), (0.0, 5.0)]
    assert found["client_ms"] == 7.0


def span(state: State, begin: int, end: int) -> Span:
    """Seconds of one minute."""
    return Span(state, f"1970-01-01T00:00:{begin:02}+00:00", f"1970-01-01T00:00:{end:02}+00:00")


STANDING = Standing(
    rotation="prod-us-east-1-1",
    spans=(span(State.TRAFFIC_CANARY, 0, 20), span(State.SWITCHOVER_LOCKED, 20, 24), span(State.PROMOTED, 24, 30)),
    facts={"intent.at": "1970-01-01T00:00:21+00:00", "pause.ms": "9.5", "pause.predicted_ms": "60.0"},
)


def paid(at: float, ms: float) -> dict[str, object]:
    return {"id": f"{at}", "t": at, "ms": ms}


def test_the_pause_of_a_rotation_is_the_longest_wait_in_s6_and_noise_that_of_as_long_before() -> None:
    lines = [paid(1.0, 900.0), paid(17.0, 30.0), paid(19.9, 5.0), paid(21.6, 80.0), paid(23.0, 4.0), paid(25.0, 700.0)]
    found = observed(lines, STANDING)
    assert (found["pause_ms"], found["noise_ms"]) == (80.0, 30.0)
    assert found["begun_after_intent_s"] == 0.52
    assert (found["measured_ms"], found["predicted_ms"]) == (9.5, 60.0)
    assert found["states"] == {"S5": 20.0, "S6": 4.0, "S7": 6.0}


def rotation(pause_ms: float, *, lost: int = 0) -> Seen:
    """One of thirty."""
    return Seen("r", "red", "blue", 20.0, 4.0, pause_ms, 0.5, 20.0, 3.0, 20.0, 20.0, 200, {}, 60.0, 9.0, 1000, lost, ())


def test_one_rotation_above_the_aim_out_of_thirty_misses_it() -> None:
    quick = [rotation(90.0)] * 29
    assert rendered([*quick, rotation(250.0)], "", short=True)["aim"] == {"p99_of_pause_ms": 250.0, "met": True}
    assert rendered([*quick, rotation(251.0)], "", short=True)["aim"] == {"p99_of_pause_ms": 250.0, "met": False}


def test_a_loss_that_any_audit_found_is_told_at_the_end() -> None:
    assert rendered([rotation(90.0, lost=2), rotation(90.0)], "", short=True)["lost"] == 2
