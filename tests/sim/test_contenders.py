"""Two holders: whoever lost the swap stops, wherever it was frozen, and changes nothing that the other has done."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.turns import Wishes
from bennu.errors import DependencyDown, LockLost
from tests.sim.failpoints import following
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, at_rest, entered, fresh_take, until
from tests.sim.seams import Killed, Taps
from tests.sim.test_take_over import signalled
from tests.sim.universe import Kit, Universe

pytestmark = pytest.mark.deep  # minutes in all

FAST = Kit(weights=(10,))
UNSTOPPED = Kit(weights=(10,), active_only=False)  # no workload is stopped first: the hand-over is the phase's first effect


def frozen_at(world: Universe, number: int, *, whole: bool) -> tuple[Outcome, list[str]]:
    """Ann is frozen just before her effect *number*; Bob takes over and goes on; then she wakes up. How she ended, and what she still did."""
    state = Pilot(world).session.standing().state
    taps = Taps()
    woken: list[int] = []

    def before(call: str) -> None:
        if len(taps.calls) == number + 1 and not woken:
            woken.append(len(taps.calls))
            world.disk(ANN.name).locks.clear()
            colleague = Pilot(world, BOB)
            if not whole:
                colleague.watch = until(following(state))
            lock = colleague.session.standing().lock
            outcome = colleague.resume(take_over=lock.id if lock else "")
            assert outcome.error is None or isinstance(outcome.error, Killed), outcome

    taps.before = before
    ann = Pilot(world, ANN, taps=taps)
    ann.watch = until(following(state))
    outcome = ann.resume()
    return outcome, taps.calls[woken[0] :] if woken else []


def effects(state: State, kit: Kit = FAST) -> list[int]:
    """The numbers of a state's effects, but for the checkpoint's writes: nobody reads those."""
    taps = Taps()
    pilot = Pilot(entered(state, kit), taps=taps)
    pilot.watch = until(following(state))
    pilot.resume()
    return [number for number, call in enumerate(taps.calls) if not call.startswith("checkpoint")]


@pytest.mark.parametrize(("state", "every"), [(State.MESH_LINKING, 3), (State.DATA_SYNCING, 3), (State.SWITCHOVER_LOCKED, 1), (State.PROMOTED, 3)])
def test_a_holder_that_wakes_up_after_a_take_over_stops(state: State, every: int) -> None:
    broken = []
    # The first takes the lock; behind the last the state is left, with nothing to take over.
    numbers = effects(state)[1:-1:every]
    for number in numbers:
        world = entered(state, FAST)
        whole = number % 7 == 0
        outcome, still_done = frozen_at(world, number, whole=whole)
        try:
            assert isinstance(outcome.error, LockLost | DependencyDown), outcome
            assert world.violations == []
            assert world.lost() == []
            if state is State.SWITCHOVER_LOCKED:
                assert world.writable() == ["green"]
                # A connection that nobody had to open again is not cut: what it may still do cuts nobody off and moves no role.
                assert not [call for call in still_done if call.endswith((".fence", ".make_master", ".attach", ".replicate"))]
            if whole:
                at_rest(world, Colour.GREEN)
        except AssertionError as error:
            broken.append(f"{number} {still_done}: {str(error)[:300]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(numbers)}", *broken])


def test_a_take_over_that_is_interrupted_at_any_effect_leaves_the_holder_before_nothing_to_do() -> None:
    broken = []
    for number in effects(State.SWITCHOVER_LOCKED, UNSTOPPED)[1:-1]:
        world, taps, ends = entered(State.SWITCHOVER_LOCKED, UNSTOPPED), Taps(), list[Outcome]()
        ann = Pilot(world, ANN, taps=taps)

        def before(call: str, world: Universe = world, taps: Taps = taps, ends: list[Outcome] = ends, number: int = number) -> None:
            if len(taps.calls) == number + 1 and not ends:
                ends.append(signalled(world))

        taps.before = before
        ann.watch = until(State.PROMOTED)
        outcome = ann.resume()
        still_done = taps.calls[number + 1 :]
        try:
            assert isinstance(outcome.error, LockLost | DependencyDown), outcome
            assert ends[0].code == 130, ends[0]
            assert (world.violations, world.lost()) == ([], [])
            assert len(world.writable()) == 1
            # Whom the pointers name accepts writes.
            assert world.pointer(Colour(world.writable()[0]))["IS_WRITE_MASTER"] == "true"
            assert not [call for call in still_done if call.endswith((".fence", ".make_master", ".attach", ".replicate"))]
            assert Pilot(world).resume().error is None
            at_rest(world, Colour.GREEN)
        except AssertionError as error:
            broken.append(f"{number} {still_done}: {str(error)[:300]}")
    assert not broken, "\n".join(broken)


def test_a_holder_that_lost_the_lock_writes_nothing_any_more() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    stolen = [False]

    def steal() -> None:
        stolen[0] = True
        world.disk(ANN.name).locks.clear()
        colleague = Pilot(world, BOB)
        colleague.watch = until(State.SWITCHOVER_LOCKED)
        lock = colleague.session.standing().lock
        colleague.resume(take_over=lock.id if lock else "")

    taps = Taps()
    ann = Pilot(world, ANN, taps=taps)
    world.clock.after(40, steal)
    outcome = ann.resume(Wishes())
    assert stolen[0]
    assert isinstance(outcome.error, LockLost), outcome
    assert outcome.code == 4
    # The heartbeat found out: its own swap is the last thing tried.
    assert taps.calls[-1] == "repository.advance"
    pilot = Pilot(world)
    pilot.session.standing()
    assert pilot.session.journal.records[-1].holder == BOB.name


def test_the_epoch_rises_with_each_taking() -> None:
    world = entered(State.MESH_LINKING, FAST)
    first = Pilot(world).session.standing().epoch
    fresh_take(world, BOB, Wishes(stop_after=State.MESH_LINKING))
    fresh_take(world, ANN, Wishes(stop_after=State.DATA_SYNCING))
    assert Pilot(world).session.standing().epoch == first + 2
