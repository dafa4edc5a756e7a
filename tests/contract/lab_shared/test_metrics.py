"""Bennu's own queries, through its own adapter, over what was really scraped."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bennu.adapters.prometheus import Prometheus, PrometheusEndpoint
from bennu.core.clusters import Colour
from bennu.errors import DependencyDown
from bennu.lab.places import LabDir
from bennu.ports.metrics import Client, RouteRef, Traffic
from tests.contract.lab_node.clusters import run
from tests.contract.lab_shared.stand import TOKEN, Target, described, lab_dir, prometheus, target

ROUTE = RouteRef("payments", "payment-split", "payment-service", "payment-service-cluster-green")
BACKEND = 'backend_name="payment-service-cluster-green",route_name="payment-split",route_namespace="payments"'
STATUSES = "outbound_http_route_backend_response_statuses_total"
BUCKETS = "outbound_http_route_backend_response_duration_seconds_bucket"
WINDOW = 60.0
T = TypeVar("T")


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return lab_dir(tmp_path)


def adapter(lab: LabDir, token: str = TOKEN) -> Prometheus:
    return Prometheus(PrometheusEndpoint(f"http://127.0.0.1:{lab.load().ports['prometheus']}", token=lambda: token))


async def told(ask: Callable[..., T], *arguments: Any) -> T:
    """The adapter blocks: it asks from a thread of its own, while the server answers in this one."""
    return await asyncio.to_thread(ask, *arguments)


async def answered(lab: LabDir, path: str, token: str = TOKEN, **form: str) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{lab.load().ports['prometheus']}{path}"
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {token}"})

    def asked() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()

    status, body = await asyncio.to_thread(asked)
    return status, json.loads(body) if body.startswith(b"{") else body.decode()


def sent(on: Target, ok: int, failed: int, buckets: dict[str, int]) -> None:
    on.lines[f'{STATUSES}{{{BACKEND},http_status="200"}}'] = ok
    on.lines[f'{STATUSES}{{{BACKEND},http_status="503"}}'] = failed
    on.lines |= {f'{BUCKETS}{{{BACKEND},le="{bound}"}}': count for bound, count in buckets.items()}


def test_a_canary_is_judged_by_what_was_scraped(lab: LabDir) -> None:
    async def story() -> None:
        async with target() as blue, target() as green, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            described(lab, "green", metrics_port=green.port)
            sent(blue, 1000, 30, {"0.05": 500, "0.1": 900, "0.2": 1003, "+Inf": 1003})
            sent(green, 7, 7, {"+Inf": 14})
            await scraper.once()
            sent(blue, 1195, 35, {"0.05": 600, "0.1": 1050, "0.2": 1201, "+Inf": 1203})
            await scraper.once()
            found = await told(adapter(lab).traffic, Colour.BLUE, ROUTE, WINDOW)
            assert found.requests is not None
            assert found.failures is not None
            # Both are stretched to the window alike: 5 of 200 failed.
            assert found.requests >= 200
            assert found.failures / found.requests == pytest.approx(5 / 200)
            # By hand: of 200 new requests 100 took up to 50 ms, 150 up to 100 ms, 198 up to 200 ms. Rank 198 is the last one of the bucket up to 200 ms.
            assert found.p99_ms == pytest.approx(200.0)
            assert found.age_s is not None
            assert 0 <= found.age_s < 10

    run(story)


def test_a_quantile_within_a_bucket_is_the_one_computed_by_hand(lab: LabDir) -> None:
    async def story() -> None:
        async with target() as blue, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            sent(blue, 0, 0, {"0.05": 0, "0.1": 0, "0.2": 0, "+Inf": 0})
            await scraper.once()
            sent(blue, 1000, 0, {"0.05": 900, "0.1": 980, "0.2": 1000, "+Inf": 1000})
            await scraper.once()
            found = await told(adapter(lab).traffic, Colour.BLUE, ROUTE, WINDOW)
            # By hand: rank 990 is the 10th of 20 requests between 100 and 200 ms.
            assert found.p99_ms == pytest.approx(150.0)

    run(story)


def test_what_a_target_does_not_tell_any_more_is_unknown_at_once(lab: LabDir) -> None:
    async def story() -> None:
        alive = 'gateway_alive{target_cluster_name="cluster-green"}'
        async with target() as blue, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            metrics = adapter(lab)
            seen = []
            for value in (1.0, 0.0, None, 1.0):
                blue.lines = {} if value is None else {alive: value}
                await scraper.once()
                seen.append(await told(metrics.gateway_alive, Colour.BLUE, "cluster-green"))
            assert seen == [True, False, None, True]
            blue.status = 500
            await scraper.once()
            assert await told(metrics.gateway_alive, Colour.BLUE, "cluster-green") is None

    run(story)


def test_a_target_that_is_gone_takes_its_series_along(lab: LabDir) -> None:
    async def story() -> None:
        async with prometheus(lab) as scraper:
            async with target() as blue:
                described(lab, "blue", metrics_port=blue.port)
                blue.lines = {'gateway_alive{target_cluster_name="cluster-green"}': 1.0}
                await scraper.once()
                assert await told(adapter(lab).gateway_alive, Colour.BLUE, "cluster-green") is True
            await scraper.once()
            assert await told(adapter(lab).gateway_alive, Colour.BLUE, "cluster-green") is None
            async with target(blue.port) as again:
                again.lines = blue.lines
                await scraper.once()
                assert await told(adapter(lab).gateway_alive, Colour.BLUE, "cluster-green") is True
                (lab.cluster("blue").root / "cluster.json").unlink()
                await scraper.once()
                assert await told(adapter(lab).gateway_alive, Colour.BLUE, "cluster-green") is None

    run(story)


def test_residual_clients_are_told_by_the_edge_of_their_own_cluster(lab: LabDir) -> None:
    async def story() -> None:
        async with target() as blue, target() as edge, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            (lab.cluster("blue").root / "ingress-metrics-port").write_text(str(edge.port))
            for count in (0, 40):
                edge.lines = {'apisix_http_status{client="app \\"7\\"",code="200"}': count, 'apisix_http_status{client="bot",code="404"}': count / 4}
                await scraper.once()
            metrics = adapter(lab)
            first, second = await told(metrics.ingress_clients, Colour.BLUE, WINDOW)
            assert (first.name, second.name) == ('app "7"', "bot")
            assert second.rps / first.rps == pytest.approx(1 / 4)
            assert await told(metrics.ingress_rps, Colour.BLUE, WINDOW) == pytest.approx(first.rps + second.rps)
            assert await told(metrics.ingress_clients, Colour.GREEN, WINDOW) == tuple[Client, ...]()

    run(story)


def test_nobody_is_answered_without_the_token(lab: LabDir) -> None:
    async def story() -> None:
        async with prometheus(lab):
            for token in ("", "wrong", f"{TOKEN}x", "ümlaut"):
                status, _ = await answered(lab, "/api/v1/query?query=1", token)
                assert status == 401
            assert (await answered(lab, "/-/ready"))[0] == 200
            with pytest.raises(DependencyDown, match="refuses the credential"):
                await told(adapter(lab, "wrong").ingress_rps, Colour.BLUE, WINDOW)

    run(story)


def test_a_broken_prometheus_is_down_and_an_empty_one_says_nothing(lab: LabDir) -> None:
    async def story() -> None:
        async with target() as blue, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            sent(blue, 10, 0, {"+Inf": 10})
            await scraper.once()
            await scraper.once()
            lab.set_fault("metrics", "down")
            with pytest.raises(DependencyDown, match="503"):
                await told(adapter(lab).traffic, Colour.BLUE, ROUTE, WINDOW)
            lab.set_fault("metrics", "empty")
            assert await told(adapter(lab).traffic, Colour.BLUE, ROUTE, WINDOW) == Traffic(None, None, None, None)
            lab.clear_fault("metrics")
            assert (await told(adapter(lab).traffic, Colour.BLUE, ROUTE, WINDOW)).requests == 0

    run(story)


def test_a_query_that_cannot_be_read_is_refused_in_prometheus_own_words(lab: LabDir) -> None:
    async def story() -> None:
        async with prometheus(lab):
            for path, form in (
                ("/api/v1/query", {"query": "sum("}),
                ("/api/v1/query", {"query": "1", "time": "yesterday"}),
                ("/api/v1/query", {"nothing": "1"}),
                ("/api/v1/query_range", {"query": "1", "start": "0", "end": "9"}),
                ("/api/v1/query_range", {"query": "1", "start": "0", "end": "99999", "step": "1"}),
                ("/api/v1/query_range", {"query": "1", "start": "0", "end": "9", "step": "0"}),
            ):
                status, body = await answered(lab, path, **form)
                assert (status, body["status"], body["errorType"]) == (400, "error", "bad_data"), form
                assert body["error"]

    run(story)


def test_scalars_vectors_and_ranges_have_prometheus_shapes(lab: LabDir) -> None:
    async def story() -> None:
        async with target() as blue, prometheus(lab) as scraper:
            described(lab, "blue", metrics_port=blue.port)
            blue.lines = {"up": 1.0}
            await scraper.once()
            assert (await answered(lab, "/api/v1/query", query="1+1", time="7"))[1] == {
                "status": "success",
                "data": {"resultType": "scalar", "result": [7.0, "2.0"]},
            }
            ((_, vector),) = [await answered(lab, "/api/v1/query", query="up")]
            assert vector["data"]["resultType"] == "vector"
            (sample,) = vector["data"]["result"]
            assert sample["metric"] == {"__name__": "up", "cluster": "blue", "instance": f"127.0.0.1:{blue.port}"}
            at = sample["value"][0]
            _, ranged = await answered(lab, "/api/v1/query_range", query="sum(up)", start=str(at), end=str(at + 4), step="2s")
            assert ranged["data"] == {"resultType": "matrix", "result": [{"metric": {}, "values": [[at, "1.0"], [at + 2, "1.0"], [at + 4, "1.0"]]}]}

    run(story)
