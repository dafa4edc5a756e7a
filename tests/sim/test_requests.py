"""What people do to a run: requests typed elsewhere, a second start, signals; and how they see that it lives."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import GateRefused, Interrupted, LockHeld, Paused
from tests.sim import fleet
from tests.sim.memory_requests import MemoryRequestBox
from tests.sim.pilot import BOB, Pilot, Watch, asked, at_rest, during, entered, gone_on, universe
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))
SOURCE_ALONE = {"payment-service": 100}


def during_pause(world: Universe, *verbs: str) -> Watch:
    """Ask, one after the other, while a human is waited for."""
    left = list(verbs)

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.PAUSED and left:
            asked(world, left.pop(0))

    return watch


def replies(world: Universe) -> list[tuple[bool, str]]:
    box = MemoryRequestBox(world.remote)
    found = [box.answer(fleet.GROUP, f"r{number}") for number in range(20)]
    return [(one.accepted, one.text) for one in found if one is not None]


def test_a_promote_typed_elsewhere_is_recorded_answered_and_done() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = gone_on(world, during_pause(world, "promote"), Wishes())
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)
    assert replies(world) == [(True, "promoting")]
    taken = requests(world)
    assert [(one["verb"], one["by"], one["accepted"]) for one in taken] == [("promote", "carol@three", "true")]


def requests(world: Universe) -> list[dict[str, str]]:
    pilot = Pilot(world)
    pilot.session.standing()
    return [dict(one.data) for one in pilot.session.journal.records if one.kind is Kind.REQUEST]


@pytest.mark.parametrize("verb", ["abort", "pause"])
def test_a_stop_in_the_canary_brings_the_traffic_back_and_waits(verb: str) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = gone_on(world, during("traffic-canary.watch-90", lambda engine: ask(world, verb)))
    assert isinstance(outcome.error, Paused), outcome
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    assert Pilot(world, BOB).resume().error is None


def ask(world: Universe, verb: str) -> None:
    asked(world, verb)


def test_a_rollback_typed_elsewhere_is_done_by_the_holder() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = gone_on(world, during_pause(world, "rollback"), Wishes())
    assert outcome.code == 6
    at_rest(world, Colour.BLUE)


# Which gate each state waits at, and what the holder answers there.
_WAITS = {
    State.PROVISIONING: "provisioning.infrastructure",
    State.BOOTSTRAPPING: "bootstrapping.sync",
    State.MESH_LINKING: "mesh-linking.links",
    State.DATA_SYNCING: "data-syncing.lag",
    State.TRAFFIC_CANARY: "traffic-canary.watch-10",
    State.SWITCHOVER_LOCKED: "switchover-locked.flux-back",
    State.PROMOTED: "promoted.dns",
    State.DRAINING: "draining.external-dns-off",
}
_BEFORE = {"promote": False, "rollback": True, "abort": True, "pause": True}
_ANSWERS = {
    **dict.fromkeys(_WAITS, _BEFORE),
    State.SWITCHOVER_LOCKED: {"promote": False, "rollback": False, "abort": False, "pause": False},
    State.PROMOTED: {"promote": False, "rollback": True, "abort": False, "pause": True},
    State.DRAINING: {"promote": False, "rollback": False, "abort": False, "pause": True},
}


@pytest.mark.parametrize(("state", "verb"), [(state, verb) for state in _WAITS for verb in _BEFORE if state is not State.PROVISIONING])
def test_each_request_is_accepted_or_refused_as_the_state_allows(state: State, verb: str) -> None:
    world = entered(state, FAST)
    pilot = Pilot(world)
    posted = [False]

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.WAIT and progress.step == _WAITS[state] and not posted[0]:
            posted[0] = True
            asked(world, verb)
        if replies(world):
            engine.lookout.stop.set(15)

    pilot.watch = watch
    outcome = pilot.resume()
    assert posted[0], outcome
    assert [accepted for accepted, _ in replies(world)] == [_ANSWERS[state][verb]]
    judged = (state, verb) == (State.PROMOTED, "rollback")
    assert [one["accepted"] for one in requests(world)] == [*(["to be judged"] if judged else []), str(_ANSWERS[state][verb]).lower()]
    if not _ANSWERS[state][verb]:
        assert replies(world)[0][1].startswith("refused")


def test_nothing_is_promoted_twice_and_a_request_is_never_done_again() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    asked(world, "promote")
    outcome = gone_on(world, during_pause(world, "promote"), Wishes())
    assert outcome.error is None
    assert replies(world)[0] == (False, "refused: in TRAFFIC_CANARY nothing waits for a promote")
    assert replies(world)[1] == (True, "promoting")


def test_a_second_start_is_told_who_holds_the_group() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    with pytest.raises(LockHeld, match="held by ann@one"):
        Pilot(world, BOB).start()


def test_a_resume_elsewhere_needs_the_locks_id() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    outcome = Pilot(world, BOB).resume(take_over="0123456789abcdef")
    assert outcome.code == 4
    lock = Pilot(world).session.standing().lock
    assert lock is not None
    assert Pilot(world, BOB).resume(take_over=lock.id).error is None


def test_where_no_rotation_is_open_there_is_nothing_to_resume() -> None:
    outcome = Pilot(universe(FAST)).resume()
    assert isinstance(outcome.error, GateRefused)


# Signals


@pytest.mark.parametrize("number", [1, 2, 15])
def test_a_signal_ends_the_run_at_a_safe_point_with_its_own_code(number: int) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = gone_on(world, during("traffic-canary.watch-10", lambda engine: engine.lookout.stop.set(number)))
    assert isinstance(outcome.error, Interrupted)
    assert outcome.code == 128 + number
    assert outcome.standing.lock is None
    assert Pilot(world, BOB).resume().error is None


@pytest.mark.parametrize("state", [state for state in _WAITS if state not in (State.SWITCHOVER_LOCKED, State.PROVISIONING)])
def test_after_a_signal_in_any_state_a_colleague_goes_on(state: State) -> None:
    world = entered(state, FAST)
    outcome = gone_on(world, during(_WAITS[state], lambda engine: engine.lookout.stop.set(15)))
    assert (outcome.code, outcome.standing.state) == (143, state)
    assert Pilot(world, BOB).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_signal_after_the_switchovers_first_effect_waits_for_its_end() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.step == "switchover-locked.hand-over" and progress.mark is Mark.BEGIN:
            engine.lookout.stop.set(15)

    outcome = gone_on(world, watch)
    assert (outcome.code, outcome.standing.state) == (143, State.PROMOTED)
    assert world.master_in_git() is Colour.GREEN
    assert world.runs_exclusive(Colour.GREEN)


def test_a_signal_while_what_runs_only_once_stops_starts_it_again_at_the_source() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    outcome = gone_on(world, during("switchover-locked.stop-active-only", lambda engine: engine.lookout.stop.set(2)))
    assert (outcome.code, outcome.standing.state) == (130, State.TRAFFIC_CANARY)
    assert world.runs_exclusive(Colour.BLUE)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    assert Pilot(world, BOB).resume().error is None


# The heartbeat


def test_the_holder_is_seen_alive_while_it_waits() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.clock.after(100, lambda: ask(world, "abort"))
    gone_on(world, wishes=Wishes())
    pilot = Pilot(world)
    pilot.session.standing()
    beats = [one for one in pilot.session.journal.records if one.kind is Kind.HEARTBEAT]
    assert len(beats) >= 8
    assert "waits for 'bennu rotate promote'; the monitors go on" in [one.data["awaiting"] for one in beats]


def test_a_switchover_that_is_refused_goes_back_to_the_canary_and_needs_a_new_promote() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    server = world.servers[Colour.GREEN]

    def refused(engine: Engine, progress: Progress) -> None:
        asking(engine, progress)
        server.knobs.read_only_replica = progress.mark is not Mark.PAUSED and server.knobs.read_only_replica

    asking = during_pause(world, "promote")
    outcome = gone_on(world, refused, Wishes())
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert "replica-read-only" in str(outcome.error)
    server.knobs.read_only_replica = True
    again = gone_on(world, during_pause(world, "abort"), Wishes())
    assert isinstance(again.error, Paused), again
    assert world.master_in_git() is Colour.BLUE
