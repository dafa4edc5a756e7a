"""Where a group stands, told from its records alone: a rotation's whole life, and each way in which it can go wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind, Record, parse_all, rendered
from bennu.core.standing import Lock, Span, Standing, folded
from bennu.core.states import Direction, State, Status
from bennu.errors import DurableStateError


class Pen:
    """Writes records as the engine does: time and nonce rise, state, status and direction are carried on unless a record says other ones."""

    def __init__(self, rotation: str = "prod-us-east-1-1", holder: str = "ada@laptop") -> None:
        self.rotation, self.holder, self.epoch = rotation, holder, 1
        self.state, self.status, self.direction = State.IDLE_STABLE, Status.RUNNING, Direction.FORWARD
        self.records: list[Record] = []

    def write(self, kind: Kind, step: str = "", data: dict[str, str] | None = None) -> Record:
        tick = len(self.records)
        record = Record(kind, self.rotation, self.epoch, f"T{tick:03}", f"nonce-{tick}", self.holder, self.state, self.status, self.direction, step, data or {})
        self.records.append(record)
        return record

    def open(self, source: str = "blue", target: str = "green", **data: str) -> None:
        self.state, self.status, self.direction = State.IDLE_STABLE, Status.RUNNING, Direction.FORWARD
        self.write(Kind.LOCK, data={"pid": "17"})
        self.write(Kind.BEGIN, data={"source": source, "target": target, **data})

    def enter(self, state: State, event: str = "") -> None:
        self.state = state
        self.status = Status.DONE if state is State.IDLE_STABLE else Status.RUNNING
        self.write(Kind.STATE, data={"event": event})

    def step(self, name: str, **facts: str) -> None:
        self.write(Kind.INTENT, name)
        self.write(Kind.DONE, name, facts)

    def note(self, status: Status, reason: str = "", direction: Direction | None = None) -> None:
        self.status, self.direction = status, direction or self.direction
        self.write(Kind.STATUS, data={"reason": reason})

    def take_over(self, holder: str) -> Record:
        self.holder, self.epoch = holder, self.epoch + 1
        return self.write(Kind.LOCK, data={"pid": "23"})

    def standing(self) -> Standing:
        return folded(self.records)


FORWARD = (
    State.PROVISIONING,
    State.BOOTSTRAPPING,
    State.MESH_LINKING,
    State.DATA_SYNCING,
    State.TRAFFIC_CANARY,
    State.SWITCHOVER_LOCKED,
    State.PROMOTED,
    State.DRAINING,
)


def _until(state: State, pen: Pen | None = None) -> Pen:
    pen = pen or Pen()
    pen.open(ticket="CHG1", **{"option.adopt": "true"})
    for one in FORWARD:
        pen.enter(one)
        if one is state:
            return pen
        pen.step(f"{one.value.lower().replace('_', '-')}.work")
    return pen


def test_a_group_without_records_stands_idle_and_is_nobodys() -> None:
    standing = folded([])
    assert standing == Standing()
    assert not standing.open
    assert (standing.state, standing.status, standing.rotation, standing.lock) == (State.IDLE_STABLE, Status.DONE, "", None)
    assert (standing.number, standing.epoch) == (0, 0)


def test_a_rotation_that_was_opened_is_known_by_all_that_its_first_records_say() -> None:
    pen = Pen("prod-us-east-1-12")
    pen.open(ticket="CHG0000001", **{"option.keep-source": "true"})
    standing = pen.standing()
    assert (standing.rotation, standing.number) == ("prod-us-east-1-12", 12)
    assert (standing.source, standing.target) == (Colour.BLUE, Colour.GREEN)
    assert (standing.ticket, standing.started_by, standing.begun) == ("CHG0000001", "ada@laptop", "T001")
    assert standing.options == {"keep-source": "true"}
    assert standing.lock == Lock("nonce-0", "ada@laptop", "T000", 1, pid="17")
    assert standing.heartbeat == "T001", "whatever a holder writes proves that it lives"
    assert not standing.open, "it opens with its first state"


@pytest.mark.parametrize("state", FORWARD)
def test_a_rotation_is_open_from_its_first_state_to_its_last(state: State) -> None:
    standing = _until(state).standing()
    assert standing.open
    assert (standing.state, standing.status, standing.direction) == (state, Status.RUNNING, Direction.FORWARD)
    assert standing.spans[-1] == Span(state, standing.spans[-1].begin)
    assert [span.state for span in standing.spans] == list(FORWARD[: FORWARD.index(state) + 1])
    assert all(span.end == following.begin for span, following in zip(standing.spans, standing.spans[1:], strict=False))


def test_a_whole_rotation_ends_idle_with_its_end_told_and_its_lock_gone() -> None:
    pen = _until(State.DRAINING)
    pen.step("draining.destroy")
    pen.enter(State.IDLE_STABLE, "cleanup-complete")
    pen.write(Kind.RELEASE)
    standing = pen.standing()
    assert not standing.open
    assert (standing.state, standing.status, standing.lock) == (State.IDLE_STABLE, Status.DONE, None)
    assert standing.ended == standing.spans[-1].end
    assert len(standing.spans) == 8
    assert all(span.end for span in standing.spans)


def test_steps_are_done_when_they_were_seen_to_hold_and_not_when_they_were_meant() -> None:
    pen = _until(State.PROVISIONING)
    pen.write(Kind.INTENT, "provisioning.up")
    assert "provisioning.up" not in pen.standing().done
    assert pen.standing().intent == "provisioning.up"
    pen.write(Kind.DONE, "provisioning.up")
    assert "provisioning.up" in pen.standing().done
    assert pen.standing().intent == ""


def test_facts_come_from_intents_ends_and_measurements_and_the_latest_stands() -> None:
    pen = _until(State.SWITCHOVER_LOCKED)
    pen.write(Kind.INTENT, "switchover-locked.hand-over", {"replid": "A", "source.run_id": "s"})
    pen.write(Kind.FACT, data={"pause_ms": "3.1"})
    pen.write(Kind.DONE, "switchover-locked.hand-over", {"replid": "B"})
    assert pen.standing().facts == {"replid": "B", "source.run_id": "s", "pause_ms": "3.1"}


def test_a_pause_and_a_failure_keep_their_reason_until_the_run_goes_on() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    pen.note(Status.PAUSED, "waits for 'bennu rotate promote'")
    assert (pen.standing().status, pen.standing().reason) == (Status.PAUSED, "waits for 'bennu rotate promote'")
    pen.note(Status.FAILED, "the gateway is down")
    assert pen.standing().reason == "the gateway is down"
    pen.note(Status.RUNNING)
    assert pen.standing().reason == ""
    pen.note(Status.PAUSED, "again")
    pen.enter(State.SWITCHOVER_LOCKED)
    assert (pen.standing().status, pen.standing().reason) == (Status.RUNNING, "")


def test_a_heartbeat_tells_that_and_what_the_holder_waits_for() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    beat = pen.write(Kind.HEARTBEAT, data={"awaiting": "the window"})
    assert (pen.standing().heartbeat, pen.standing().awaiting) == (beat.at, "the window")
    pen.enter(State.SWITCHOVER_LOCKED)
    assert pen.standing().awaiting == "", "it belonged to the state before"


def test_what_passes_by_changes_neither_state_nor_status() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    pen.note(Status.PAUSED, "waits")
    before = pen.standing()
    # A lock, a heartbeat and a request are written by whoever comes, with whatever it believes the state to be.
    pen.state, pen.status, pen.direction = State.IDLE_STABLE, Status.DONE, Direction.ROLLBACK
    for kind in (Kind.HEARTBEAT, Kind.REQUEST, Kind.LOCK, Kind.RELEASE):
        pen.write(kind)
        after = pen.standing()
        assert (after.state, after.status, after.direction, after.reason) == (before.state, before.status, before.direction, before.reason)


# Take-over


def test_a_take_over_names_the_new_holder_and_raises_the_epoch() -> None:
    pen = _until(State.DATA_SYNCING)
    done = pen.standing().done
    lock = pen.take_over("grace@desk")
    standing = pen.standing()
    assert standing.lock == Lock(lock.nonce, "grace@desk", lock.at, 2, pid="23")
    assert standing.epoch == 2
    assert standing.done == done, "what was done stays done"
    assert standing.started_by == "ada@laptop"
    assert (standing.state, standing.rotation) == (State.DATA_SYNCING, "prod-us-east-1-1")


def test_the_epoch_never_falls() -> None:
    pen = _until(State.DATA_SYNCING)
    pen.take_over("grace@desk")
    pen.epoch = 1
    pen.write(Kind.FACT)
    assert pen.standing().epoch == 2
    pen.open("green", "red")
    assert pen.standing().epoch == 2, "not by a new rotation either"


def test_a_lock_that_was_let_go_is_nobodys_until_it_is_taken() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    pen.write(Kind.RELEASE)
    assert pen.standing().lock is None
    assert pen.standing().open
    pen.take_over("ada@laptop")
    assert pen.standing().lock is not None


# Abort, rollback, reverse, cleanup


def test_an_aborted_phase_is_to_be_done_again_and_no_other() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    pen.step("traffic-canary.weight-10")
    pen.step("traffic-canary.watch-10")
    before = pen.standing().done
    pen.write(Kind.ABORTED, "traffic-canary.*", {"reason": "the gateway is down"})
    assert pen.standing().done == before - {"traffic-canary.weight-10", "traffic-canary.watch-10"}
    assert "data-syncing.work" in pen.standing().done


def test_an_aborted_step_takes_no_other_with_it_that_its_name_begins() -> None:
    pen = _until(State.TRAFFIC_CANARY)
    pen.step("traffic-canary.weight-1")
    pen.step("traffic-canary.weight-10")
    pen.write(Kind.ABORTED, "traffic-canary.weight-1")
    assert "traffic-canary.weight-1" not in pen.standing().done
    assert "traffic-canary.weight-10" in pen.standing().done


@pytest.mark.parametrize("step", ["", "*"])
def test_an_abort_of_nothing_named_undoes_nothing(step: str) -> None:
    pen = _until(State.TRAFFIC_CANARY)
    before = pen.standing().done
    pen.write(Kind.ABORTED, step)
    assert pen.standing().done == before


def test_an_abort_ends_the_intent_that_it_gave_up() -> None:
    pen = _until(State.SWITCHOVER_LOCKED)
    pen.write(Kind.INTENT, "switchover-locked.hand-over")
    pen.write(Kind.ABORTED, "switchover-locked.*")
    assert pen.standing().intent == ""


def test_an_aborted_switchover_is_back_in_the_canary_and_its_time_starts_anew() -> None:
    pen = _until(State.SWITCHOVER_LOCKED)
    pen.step("switchover-locked.precheck")
    pen.write(Kind.ABORTED, "switchover-locked.*", {"reason": "catch-up missed"})
    pen.enter(State.TRAFFIC_CANARY, "abort")
    pen.write(Kind.ABORTED, "traffic-canary.*", {"reason": "catch-up missed"})
    pen.note(Status.FAILED, "catch-up missed")
    standing = pen.standing()
    assert (standing.state, standing.status, standing.reason) == (State.TRAFFIC_CANARY, Status.FAILED, "catch-up missed")
    assert not any(step.startswith(("switchover-locked", "traffic-canary")) for step in standing.done)
    assert [span.state for span in standing.spans][-3:] == [State.TRAFFIC_CANARY, State.SWITCHOVER_LOCKED, State.TRAFFIC_CANARY]
    assert standing.spans[-1].end == ""


@pytest.mark.parametrize("state", FORWARD[:5])
def test_a_rollback_before_the_switch_ends_idle(state: State) -> None:
    pen = _until(state)
    pen.note(Status.ABORTING, "rollback", Direction.ROLLBACK)
    assert (pen.standing().status, pen.standing().direction) == (Status.ABORTING, Direction.ROLLBACK)
    assert pen.standing().open
    pen.step("rollback.destroy")
    pen.enter(State.IDLE_STABLE, "rollback")
    pen.write(Kind.RELEASE)
    standing = pen.standing()
    assert not standing.open
    assert (standing.state, standing.direction, standing.lock) == (State.IDLE_STABLE, Direction.ROLLBACK, None)
    assert "rollback.destroy" in standing.done


def test_a_rollback_that_was_cut_off_goes_on_as_one() -> None:
    pen = _until(State.MESH_LINKING)
    pen.note(Status.ABORTING, "rollback", Direction.ROLLBACK)
    pen.step("rollback.links")
    pen.take_over("grace@desk")
    standing = pen.standing()
    assert (standing.state, standing.direction) == (State.MESH_LINKING, Direction.ROLLBACK)
    assert "rollback.links" in standing.done


def test_a_reverse_switchover_does_the_switchovers_steps_a_second_time() -> None:
    pen = _until(State.PROMOTED)
    assert "switchover-locked.work" in pen.standing().done
    pen.note(Status.ABORTING, "reverse switchover", Direction.REVERSE)
    pen.write(Kind.ABORTED, "switchover-locked.*", {"reason": "reverse switchover"})
    pen.enter(State.SWITCHOVER_LOCKED, "reverse")
    standing = pen.standing()
    assert (standing.state, standing.direction) == (State.SWITCHOVER_LOCKED, Direction.REVERSE)
    assert "switchover-locked.work" not in standing.done
    assert (standing.source, standing.target) == (Colour.BLUE, Colour.GREEN), "colours stay; only the roles move"
    pen.step("switchover-locked.work")
    pen.enter(State.TRAFFIC_CANARY, "abort")
    pen.note(Status.ABORTING, "rollback after the reverse switchover", Direction.ROLLBACK)
    pen.enter(State.IDLE_STABLE, "rollback")
    assert [span.state for span in pen.standing().spans][-4:] == [State.SWITCHOVER_LOCKED, State.PROMOTED, State.SWITCHOVER_LOCKED, State.TRAFFIC_CANARY]
    assert not pen.standing().open


def test_a_kept_source_is_cleaned_up_in_a_rotation_of_its_own() -> None:
    pen = _until(State.PROMOTED)
    pen.enter(State.IDLE_STABLE, "keep-source")
    pen.write(Kind.RELEASE)
    assert pen.standing().ended
    pen.rotation = "prod-us-east-1-2"
    pen.open("blue", "green")
    pen.enter(State.DRAINING, "cleanup")
    standing = pen.standing()
    assert standing.open
    assert (standing.state, standing.number, standing.ended, standing.done) == (State.DRAINING, 2, "", frozenset())
    assert [span.state for span in standing.spans] == [State.DRAINING]


def test_a_rotation_that_is_entered_again_is_no_longer_ended() -> None:
    pen = _until(State.PROMOTED)
    pen.enter(State.IDLE_STABLE, "keep-source")
    pen.enter(State.DRAINING, "cleanup")
    assert pen.standing().ended == ""


def test_the_next_rotation_begins_with_nothing_of_the_last_but_the_epoch_and_the_lock() -> None:
    pen = _until(State.DRAINING)
    pen.write(Kind.FACT, data={"promoted.by": "request", "source.replid": "A"})
    pen.enter(State.IDLE_STABLE, "cleanup-complete")
    pen.write(Kind.RELEASE)
    pen.rotation, pen.epoch, pen.holder = "prod-us-east-1-2", 2, "grace@desk"
    pen.open("green", "red")
    standing = pen.standing()
    assert (standing.number, standing.source, standing.target) == (2, Colour.GREEN, Colour.RED)
    assert (standing.done, standing.facts, standing.spans, standing.options) == (frozenset(), {}, (), {})
    assert (standing.ticket, standing.ended, standing.reason, standing.intent, standing.awaiting) == ("", "", "", "", "")
    assert (standing.epoch, standing.started_by) == (2, "grace@desk")
    assert standing.lock is not None
    assert standing.lock.holder == "grace@desk"


@pytest.mark.parametrize(
    ("rotation", "data"),
    [
        ("prod-us-east-1-1", {}),
        ("prod-us-east-1-1", {"source": "blue"}),
        ("prod-us-east-1-1", {"source": "blue", "target": "purple"}),
        ("prod-us-east-1-x", {"source": "blue", "target": "green"}),
        ("", {"source": "blue", "target": "green"}),
    ],
)
def test_a_rotation_that_cannot_be_told_from_its_first_record_is_unreadable_state(rotation: str, data: dict[str, str]) -> None:
    pen = Pen(rotation)
    pen.write(Kind.BEGIN, data=data)
    with pytest.raises(DurableStateError) as refused:
        pen.standing()
    assert refused.value.exit_code == 9


def _lives() -> Iterator[Sequence[Record]]:
    whole = _until(State.DRAINING)
    whole.enter(State.IDLE_STABLE)
    yield [replace(one, at=f"2026-01-01T00:00:00.{tick:03}+00:00") for tick, one in enumerate(whole.records)]
    reverse = _until(State.PROMOTED)
    reverse.note(Status.ABORTING, "reverse switchover", Direction.REVERSE)
    reverse.write(Kind.ABORTED, "switchover-locked.*")
    reverse.enter(State.SWITCHOVER_LOCKED)
    reverse.take_over("grace@desk")
    reverse.enter(State.TRAFFIC_CANARY)
    reverse.enter(State.IDLE_STABLE)
    yield [replace(one, at=f"2026-01-01T00:00:00.{tick:03}+00:00") for tick, one in enumerate(reverse.records)]


@pytest.mark.parametrize("records", list(_lives()), ids=["whole", "reverse"])
def test_every_prefix_of_a_life_can_be_told_also_after_it_lay_on_disk(records: Sequence[Record]) -> None:
    for length in range(len(records) + 1):
        prefix = records[:length]
        standing = folded(prefix)
        assert folded(parse_all(rendered(prefix))) == standing
        last = next((r for r in reversed(prefix) if r.kind not in (Kind.LOCK, Kind.RELEASE, Kind.HEARTBEAT, Kind.REQUEST)), None)
        assert standing.state is (last.state if last else State.IDLE_STABLE)
