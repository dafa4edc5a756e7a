"""The contract of ``Metrics``: the queries that are asked over a real socket, and what is made of answers that say nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from bennu.adapters.prometheus import Prometheus, PrometheusEndpoint
from bennu.core.clusters import Colour
from bennu.errors import ConfigError, DependencyDown
from bennu.ports.metrics import Client, Metrics, RouteRef, Traffic
from tests.sim.memory_metrics import MemoryMetrics

ROUTE = RouteRef("payments", "payment-split", "payment-service", "payment-service-cluster-green")
BACKEND = 'cluster="prod-blue",route_namespace="payments",route_name="payment-split",backend_name="payment-service-cluster-green"'
STATUSES = "outbound_http_route_backend_response_statuses_total"
REQUESTS = f"sum(increase({STATUSES}{{{BACKEND}}}[600s]))"
FAILURES = f'sum(increase({STATUSES}{{{BACKEND},http_status=~"5.."}}[600s]))'
P99 = f"histogram_quantile(0.99, sum by (le) (rate(outbound_http_route_backend_response_duration_seconds_bucket{{{BACKEND}}}[600s])))"
AGE = f"time() - max(timestamp({STATUSES}{{{BACKEND}}}))"


class Stand:
    """A server in the shape of the Prometheus API: vectors by query; others are empty."""

    def __init__(self) -> None:
        self.vectors: dict[str, list[tuple[dict[str, str], str]]] = {}
        self.queries: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.reply: Callable[[], tuple[int, bytes]] | None = None
        self.url = ""

    def answer(self, query: str) -> tuple[int, bytes]:
        if self.reply is not None:
            return self.reply()
        result = [{"metric": labels, "value": [1700000000.1, value]} for labels, value in self.vectors.get(query, [])]
        return 200, json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


@pytest.fixture
def stand() -> Iterator[Stand]:
    found = Stand()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
            found.queries.append(query)
            found.headers.append(dict(self.headers.items()))
            status, body = found.answer(query) if self.path == "/prometheus/api/v1/query" else (404, b"")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}/prometheus/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def prometheus(stand: Stand) -> Prometheus:
    return Prometheus(PrometheusEndpoint(stand.url, 'cluster="prod-{colour}"', {"X-Scope-OrgID": "prod"}, lambda: "t0ken"))


def said(value: str) -> list[tuple[dict[str, str], str]]:
    return [({}, value)]


def test_traffic_is_asked_of_the_one_backend_in_the_one_cluster(prometheus: Prometheus, stand: Stand) -> None:
    stand.vectors = {REQUESTS: said("2995.4"), FAILURES: said("2"), P99: said("0.1875"), AGE: said("1.5")}
    assert prometheus.traffic(Colour.BLUE, ROUTE, 600) == Traffic(2995.4, 2.0, 187.5, 1.5)
    assert stand.queries == [REQUESTS, FAILURES, P99, AGE]
    assert stand.headers[0]["X-Scope-OrgID"] == "prod"
    assert stand.headers[0]["Authorization"] == "Bearer t0ken"


def test_a_backend_without_a_5xx_series_has_no_failures(prometheus: Prometheus, stand: Stand) -> None:
    stand.vectors = {REQUESTS: said("100"), AGE: said("1")}
    assert prometheus.traffic(Colour.BLUE, ROUTE, 600) == Traffic(100.0, 0.0, None, 1.0)


def test_nan_and_infinity_say_nothing(prometheus: Prometheus, stand: Stand) -> None:
    stand.vectors = {REQUESTS: said("0"), FAILURES: said("NaN"), P99: said("NaN"), AGE: said("+Inf")}
    assert prometheus.traffic(Colour.BLUE, ROUTE, 600) == Traffic(0.0, 0.0, None, None)


def test_windows_below_a_second_are_asked_in_milliseconds(prometheus: Prometheus, stand: Stand) -> None:
    prometheus.ingress_rps(Colour.GREEN, 2.5)
    assert stand.queries == ['sum(rate(apisix_http_status{cluster="prod-green"}[2500ms]))']


def test_a_label_value_cannot_leave_its_quotes(prometheus: Prometheus, stand: Stand) -> None:
    prometheus.gateway_alive(Colour.BLUE, 'x"} or up{a="\\')
    assert stand.queries == ['min(gateway_alive{cluster="prod-blue",target_cluster_name="x\\"} or up{a=\\"\\\\"})']


@pytest.mark.parametrize(("value", "alive"), [("1", True), ("0", False)])
def test_the_worst_gateway_probe_counts(prometheus: Prometheus, stand: Stand, value: str, alive: bool) -> None:
    stand.vectors = {'min(gateway_alive{cluster="prod-green",target_cluster_name="cluster-blue"})': said(value)}
    assert prometheus.gateway_alive(Colour.GREEN, "cluster-blue") is alive
    assert prometheus.gateway_alive(Colour.RED, "cluster-blue") is None


def test_residual_clients_are_named_busiest_first(prometheus: Prometheus, stand: Stand) -> None:
    query = 'topk(5, sum by (client) (rate(apisix_http_status{cluster="prod-blue"}[60s])))'
    stand.vectors = {query: [({"client": "bot"}, "0.2"), ({"client": "jvm"}, "7.5"), ({"client": "gone"}, "0")]}
    assert prometheus.ingress_clients(Colour.BLUE, 60) == (Client("jvm", 7.5), Client("bot", 0.2))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "refuses the credential"),
        (500, b"oops", "HTTP 500"),
        (422, b'{"status":"error","error":"bad selector"}', "bad selector for sum"),
        (200, b"<html>login</html>", "HTTP 200"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}', "not in the shape"),
    ],
)
def test_an_answer_that_is_none_is_a_dependency_that_is_down(prometheus: Prometheus, stand: Stand, status: int, body: bytes, words: str) -> None:
    stand.reply = lambda: (status, body)
    with pytest.raises(DependencyDown, match=words) as caught:
        prometheus.ingress_rps(Colour.BLUE, 60)
    assert "t0ken" not in str(caught.value)


def test_nobody_listening_is_a_dependency_that_is_down() -> None:
    with pytest.raises(DependencyDown, match="Connection refused"):
        Prometheus(PrometheusEndpoint("http://127.0.0.1:1")).ingress_rps(Colour.BLUE, 60)


def test_an_authority_that_is_no_certificate_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        Prometheus(PrometheusEndpoint("https://127.0.0.1:1", ca_pem="x")).ingress_rps(Colour.BLUE, 60)


def test_both_implementations_say_nothing_of_what_they_never_saw(prometheus: Prometheus) -> None:
    ports: list[Metrics] = [prometheus, MemoryMetrics()]
    for port in ports:
        assert port.traffic(Colour.BLUE, ROUTE, 600) == Traffic(None, None, None, None)
        assert port.gateway_alive(Colour.BLUE, "cluster-green") is None
        assert port.ingress_rps(Colour.BLUE, 60) is None
        assert port.ingress_clients(Colour.BLUE, 60) == ()
