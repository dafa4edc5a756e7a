"""The way to Redis through the API server: it leads to whichever pod is ready now, under a new name or under the old one, and no question is lost on a pod that is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.adapters.redis_members import Members
from bennu.adapters.redis_reach import Forwarded
from bennu.errors import DependencyDown
from bennu.ports.kubernetes import Kind, Kubernetes, Ref
from bennu.ports.redis import Address
from tests.contract.kubernetes.clusters import LabCluster, lab
from tests.contract.kubernetes.pki import Authority
from tests.contract.redis.servers import RealHands, program, until
from tests.sim.memory_kubernetes import MemoryKubernetes

PORT = 6379
SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": "default"}, "spec": {"ports": [{"port": PORT}]}}
ENDPOINTS = Kind("v1", "Endpoints")
PODS = Kind("v1", "Pod")


@dataclass
class Ground:
    """A cluster whose Redis Service has one pod at a time; each pod is a server process of its own."""

    cluster: LabCluster
    folder: Path
    stack: ExitStack
    running: list[RealHands] = field(default_factory=list)

    def pod(self, name: str) -> str:
        """Start one and make it the Service's; its run id."""
        found = program("valkey")
        assert found is not None
        server = RealHands(found, self.folder / f"{name}-{len(self.running)}")
        self.stack.callback(server.stop)
        self.running.append(server)
        self.cluster.expose(name, PORT, server.address.port)
        self._ready([{"addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": name}}], "ports": [{"port": PORT}]}])
        return server.server.observe().run_id

    def gone(self, name: str) -> None:
        """The pod ends: its process, its object, its address."""
        self._ready([])
        self.running[-1].stop()
        assert self.cluster.api.delete(Ref(PODS, name, "default"))
        until(lambda: self.cluster.api.get(Ref(PODS, name, "default")) is None, "the pod is gone")

    def _ready(self, subsets: list[object]) -> None:
        self.cluster.api.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "default"}, "subsets": subsets}, force=True)


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def ground(authority: Authority, tmp_path: Path) -> Iterator[Ground]:
    with lab(tmp_path, authority) as cluster, ExitStack() as stack:
        cluster.api.apply(SERVICE)
        yield Ground(cluster, tmp_path, stack)


def reached(api: Kubernetes) -> RedisOverSocket:
    """As ``reach: port-forward`` is wired."""
    return RedisOverSocket(
        RedisEndpoint("redis of cluster-blue", Forwarded(api, "default", "redis", PORT), str, timeout_s=5), Members(api, "default", "redis", PORT)
    )


@pytest.mark.parametrize("successor", ["redis-0", "redis-b"], ids=["the same name", "another name"])
def test_the_pod_that_took_the_others_place_is_asked_at_once(ground: Ground, successor: str) -> None:
    first = ground.pod("redis-0")
    server = reached(ground.cluster.api)
    assert server.observe().run_id == first
    ground.gone("redis-0")
    second = ground.pod(successor)
    assert second != first
    # Not "after a while": the first question after the change is answered, by the new pod.
    assert server.observe().run_id == second


@pytest.mark.parametrize("successor", ["redis-0", "redis-b"], ids=["the same name", "another name"])
def test_the_critical_section_is_opened_at_the_pod_that_is_there_now(ground: Ground, successor: str) -> None:
    ground.pod("redis-0")
    server = reached(ground.cluster.api)
    with server.critical("bennu-prod-us-east-1-1-1") as critical:
        ground.gone("redis-0")
        second = ground.pod(successor)
        # A connection that was lost stays lost: it is not carried over to a server that knows nothing of it.
        with pytest.raises(ConnectionError):
            critical.observe()
    with server.critical("bennu-prod-us-east-1-1-2") as critical:
        assert critical.observe().run_id == second


@pytest.mark.parametrize("successor", ["redis-0", "redis-b"], ids=["the same name", "another name"])
def test_the_watch_sees_the_new_pod(ground: Ground, successor: str) -> None:
    first = ground.pod("redis-0")
    server = reached(ground.cluster.api)
    assert [(one.name, one.seen.run_id) for one in server.members()] == [("redis-0", first)]
    ground.gone("redis-0")
    second = ground.pod(successor)
    until(lambda: [(one.name, one.seen.run_id) for one in server.members()] == [(successor, second)], "the new pod is seen", 20)


def test_while_no_pod_is_ready_that_is_said_and_the_next_one_is_reached(ground: Ground) -> None:
    ground.pod("redis-0")
    server = reached(ground.cluster.api)
    server.observe()
    ground.gone("redis-0")
    with pytest.raises(DependencyDown, match="no ready endpoint"):
        server.observe()
    second = ground.pod("redis-0")
    assert server.observe().run_id == second


def test_a_pod_that_cannot_be_forwarded_to_does_not_leave_a_closed_way_behind() -> None:
    api = MemoryKubernetes()
    way = Forwarded(api, "default", "redis", PORT)

    def ready(pod: str) -> None:
        api.put(
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {"name": "redis", "namespace": "default"},
                "subsets": [{"addresses": [{"ip": "10.0.0.1", "targetRef": {"name": pod}}], "ports": [{"port": PORT}]}],
            }
        )

    api.addresses["default", "redis-a", PORT] = ("127.0.0.1", 7001)
    ready("redis-a")
    assert way() == Address("127.0.0.1", 7001)
    ready("redis-b")
    with pytest.raises(DependencyDown):
        way()
    ready("redis-a")
    api.addresses["default", "redis-a", PORT] = ("127.0.0.1", 7002)
    assert way() == Address("127.0.0.1", 7002)
