"""The watch goes on seeing a pod that comes back under its name with another address, and a list that could not be read once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bennu.adapters.redis import RedisOverSocket
from bennu.adapters.redis_link import RedisEndpoint
from bennu.adapters.redis_members import Members
from bennu.ports.redis import Address
from tests.contract.redis.servers import RealHands, program, until
from tests.sim.memory_kubernetes import MemoryKubernetes


def test_a_pod_with_another_address_is_seen_again(tmp_path: Path) -> None:
    found = program("valkey")
    assert found is not None
    first, second = RealHands(found, tmp_path / "first"), RealHands(found, tmp_path / "second")
    now = [first]

    def ways() -> dict[str, Callable[[], Address]]:
        here = now[0].address
        return {"redis-0": lambda: here}

    server = RedisOverSocket(RedisEndpoint("redis of cluster-blue", lambda: now[0].address, str, timeout_s=3), ways)
    try:
        before = server.members()[0].seen.run_id
        first.stop()
        now[0] = second
        until(lambda: [one.seen.run_id for one in server.members()] not in ([], [before]), "the pod is seen at its new address")
    finally:
        first.stop()
        second.stop()


def test_endpoints_without_a_port_do_not_blind_it() -> None:
    api = MemoryKubernetes()
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "database"}}
    address = {"ip": "10.0.0.1", "targetRef": {"name": "redis-0"}}
    api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": "database"}, "spec": {"selector": {"app": "redis"}}})
    api.put({**endpoints, "subsets": [{"addresses": [address]}]})
    members = Members(api, "database", "redis", None)
    assert dict(members()) == {}
    api.put({**endpoints, "subsets": [{"addresses": [address], "ports": [{"port": 6379}]}]})
    until(lambda: list(members()) == ["redis-0"], "the list is read again")
