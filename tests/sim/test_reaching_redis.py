"""What S4 asks of both servers before either follows the other."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.states import State
from tests.sim.pilot import Pilot, entered, until
from tests.sim.universe import Kit

TLS = Kit(weights=(10,), ledger="tls: {ca_secret: database/redis-ca}")


def test_a_server_that_would_follow_without_tls_is_found_before_it_must() -> None:
    world = entered(State.DATA_SYNCING, TLS)
    world.redis(Colour.GREEN).knobs.tls_replication = True
    outcome = Pilot(world).resume()
    assert outcome.code == 3, outcome
    assert "redis-blue would not speak TLS to its master" in str(outcome.error)
    assert world.redis(Colour.GREEN).state.master != world.redis(Colour.BLUE).address
    world.redis(Colour.BLUE).knobs.tls_replication = True
    pilot = Pilot(world)
    pilot.watch = until(State.TRAFFIC_CANARY)
    assert pilot.resume().standing.state is State.TRAFFIC_CANARY
