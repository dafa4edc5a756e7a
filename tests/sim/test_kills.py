"""A process that dies after any effect, of any step, leaves a world from which another one goes on: same end, one master, no acknowledged write lost.

For each state the rotation is run through that state once, and the world is copied after each effect, as ``kill -9`` would leave it (connections to Redis stay open, as
those of a laptop that lost its network do). Then each copy is taken over and run to the next state, where everything that decides how a rotation goes on must be as in
a run that nobody killed; every eighth is run to its end. What a process has read is lost with it and changes nothing, so that effects are all points that differ. Nothing
reads the checkpoint on the way, so that its own writes are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from tests.sim.pilot import ANN, BOB, Pilot, at_rest, entered, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

pytestmark = pytest.mark.deep  # minutes in all

STATES = [state for state in State if state is not State.IDLE_STABLE]
WHOLE = Kit(weights=(10, 90))
NO_REDIS = Kit(redis=False, weights=(10,))


@dataclass
class Death:
    """Where a process died, and the world that it left."""

    call: str
    world: Universe


def deaths(state: State, kit: Kit) -> list[Death]:
    """One for each effect of *state*."""
    world, found = entered(state, kit), []

    def after(call: str) -> None:
        if not call.startswith("checkpoint"):
            found.append(Death(call, left_behind(world)))

    pilot = Pilot(world, taps=Taps(after=after))
    pilot.watch = until(following(state))
    pilot.resume()
    return found


def left_behind(world: Universe) -> Universe:
    """The world without the process: the kernel lets go of its file lock."""
    copy = world.copy()
    for disk in copy.disks.values():
        disk.locks.clear()
    return copy


def following(state: State) -> State:
    """The state that comes after, IDLE_STABLE after the last."""
    return list(State)[(state.number + 1) % 9]


def shape(world: Universe) -> dict[str, object]:
    """What decides how a rotation goes on."""
    up = [colour for colour, cluster in world.clusters.items() if cluster.up]
    standing = Pilot(world).session.standing()
    return {
        "files": dict(world.tree),
        "up": up,
        "masters": world.writable(),
        "replicas": [colour for colour, server in world.servers.items() if server.state.synced],
        "pointers": [world.pointer(colour) for colour in up],
        "weights": [world.weights(colour, app) for colour in up for app in world.kit.apps],
        "cut": world.net._cut,
        "done": standing.done,
        "intent": standing.facts.get("intent.open"),
        "history": standing.facts.get("source.replid") == world.servers[Colour.BLUE].state.replid if world.servers else None,
    }


def goes_on(death: Death, state: State, number: int) -> None:
    """A colleague, or (every other time) the same machine, goes on."""
    world, after = death.world, following(state)
    pilot = Pilot(world, BOB if number % 2 else ANN)
    whole = after is State.IDLE_STABLE or number % 8 == 0
    if not whole:
        pilot.watch = until(after)
    standing = pilot.session.standing()
    if standing.state is after:
        # It died with its last record written: that is where the next state's own matrix begins.
        assert standing.lock is None or after is not State.IDLE_STABLE
        return
    outcome = pilot.resume(take_over=standing.lock.id if standing.lock and number % 2 else "")
    assert world.violations == []
    assert not world.lost()
    if whole:
        assert outcome.error is None, outcome
        at_rest(world, Colour.GREEN)
    else:
        assert isinstance(outcome.error, Killed), outcome
        assert shape(world) == shape(entered(after, world.kit))


@pytest.mark.parametrize(("state", "kit"), [*((state, WHOLE) for state in STATES), (State.SWITCHOVER_LOCKED, NO_REDIS)])
def test_a_kill_after_any_effect_is_resumed(state: State, kit: Kit) -> None:
    found = deaths(state, kit)
    assert len(found) > 5
    broken = []
    for number, death in enumerate(found):
        try:
            goes_on(death, state, number)
        except AssertionError as error:
            broken.append(f"{number} after {death.call}: {str(error)[:400]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(found)}", *broken])
