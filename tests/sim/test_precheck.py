"""What the pre-check finds around the servers stops S6 by name before a client notices, and the source keeps everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.core.surroundings import Profile
from bennu.phases.kinds import STATEFULSET
from bennu.ports.kubernetes import Kind
from tests.sim.pilot import Pilot, at_rest, entered
from tests.sim.universe import Kit, Universe

FAILOVER = Kind("databases.spotahome.com/v1", "RedisFailover")


def owned(world: Universe) -> None:
    """An operator made the StatefulSet that made the pod."""
    cluster = world.clusters[Colour.BLUE]
    pod = "rfr-cache-0"
    target = {"targetRef": {"kind": "Pod", "name": pod}}
    cluster.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "database"}, "subsets": [{"addresses": [target]}]})
    cluster.put({"apiVersion": STATEFULSET.api_version, "kind": STATEFULSET.kind, "metadata": _meta("database", "rfr-cache", FAILOVER, "cache")})
    cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": _meta("database", pod, STATEFULSET, "rfr-cache")})


def _meta(namespace: str, name: str, owner: Kind, owners_name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "ownerReferences": [{"apiVersion": owner.api_version, "kind": owner.kind, "name": owners_name, "controller": True}],
    }


def expiring(world: Universe) -> None:
    world.clusters[Colour.GREEN].expiry = world.clock.wall() + timedelta(seconds=30)


def unpermitted(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.profile = Profile(refused=("REPLICAOF (no permission)",))


def locked_out(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.password = "rotated-meanwhile"


@pytest.mark.parametrize(
    ("breaks", "words"),
    [(owned, "RedisFailover cache (cluster-blue)"), (expiring, "log in again"), (unpermitted, "REPLICAOF (no permission)"), (locked_out, "masterauth")],
)
def test_what_would_break_the_hand_over_stops_it_before_anybody_notices(breaks: Callable[[Universe], None], words: str) -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    breaks(world)
    pilot = Pilot(world)
    outcome = pilot.resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert words in str(outcome.error)
    assert not any(call.startswith("redis.") and call.rpartition(".")[2] in {"pause", "fence"} for call in pilot.taps.calls)


def test_once_it_is_mended_the_rotation_goes_on() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    unpermitted(world)
    assert Pilot(world).resume().code == 5
    world.servers[Colour.GREEN].knobs.profile = Profile()
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_two_passwords_that_were_declared_go_through_a_whole_rotation() -> None:
    world = entered(State.DATA_SYNCING, Kit(weights=(10, 90), ledger="auth: {secret: database/redis, same_on_both: false}"))
    world.redis(Colour.BLUE).knobs.password, world.redis(Colour.GREEN).knobs.password = "of-blue", "of-green"
    outcome = Pilot(world).resume()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)


def test_a_password_changed_on_one_side_after_it_was_promised_to_be_one_stops_it() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90), ledger="auth: {secret: database/redis}"))
    locked_out(world)
    outcome = Pilot(world).resume()
    assert (outcome.code, world.writable()) == (5, ["blue"]), outcome
    assert "passwords of default differ" in str(outcome.error)
