"""A Git remote that is silent for a while, outside S6: the state is held, what watches goes on, the lock is proved before anything is written, and past the limit the run says how things stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bennu.cli.driving import driven
from bennu.cli.output import Format
from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import StopFlag, Wishes
from bennu.errors import DependencyDown, Interrupted, LockLost, RolledBack
from bennu.wiring import resumed
from tests.sim.failpoints import following
from tests.sim.pilot import AUTO, BOB, POLICY, Outcome, Pilot, asked, at_rest, during, entered, gone_on, until
from tests.sim.seams import Taps
from tests.sim.test_requests import ask, replies, requests
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))
SHORT = POLICY.git_silence_s / 4
HELD = [state for state in State if state not in (State.IDLE_STABLE, State.SWITCHOVER_LOCKED)]
SOURCE_ALONE = {"payment-service": 100}


def silent_from(world: Universe, seconds: float) -> None:
    """The remote answers nobody for *seconds* from now on."""
    world.remote.down = True
    world.clock.after(seconds, lambda: setattr(world.remote, "down", False))


def lines(outcome: Outcome) -> list[str]:
    return [one.text for one in outcome.progress if one.mark is Mark.WARN]


@pytest.mark.parametrize("state", HELD)
def test_a_short_silence_ends_no_run(state: State) -> None:
    """At each second of the state's pushes behind the taking of the lock: an intent, a commit, a heartbeat, a record that a step is done."""
    silences = 0
    for number in range(2, 60, 2):
        world, seen = entered(state, FAST), [0]

        def before(call: str, world: Universe = world, seen: list[int] = seen, number: int = number) -> None:
            if call == "repository.advance":
                seen[0] += 1
                if seen[0] == number:
                    silent_from(world, SHORT)

        pilot = Pilot(world, taps=Taps(before=before))
        pilot.watch = until(following(state))
        outcome = pilot.resume()
        standing = Pilot(world).session.standing()
        assert standing.state is following(state), f"{number}: {outcome}"
        assert world.violations == []
        if seen[0] < number:
            break
        silences += 1
        assert "Git tried again for up to 20 s" in lines(outcome)[0], lines(outcome)
        assert [line.split(" after ")[0] for line in lines(outcome)[1:]] == ["Git answers again"], lines(outcome)
    assert silences > 3


def test_a_push_that_arrived_unheard_is_found_and_not_made_twice() -> None:
    for number in range(1, 30, 2):
        world, seen = entered(State.TRAFFIC_CANARY, FAST), [0]

        def before(call: str, world: Universe = world, seen: list[int] = seen, number: int = number) -> None:
            if call == "repository.advance":
                seen[0] += 1
                if seen[0] == number + 1:
                    world.remote.lost_answers, world.remote.dies_then = 1, True
                    world.clock.after(SHORT, lambda: setattr(world.remote, "down", False))

        pilot = Pilot(world, taps=Taps(before=before))
        pilot.watch = until(State.SWITCHOVER_LOCKED)
        pilot.resume()
        standing = Pilot(world).session.standing()
        assert standing.state is State.SWITCHOVER_LOCKED, f"{number}: {standing}"
        found = [one for one in pilot.session.journal.records if one.kind in (Kind.DONE, Kind.INTENT) and one.step.startswith("traffic-canary")]
        assert len({(one.kind, one.step) for one in found}) == len(found), f"{number}: {[(one.kind, one.step) for one in found]}"
        subjects = [one.commit.subject for one in world.remote.history]
        assert len(set(subjects)) == len(subjects), f"{number}: {subjects}"
        if seen[0] <= number:
            return


def test_who_took_over_during_the_silence_keeps_the_group() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    effects: list[str] = []
    stolen: list[str] = []

    def take() -> None:
        world.remote.down = False
        there = Pilot(world, BOB)
        standing = there.session.standing()
        lock.take(there.session.journal, over=standing.lock.id if standing.lock else "")
        stolen.append("taken")

    def silence(engine: Engine) -> None:
        world.remote.down = True
        world.clock.after(SHORT, take)

    taps = Taps(before=lambda call: effects.append(call) if stolen and not call.startswith(("repository", "checkpoint", "box")) else None)
    pilot = Pilot(world, taps=taps)
    pilot.watch = during("traffic-canary.watch-10", silence)
    outcome = pilot.resume()
    assert isinstance(outcome.error, LockLost), outcome
    assert "bob@two" in outcome.error.message
    assert (stolen, effects) == (["taken"], [])


def test_the_monitors_go_on_and_the_traffic_goes_back_once_git_answers() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)

    def silence(engine: Engine) -> None:
        silent_from(world, SHORT * 3)
        world.clock.after(2, lambda: world.fate.down.add(Colour.GREEN))

    outcome = gone_on(world, during("traffic-canary.watch-10", silence))
    assert outcome.code == 5, outcome
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    noticed = next(number for number, line in enumerate(lines(outcome)) if "link" in line.lower())
    assert noticed < next(number for number, line in enumerate(lines(outcome)) if "answers again" in line)


def test_past_the_limit_the_canary_says_that_nobody_watches_and_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    pilot = Pilot(world)
    begin: list[float] = []

    def silence(engine: Engine, progress: Progress) -> None:
        if progress.step == "traffic-canary.watch-10" and not begin:
            begin.append(world.clock.boot())
            world.remote.down = True

    @contextmanager
    def opening(stop: StopFlag) -> Iterator[Engine]:
        with resumed(pilot.session, AUTO, stop) as engine:
            drive = engine.drive

            def watched() -> Iterator[Progress]:
                for progress in drive():
                    silence(engine, progress)
                    yield progress

            engine.drive = watched  # type: ignore[method-assign]
            yield engine

    with pytest.raises(DependencyDown) as ended:
        driven(pilot.session, opening, Format.TEXT)
    assert ended.value.code == 8
    assert ended.value.message.startswith("Git has been silent for 20 s in TRAFFIC_CANARY: the Git remote does not answer")
    assert "the lock was not released; the weights stay as they are" in ended.value.changed
    assert "; NOBODY WATCHES the traffic at the target now: payment-service 10 %; the lock " in ended.value.changed
    assert POLICY.git_silence_s <= world.clock.boot() - begin[0] < POLICY.git_silence_s + POLICY.heartbeat_s + 3
    assert world.weights(Colour.BLUE, "payment-service") == {"payment-service": 90, "payment-service-cluster-green": 10}
    world.remote.down = False
    assert Pilot(world).session.standing().lock is not None
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_signal_ends_a_run_that_waits_for_git() -> None:
    world = entered(State.DATA_SYNCING, FAST)

    def silence(engine: Engine) -> None:
        world.remote.down = True
        world.clock.after(3, lambda: engine.lookout.stop.set(15))

    outcome = gone_on(world, during("data-syncing.lag", silence))
    assert isinstance(outcome.error, Interrupted), outcome
    world.remote.down = False
    assert Pilot(world).resume().error is None


def test_requests_of_the_time_of_silence_are_taken_up_after_it() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)

    def silence(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.PAUSED and not asked_then:
            asked_then.append(1)
            silent_from(world, SHORT)
            world.clock.after(SHORT + 0.5, lambda: ask(world, "rollback"))

    asked_then: list[int] = []
    outcome = gone_on(world, silence, Wishes())
    assert isinstance(outcome.error, RolledBack), outcome
    assert replies(world) == [(True, "rolling back to the source")]


def test_an_answer_that_does_not_get_through_is_given_again_from_the_record() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    lost: list[str] = []

    def before(call: str) -> None:
        if call == "box.reply" and not lost:
            lost.append(call)
            raise DependencyDown("the Git remote does not answer: reset")

    pilot = Pilot(world, taps=Taps(before=before))
    asked(world, "promote")
    outcome = pilot.resume()
    assert outcome.error is None, outcome
    assert replies(world) == [(False, "refused: in TRAFFIC_CANARY nothing waits for a promote")]
    assert len(requests(world)) == 1
