"""A disaster where the manifest in Git says how a server starts: who comes back parked is told apart from a replica that never was a master, and nobody's data are thrown away for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import OperatorNeeded
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import ANN, Outcome, Pilot, entered, gone_on
from tests.sim.replays import BY_MANIFEST, pod_ends
from tests.sim.seams import Killed, Taps
from tests.sim.test_disaster import BLUE, GREEN, dead, declared, returned
from tests.sim.universe import Universe

AGREED = Wishes(dr=True, accept_loss=True, gone="cluster-blue")


def killed_in_the_section() -> Universe:
    """Right after the promotion, with nothing of it in the journal but what was noted before."""
    world = dead(entered(State.TRAFFIC_CANARY, BY_MANIFEST))

    def die(call: str) -> None:
        if call == "redis.green.make_master":
            raise Killed

    assert isinstance(declared(world, taps=Taps(after=die)).error, Killed)
    return world


def killed_before_the_commit() -> Universe:
    """With the step in the journal, and not in Git yet."""
    world = dead(entered(State.TRAFFIC_CANARY, BY_MANIFEST))
    pilot = Pilot(world)

    def die(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == ("switchover-locked.alone", Mark.DONE):
            raise Killed

    pilot.watch = die
    assert isinstance(pilot.resume(AGREED).error, Killed)
    return world


def parked(world: Universe) -> Universe:
    """The new master's pod restarts as its old variant says."""
    world.disk(ANN.name).locks.clear()
    green = world.servers[GREEN]
    green.client_write("since", "1")
    green.written_master = PARKED
    green.crash()
    assert world.writable() == []
    return world


def is_a_humans(outcome: Outcome) -> None:
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert "came back parked" in outcome.error.message
    assert "REPLICAOF NO ONE" in outcome.error.next_step


@pytest.mark.parametrize("died", [killed_in_the_section, killed_before_the_commit])
def test_a_promoted_target_that_comes_back_parked_is_a_humans(died: Callable[[], Universe]) -> None:
    world = parked(died())
    is_a_humans(gone_on(world))
    is_a_humans(declared(world))
    world.servers[GREEN].follow(None)
    world.servers[GREEN].written_master = None
    assert gone_on(world).code == 0
    assert world.writable() == ["green"]
    assert "since" in world.servers[GREEN].state.keys


def test_a_source_that_returns_then_does_not_take_the_place_of_what_was_written_since() -> None:
    world = parked(killed_in_the_section())
    returned(world)
    is_a_humans(gone_on(world))
    assert "since" in world.servers[GREEN].state.keys


def test_an_armed_source_that_returns_parked_is_a_humans_by_every_command() -> None:
    world = entered(State.SWITCHOVER_LOCKED, BY_MANIFEST)
    pilot = Pilot(world)

    def armed(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == ("switchover-locked.arm", Mark.DONE):
            raise Killed

    def die(call: str) -> None:
        if call == "redis.green.make_master":
            raise Killed

    pilot.watch = armed
    assert isinstance(pilot.resume().error, Killed)
    world.disk(ANN.name).locks.clear()
    assert isinstance(declared(dead(world), taps=Taps(before=die)).error, Killed)
    world.disk(ANN.name).locks.clear()
    returned(world)
    pod_ends(world)
    assert world.writable() == []
    for _ in range(2):
        outcome = gone_on(world)
        is_a_humans(outcome)
        assert "while its fence was armed" in str(outcome.error)
    # The disaster is off. What the human does, having looked:
    world.servers[BLUE].follow(None)
    assert gone_on(world).code == 0
    assert world.lost() == []
