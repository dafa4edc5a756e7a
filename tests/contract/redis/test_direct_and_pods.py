"""``redis[].direct`` names one address; the watch sees the pods beside it, as far as the cluster's API shows them and ``reach`` leads there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bennu.adapters.redis_members import Members
from bennu.core.clusters import Colour
from bennu.errors import GateRefused
from bennu.manifests.traffic_state import Keys
from bennu.ports.redis import RedisServer
from bennu.wiring.redis_server import redis_server
from tests.contract.redis.servers import RealHands, program, until
from tests.sim import fleet
from tests.sim.memory_kubernetes import MemoryKubernetes

PORT = 6379


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[tuple[RealHands, RealHands]]:
    """What the address leads to, and another server."""
    found = program("valkey")
    assert found is not None
    with ExitStack() as stack:
        both = []
        for name in ("first", "second"):
            both.append(RealHands(found, tmp_path / name))
            stack.callback(both[-1].stop)
        yield both[0], both[1]


def shown(*pods: tuple[str, RealHands, str]) -> MemoryKubernetes:
    """A cluster whose API shows pods (name, server, ``addresses`` or ``notReadyAddresses``) behind the Service."""
    api = MemoryKubernetes()
    api.put({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": "database"}, "spec": {"selector": {"app": "redis"}}})
    subsets = [{kind: [{"ip": "127.0.0.1", "targetRef": {"name": name}}], "ports": [{"port": one.address.port}]} for name, one, kind in pods]
    api.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "database"}, "subsets": subsets})
    for name, one, _ in pods:
        api.addresses["database", name, PORT] = ("127.0.0.1", one.address.port)
    return api


def wired(api: MemoryKubernetes, behind: RealHands, reach: str) -> RedisServer:
    """As Bennu wires it from bennu.yaml."""
    ledger = f"{{reach: {reach}, direct: {{host: 127.0.0.1, port: {behind.address.port}}}}}"
    settings = fleet.settings(redis=True, apps=("payment-service",), active_only=False, dns=False, weights=(10,), keys=Keys(), ledger=ledger)
    return redis_server(settings.groups[str(fleet.GROUP)], Colour.BLUE, lambda colour: api, {})


def run_id(hands: RealHands) -> str:
    return hands.server.observe().run_id


@pytest.mark.parametrize("reach", ["direct", "port-forward"])
def test_a_pod_beside_the_address_is_seen_and_the_one_behind_it_is_seen_once(hands: tuple[RealHands, RealHands], reach: str) -> None:
    first, second = hands
    server = wired(shown(("redis-0", first, "addresses"), ("redis-1", second, "notReadyAddresses")), first, reach)
    assert {one.name: one.seen.run_id for one in server.members()} == {"": run_id(first), "redis-1": run_id(second)}
    with server.critical("bennu-prod-us-east-1-1-1", "redis-1") as critical:
        assert critical.observe().run_id == run_id(second)
    assert server.observe().run_id == run_id(first), "what the hand-over asks is the address, whatever else is there"


def test_an_address_outside_the_cluster_is_seen_although_no_pod_is_shown(hands: tuple[RealHands, RealHands]) -> None:
    first, _ = hands
    server = wired(MemoryKubernetes(), first, "direct")
    assert {one.name: one.seen.run_id for one in server.members()} == {"": run_id(first)}


def test_pods_that_may_not_be_forwarded_to_leave_the_address_alone_in_sight(hands: tuple[RealHands, RealHands]) -> None:
    first, second = hands
    api = shown(("redis-0", first, "addresses"), ("redis-1", second, "addresses"))
    api.forbidden.add(("create", "Pod/portforward"))
    server = wired(api, first, "port-forward")
    assert {one.name: one.seen.run_id for one in server.members()} == {"": run_id(first)}


def test_a_right_that_was_refused_is_not_asked_for_at_every_look(hands: tuple[RealHands, RealHands]) -> None:
    api, asked = shown(("redis-0", hands[0], "addresses")), list[str]()

    class Refusing:
        def __getattr__(self, name: str) -> Any:
            return getattr(api, name)

        def forwarded(self, namespace: str, pod: str, port: int) -> Any:
            asked.append(pod)
            raise GateRefused("the API does not allow to create pods/portforward")

    ways = Members(Refusing(), "database", "redis", PORT)()
    for _ in range(5):
        with pytest.raises(GateRefused):
            ways["redis-0"]()
    assert asked == ["redis-0"]


def test_the_address_goes_on_being_seen_while_its_pod_is_gone_from_the_list(hands: tuple[RealHands, RealHands]) -> None:
    first, second = hands
    api = shown(("redis-1", second, "addresses"))
    server = wired(api, first, "direct")
    assert {one.name for one in server.members()} == {"", "redis-1"}
    api.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "redis", "namespace": "database"}, "subsets": []})
    until(lambda: {one.name for one in server.members()} == {""}, "the list is read again")
