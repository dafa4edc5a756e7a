"""A snapshot of the source before the hand-over, where it was asked for."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.turns import Wishes
from tests.sim.pilot import BOB, Pilot, at_rest, universe
from tests.sim.seams import Taps
from tests.sim.universe import Kit

FAST = Kit(weights=(10,))


def test_it_is_written_before_the_pre_check_and_named() -> None:
    world = universe(FAST)
    pilot = Pilot(world)
    outcome = pilot.start(Wishes(auto_promote=True), options=("snapshot",))
    assert outcome.error is None, outcome
    assert world.servers[Colour.BLUE].saved_at > 0
    assert world.servers[Colour.GREEN].saved_at == 0
    assert pilot.session.status().rotation.switchover.snapshot == "/data/dump.rdb"
    steps = [progress.step for progress in outcome.progress]
    assert steps.index("switchover-locked.snapshot") < steps.index("switchover-locked.precheck")


def test_nobody_who_did_not_ask_for_it_gets_one() -> None:
    world = universe(FAST)
    assert Pilot(world).start().error is None
    assert world.servers[Colour.BLUE].saved_at == 0


def test_while_a_save_runs_the_attempt_is_given_up_and_the_source_goes_on() -> None:
    world = universe(FAST)
    blue = world.servers[Colour.BLUE]

    def saving(call: str) -> None:
        blue.knobs.saving = blue.knobs.saving or call == "metrics.traffic"

    outcome = Pilot(world, taps=Taps(after=saving, reads=True)).start(Wishes(auto_promote=True), options=("snapshot",))
    assert outcome.code == 5, outcome
    assert "a save is running" in str(outcome.error)
    assert (outcome.standing.state, world.writable()) == (State.TRAFFIC_CANARY, ["blue"])
    blue.knobs.saving = False
    again = Pilot(world, BOB).resume()
    assert again.error is None, again
    at_rest(world, Colour.GREEN)
    assert blue.saved_at > 0


def test_the_way_back_takes_none() -> None:
    world = universe(FAST)
    Pilot(world).start(Wishes(auto_promote=True, stop_after=State.PROMOTED), options=("snapshot",))
    assert Pilot(world).rollback().code == 6
    assert world.servers[Colour.GREEN].saved_at == 0
