"""What the pre-check finds around the servers stops S6 by name before a client notices, and the source keeps everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bennu.core.clusters import Colour, RotationId
from bennu.core.expiry import Expiry
from bennu.core.states import State
from bennu.core.surroundings import Profile
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.errors import GateRefused
from bennu.phases.base import Rotation, World
from bennu.phases.data_syncing import is_mirror
from bennu.phases.kinds import STATEFULSET
from bennu.ports.kubernetes import Kind
from bennu.ports.redis import Address
from tests.sim import fleet
from tests.sim.pilot import POLICY, Pilot, at_rest, entered, gone_on, universe, until
from tests.sim.universe import PORT, Kit, Universe

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


def ending_certificate(world: Universe) -> None:
    end = world.clock.wall() + timedelta(seconds=POLICY.switchover_timeout_s - 5)
    world.servers[Colour.BLUE].knobs.expiries = (Expiry("the TLS certificate of redis-blue", end, "renew it, and have the server load it"),)


def unpermitted(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.profile = Profile(refused=("REPLICAOF (no permission)",))


def blind(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.profile = Profile(unasked=("ACL LIST", "ACL DRYRUN"), users=None)


def locked_out(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.password = "rotated-meanwhile"


def chained(world: Universe) -> None:
    """The source has one replica, and the target follows that one: same replid, link up."""
    between = world.net.server("redis-between", Address("10.0.0.77", PORT))
    between.follow(world.servers[Colour.BLUE].address)
    world.servers[Colour.GREEN].follow(between.address)
    seen = world.servers[Colour.GREEN].observe()
    assert (seen.link_up, seen.replid) == (True, world.servers[Colour.BLUE].observe().replid)


def followed(world: Universe) -> None:
    world.net.server("redis-beyond", Address("10.0.0.78", PORT)).follow(world.servers[Colour.GREEN].address)


TLS = Kit(weights=(10, 90), ledger="tls: {ca_secret: database/redis-ca}")


def speaking_tls(kit: Kit = TLS) -> Universe:
    """In S6, with two servers of one authority."""
    world = entered(State.DATA_SYNCING, kit)
    for server in world.servers.values():
        server.knobs.tls_replication, server.knobs.authority = True, "one"
    pilot = Pilot(world)
    pilot.watch = until(State.SWITCHOVER_LOCKED)
    assert pilot.resume().standing.state is State.SWITCHOVER_LOCKED
    return world


def of_another_authority(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.authority = "another"


def without_tls_to_its_master(world: Universe) -> None:
    world.servers[Colour.BLUE].knobs.tls_replication = False


@pytest.mark.parametrize(
    ("breaks", "words"),
    [(of_another_authority, "TLS handshake with the target's authority"), (without_tls_to_its_master, "Redis of the source would not speak TLS")],
)
def test_tls_that_would_keep_the_old_master_from_following_is_found_before_the_promotion(breaks: Callable[[Universe], None], words: str) -> None:
    world = speaking_tls()
    breaks(world)
    outcome = Pilot(world).resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert words in str(outcome.error)


def test_two_servers_that_trust_each_other_go_through_a_whole_rotation_over_tls() -> None:
    world = speaking_tls()
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (owned, "RedisFailover cache (cluster-blue)"),
        (expiring, "log in again"),
        (ending_certificate, "the TLS certificate of redis-blue ends 20"),
        (unpermitted, "REPLICAOF (no permission)"),
        (blind, "allow Bennu's user +acl|list +acl|dryrun"),
        (locked_out, "masterauth"),
        (chained, "the target follows 10.0.0.77:6379, which is not the source's mirror"),
        (followed, "the target has replicas of its own (10.0.0.78:6379)"),
    ],
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


NAMES = ("redis-cluster-blue", "redis-cluster-blue.database.svc", "redis-cluster-blue.database.svc.cluster.local.")


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_knows_the_mirror_by_another_of_its_names_may_be_promoted(name: str) -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    world.net.alias(Address(name, PORT), world.servers[Colour.BLUE])
    world.servers[Colour.GREEN].follow(Address(name, PORT))
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_mirror_is_known_by_its_ready_address_and_waited_for_without_one() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    systems = Pilot(world).session.systems
    view = World(Rotation(RotationId(fleet.GROUP, 1), Colour.BLUE, Colour.GREEN), world.settings, POLICY, systems)
    assert is_mirror(view, Address("10.0.0.9", 4143), Colour.GREEN, Colour.BLUE) is True
    assert is_mirror(view, Address("10.0.0.8", 4143), Colour.GREEN, Colour.BLUE) is False
    assert is_mirror(view, None, Colour.GREEN, Colour.BLUE) is False
    world.fate.down.add(Colour.BLUE)
    world.tick()
    assert is_mirror(view, Address("10.0.0.8", 4143), Colour.GREEN, Colour.BLUE) is None


def test_a_reverse_link_that_nothing_is_known_of_yet_is_waited_for() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    world.fate.unsampled.add(Colour.GREEN)
    world.tick()
    words: list[str] = []

    def sampled(engine: Engine, progress: Progress) -> None:
        if progress.step == "switchover-locked.precheck" and progress.mark is Mark.WAIT:
            words.append(progress.text)
            if "whether the source can reach the target is not known yet" in progress.text:
                world.fate.unsampled.clear()

    assert gone_on(world, sampled).error is None
    assert any("'bennu clusters health' shows the reverse link" in text for text in words)
    at_rest(world, Colour.GREEN)


def test_a_source_that_cannot_be_compared_keeps_a_rotation_from_beginning() -> None:
    world = universe(Kit(weights=(10, 90)))
    world.servers[Colour.BLUE].knobs.profile = Profile(unasked=("MODULE LIST",))
    with pytest.raises(GateRefused, match="does not answer MODULE LIST") as refused:
        Pilot(world).start()
    assert refused.value.exit_code == 3
