"""The watch for two masters over real servers: a hand-over never trips it, two masters are found and the source is parked, whichever pod it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from bennu.adapters.clock import SystemClock
from bennu.adapters.redis import RedisOverSocket
from bennu.adapters.redis_members import Members
from bennu.core.clusters import Colour, RotationId
from bennu.core.policy import SPEC
from bennu.core.states import Direction
from bennu.errors import SplitBrainError
from bennu.manifests.traffic_state import Keys
from bennu.phases.base import Rotation, Systems, World
from bennu.phases.crew import Crew
from bennu.phases.single_master import MasterWatch, masters
from bennu.ports.redis import RedisServer
from tests.contract.redis.servers import RealHands, parking, program, until
from tests.sim import fleet
from tests.sim.memory_kubernetes import MemoryKubernetes

PASSWORD = "open-sesame"


@dataclass
class Group:
    """Two pods at the source, one at the target, and the world that names them."""

    source: RealHands
    second: RealHands
    target: RealHands
    api: MemoryKubernetes
    world: World


def _pod(name: str, *, labels: dict[str, str]) -> dict[str, Any]:
    owner = {"kind": "StatefulSet", "name": "redis", "controller": True}
    metadata = {"name": name, "namespace": "database", "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Running", "podIP": "127.0.0.1"}}


def _api(source: RealHands, second: RealHands) -> MemoryKubernetes:
    """The Service selects the master's label alone; the second pod is not ready."""
    api = MemoryKubernetes()
    api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": "database"}, "spec": {"selector": {"app": "redis"}}})
    for name in ("redis-0", "redis-1"):
        api.put(_pod(name, labels={"app": "redis"}))
    subsets = [
        {kind: [{"ip": "127.0.0.1", "targetRef": {"name": name}}], "ports": [{"port": hands.address.port}]}
        for kind, name, hands in (("addresses", "redis-0", source), ("notReadyAddresses", "redis-1", second))
    ]
    api.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "database"}, "subsets": subsets})
    return api


@pytest.fixture(params=["valkey", "redis"])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    with ExitStack() as stack:
        hands = []
        for name in ("source", "second", "target"):
            one = RealHands(found, tmp_path / name, PASSWORD)
            stack.callback(one.stop)
            hands.append(one)
        source, second, target = hands
        api = _api(source, second)
        servers = {
            Colour.BLUE: RedisOverSocket(source.endpoint(), Members(api, "database", "redis", None)),
            Colour.GREEN: RedisOverSocket(target.endpoint()),
        }
        assert source.write("first", "1")
        for follower in (second, target):
            follower.server.replicate(source.address)
        until(lambda: all(one.server.observe().link_up for one in (second, target)), "both follow the source")
        yield Group(source, second, target, api, _world(servers))


def _world(servers: dict[Colour, RedisOverSocket]) -> World:
    def redis(colour: Colour) -> RedisServer:
        return servers[colour]

    settings = fleet.settings(redis=True, apps=("payment-service",), active_only=False, dns=False, weights=(10,), keys=Keys())
    # The watch asks Redis and the clock, nothing else.
    systems = cast("Systems", replace(cast("Any", _Bare()), redis=redis, clock=SystemClock()))
    rotation = Rotation(RotationId(fleet.GROUP, 1), Colour.BLUE, Colour.GREEN)
    history = servers[Colour.BLUE].observe().replid
    return World(rotation, settings, SPEC, systems, epoch=3, facts={"source.replid": history})


@dataclass(frozen=True)
class _Bare:
    crew: object = Crew
    redis: object = None
    clock: object = None


def looked(group: Group) -> SplitBrainError | None:
    return MasterWatch().look(group.world, Direction.FORWARD)


def test_every_pod_is_asked_ready_or_not(group: Group) -> None:
    seen = {one.name: one.seen.is_master for one in group.world.systems.redis(Colour.BLUE).members()}
    assert seen == {"redis-0": True, "redis-1": False}
    assert [one.member for one in masters(group.world)] == ["redis-0"]


def test_a_pod_that_hangs_keeps_nobody_from_being_asked(group: Group) -> None:
    group.second.freeze()
    seen = [one.name for one in group.world.systems.redis(Colour.BLUE).members()]
    group.second.thaw()
    assert seen == ["redis-0"]


def test_a_target_that_was_promoted_by_hand_has_the_source_fenced(group: Group) -> None:
    assert looked(group) is None
    assert group.target.ask("REPLICAOF", "NO", "ONE") == "OK"
    assert group.source.write("only-at-the-source", "1")
    found = looked(group)
    assert found is not None
    assert found.code == 7
    assert "Redis of cluster-blue (pod redis-0)" in found.changed
    assert "bytes of replication stream are in cluster-blue alone" in found.message
    assert group.source.server.observe().master == parking()
    assert not group.source.write("refused", "1")
    assert group.target.write("one-side-writes", "1")
    group.source.crash()
    assert group.source.server.observe().master == parking()  # what was fenced stays so


def test_the_pod_that_is_a_master_is_fenced_and_not_the_one_behind_the_service(group: Group) -> None:
    # The pod that the Service does not name was promoted; the one it names was handed over properly.
    assert group.second.ask("REPLICAOF", "NO", "ONE") == "OK"
    assert group.source.ask("REPLICAOF", "127.0.0.1", group.target.address.port) == "OK"
    assert group.target.ask("REPLICAOF", "NO", "ONE") == "OK"
    found = looked(group)
    assert found is not None
    assert "pod redis-1" in found.changed
    assert group.second.server.observe().master == parking()
    assert group.target.server.observe().is_master


def test_hand_overs_back_and_forth_never_look_like_two_masters(group: Group) -> None:
    """The critical section's own commands, in its order, while the watch looks as fast as it can."""
    group.second.stop()
    over, alarms, looks = threading.Event(), list[SplitBrainError](), [0]

    def run() -> None:
        watch = MasterWatch()
        while not over.is_set():
            found = watch.look(group.world, Direction.FORWARD)
            looks[0] += 1
            if found is not None:
                alarms.append(found)

    thread = threading.Thread(target=run)
    thread.start()
    here, there = group.source, group.target
    for _ in range(20):
        with here.server.critical("bennu-x-1") as source, there.server.critical("bennu-x-1") as target:
            source.pause(500)
            proved = source.fence(parking()).offset
            until(lambda t=target, p=proved: t.position().offset >= p, "the target holds it")  # type: ignore[misc]
            target.make_master()
            source.unpause()
            source.attach(there.address)
        until(lambda h=here: h.server.observe().link_up, "the old master follows")  # type: ignore[misc]
        here, there = there, here
    over.set()
    thread.join()
    assert alarms == []
    assert looks[0] > 20
