"""A fence that could not be written, and its holder dead before it could take it back: nobody goes on from it as if it would outlive a restart."""

from __future__ import annotations

from dataclasses import replace

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import StoppedSafe
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, at_rest, entered, fresh_take
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))


def killed_behind_an_unwritten_fence() -> Universe:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    blue = world.servers[Colour.BLUE]

    def before(call: str) -> None:
        if call == "redis.blue.fence":
            blue.knobs.config_file = ""

    def after(call: str) -> None:
        if call == "redis.blue.fence":
            raise Killed

    assert isinstance(Pilot(world, ANN, taps=Taps(before=before, after=after)).resume().error, Killed)
    assert (world.writable(), blue.state.master is None) == ([], False)
    return world


def resumed(world: Universe) -> Outcome:
    return fresh_take(world, BOB)


def test_it_is_taken_back_where_it_still_cannot_be_written() -> None:
    world = killed_behind_an_unwritten_fence()
    outcome = resumed(world)
    assert isinstance(outcome.error, StoppedSafe), outcome
    assert outcome.standing.state is State.TRAFFIC_CANARY
    assert world.writable() == ["blue"]
    assert world.lost() == []


def test_it_is_written_and_gone_on_from_where_it_can_be_written_now() -> None:
    world = killed_behind_an_unwritten_fence()
    blue = world.servers[Colour.BLUE]
    blue.knobs.config_file = "/data/redis.conf"
    assert blue.written_master is None
    assert resumed(world).code == 0
    assert blue.written_master is not None
    at_rest(world, Colour.GREEN)


def test_a_source_that_restarted_behind_its_fence_is_not_opened_for_want_of_a_configuration() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    blue = world.servers[Colour.BLUE]

    def before(call: str) -> None:
        if call == "redis.green.make_master":
            raise Killed

    assert isinstance(Pilot(world, ANN, taps=Taps(before=before)).resume().error, Killed)
    # Parked by its written configuration, without its last writes, and the file cannot be written any more.
    blue.crash(history_kept=True)
    blue.state = replace(blue.state, data=blue.state.data[:-2], offset=blue.state.offset - 80)
    blue.knobs.config_file = ""
    assert resumed(world).code == 0
    assert world.writable() == ["green"]
    assert world.lost() == []
