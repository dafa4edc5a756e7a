"""The ingress splits what flows by the route's weights, follows each change of them without losing a request, and counts what it did."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bennu.lab.pods.api import Api, Followed
from bennu.lab.pods.http import Request
from bennu.lab.pods.ingress import Ingress
from bennu.lab.shared.samples import parsed
from tests.contract.lab_flux.stand import with_crds
from tests.contract.lab_node.clusters import LabCluster, eventually, free_ports, run
from tests.contract.lab_pods.stand import NAMESPACE, Backend, endpoint, listening, quiet_cluster, sent

LOCAL, MIRROR = "payment-service", "payment-service-cluster-green"
STATUSES = "outbound_http_route_backend_response_statuses_total"
BUCKETS = "outbound_http_route_backend_response_duration_seconds_bucket"


@dataclass
class Stand:
    """The ingress, and a backend here and one behind the mirror."""

    cluster: LabCluster
    ingress: Ingress
    port: int
    local: Backend
    mirror: Backend

    async def weights(self, local: int, mirror: int) -> None:
        """Set them; returns once the ingress follows them."""
        refs = [{"name": LOCAL, "port": 8080, "weight": local}, {"name": MIRROR, "port": 8080, "weight": mirror}]
        meta = {"name": "payment-split", "namespace": NAMESPACE}
        spec = {"parentRefs": [{"group": "core", "kind": "Service", "name": LOCAL, "port": 8080}], "rules": [{"backendRefs": refs}]}
        made = await self.cluster.client.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": spec}, "test")

        async def followed() -> bool:
            held = self.ingress.routes.objects.get((NAMESPACE, "payment-split"))
            return held is not None and held["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]

        await eventually(followed)

    async def located(self, service: str, *ports: int) -> None:
        await endpoint(self.cluster, service, *ports)

        async def followed() -> bool:
            subsets = (self.ingress.endpoints.objects.get((NAMESPACE, service)) or {}).get("subsets") or []
            return [subset["ports"][0]["port"] for subset in subsets] == list(ports)

        await eventually(followed)

    async def told(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have the labels."""
        _, body = await self.ingress.metrics(Request("GET", "/metrics", "test"))
        return sum(value for metric, of, value in parsed(body.decode(), {}) if metric == name and labels.items() <= dict(of).items())


@contextlib.asynccontextmanager
async def stand(root: Path) -> AsyncIterator[Stand]:
    local, mirror = (Backend(port) for port in free_ports(2))
    async with quiet_cluster(root) as cluster, listening(local.handle, local.port), listening(mirror.handle, mirror.port):
        await with_crds(cluster.client)
        api = Api(cluster.directory.root)
        routes, endpoints = Followed(api, "/apis/gateway.networking.k8s.io/v1/httproutes"), Followed(api, "/api/v1/endpoints")
        ingress = Ingress(routes, endpoints)
        async with listening(ingress.handle) as port:
            made = Stand(cluster, ingress, port, local, mirror)
            await made.located(LOCAL, local.port)
            await made.located(MIRROR, mirror.port)
            yield made
            routes.close()
            endpoints.close()


@pytest.mark.parametrize("share", [10, 50, 90])
def test_two_thousand_requests_are_split_as_the_weights_say(tmp_path: Path, share: int) -> None:
    requests, part = 2000, share / 100
    # Four standard deviations of the binomial distribution: of 16,000 such runs of an ingress that draws at random, one would be outside. This one is exact.
    tolerance = 4 * math.sqrt(requests * part * (1 - part))

    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.weights(100 - share, share)
            assert await sent(here.port, (f"/{number}" for number in range(requests))) == {200: requests}
            assert len(here.local.paths) + len(here.mirror.paths) == requests
            assert abs(len(here.mirror.paths) - requests * part) <= tolerance

    run(story)


def test_a_change_of_weights_loses_no_request_and_counts_from_the_next_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.weights(100, 0)
            stop = asyncio.Event()

            def until_stopped() -> Iterator[str]:
                return itertools.takewhile(lambda _: not stop.is_set(), (f"/{number}" for number in itertools.count()))

            users = asyncio.create_task(sent(here.port, until_stopped()))
            for local, mirror in ((90, 10), (50, 50), (0, 100), (100, 0)):
                await here.weights(local, mirror)
                before = len(here.mirror.paths)
                # What was forwarded before the change is still on its way: by then a hundred more have come.
                reached = len(here.local.paths) + before + 100

                async def more(wanted: int = reached) -> bool:
                    return len(here.local.paths) + len(here.mirror.paths) >= wanted

                await eventually(more)
                # At weight 0 at most what was on its way already, one request a user.
                assert len(here.mirror.paths) - before > 8 if mirror else len(here.mirror.paths) - before <= 8
            stop.set()
            answers = await users
            assert set(answers) == {200}
            assert sum(answers.values()) == len(here.local.paths) + len(here.mirror.paths)

    run(story)


def test_a_backend_that_moves_is_followed_and_one_that_is_away_is_said(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.weights(100, 0)
            await here.located(LOCAL)
            assert await sent(here.port, ["/"]) == {503: 1}
            await here.located(LOCAL, free_ports(1)[0])
            assert await sent(here.port, ["/"]) == {502: 1}
            await here.located(LOCAL, here.mirror.port)
            assert await sent(here.port, ["/"]) == {200: 1}

    run(story)


def test_without_a_route_or_without_weights_nobody_is_asked(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            assert await sent(here.port, ["/"]) == {404: 1}
            await here.weights(0, 0)
            assert await sent(here.port, ["/"]) == {503: 1}
            assert here.local.paths == here.mirror.paths == []

    run(story)


def test_what_it_counts_is_what_flowed(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            await here.weights(50, 50)
            here.mirror.status = 500
            assert await sent(here.port, ("/x" for _ in range(40)), users=1) == {200: 20, 500: 20}
            route = {"route_name": "payment-split", "route_namespace": NAMESPACE, "parent_name": LOCAL}
            assert await here.told(STATUSES, backend_name=LOCAL, http_status="200", **route) == 20
            assert await here.told(STATUSES, backend_name=MIRROR, http_status="500", **route) == 20
            assert await here.told(STATUSES) == 40
            assert await here.told(BUCKETS, backend_name=LOCAL, le="+Inf") == 20
            assert await here.told("apisix_http_status", client="user-0", code="500") == 20
            _, body = await here.ingress.metrics(Request("GET", "/metrics", "test"))
            buckets = [(dict(of)["le"], value) for name, of, value in parsed(body.decode(), {}) if name == BUCKETS and dict(of)["backend_name"] == LOCAL]
            # Every bucket is told from the first request on, and each holds those below it.
            counts = [value for _, value in sorted(buckets, key=lambda one: float(one[0].replace("+Inf", "inf")))]
            assert len(counts) == 17
            assert counts == sorted(counts)

    run(story)
