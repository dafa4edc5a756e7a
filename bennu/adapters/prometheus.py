"""What the traffic says, asked of a Prometheus or of anything that speaks its HTTP API (Mimir, Thanos, AMP).

Instant queries only; what they mean for a canary is decided in ``core/canary``. An empty answer and NaN are data (None). Ages are computed by the server, so
that two machines' clocks are never compared.
"""

from __future__ import annotations

import json
import math
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3

from bennu.core.clusters import Colour
from bennu.errors import ConfigError, DependencyDown
from bennu.ports.metrics import Client, RouteRef, Traffic

# Linkerd's outbound proxy metrics and APISIX' own (facts.md, "Linkerd multicluster").
_STATUSES = "outbound_http_route_backend_response_statuses_total"
_DURATIONS = "outbound_http_route_backend_response_duration_seconds_bucket"
_INGRESS = "apisix_http_status"


@dataclass(frozen=True)
class PrometheusEndpoint:
    """How the API is reached. ``selector`` holds matchers put into every query, ``{colour}`` in it being the cluster's, e.g. ``cluster="prod-{colour}"``.

    ``token`` is asked at each request; an empty one sends none. ``ca_pem`` empty: the system's trust store.
    """

    url: str
    selector: str = 'cluster="{colour}"'
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: Callable[[], str] = field(default=str, repr=False)
    ca_pem: str = ""
    timeout_s: float = 10.0


@dataclass(frozen=True)
class _Sample:
    labels: Mapping[str, str]
    value: float


class Prometheus:
    """The port ``Metrics``."""

    def __init__(self, endpoint: PrometheusEndpoint) -> None:
        self._endpoint = endpoint
        self._pool: urllib3.PoolManager | None = None

    def traffic(self, cluster: Colour, route: RouteRef, window_s: float) -> Traffic:
        """See the port. A backend with requests and no 5xx series has no failures; without any series nothing can be said."""
        backend = self._matchers(cluster, ("route_namespace", route.namespace), ("route_name", route.route), ("backend_name", route.backend))
        failed = f'{backend},http_status=~"5.."'
        window = _window(window_s)
        requests = self._one(f"sum(increase({_STATUSES}{{{backend}}}[{window}]))")
        if requests is None:
            return Traffic(None, None, None, None)
        failures = self._one(f"sum(increase({_STATUSES}{{{failed}}}[{window}]))")
        p99 = self._one(f"histogram_quantile(0.99, sum by (le) (rate({_DURATIONS}{{{backend}}}[{window}])))")
        age = self._one(f"time() - max(timestamp({_STATUSES}{{{backend}}}))")
        return Traffic(requests, failures or 0.0, None if p99 is None else p99 * 1000, age)

    def gateway_alive(self, cluster: Colour, target_cluster: str) -> bool | None:
        """See the port. Several controllers: the worst one counts."""
        alive = self._one(f"min(gateway_alive{{{self._matchers(cluster, ('target_cluster_name', target_cluster))}}})")
        return None if alive is None else alive >= 1

    def ingress_rps(self, cluster: Colour, window_s: float) -> float | None:
        """See the port."""
        return self._one(f"sum(rate({_INGRESS}{{{self._matchers(cluster)}}}[{_window(window_s)}]))")

    def ingress_clients(self, cluster: Colour, window_s: float) -> tuple[Client, ...]:
        """See the port. Clients that sent nothing in the window are left out."""
        samples = self._query(f"topk(5, sum by (client) (rate({_INGRESS}{{{self._matchers(cluster)}}}[{_window(window_s)}])))")
        found = [Client(sample.labels.get("client", ""), sample.value) for sample in samples if sample.value > 0]
        return tuple(sorted(found, key=lambda client: client.rps, reverse=True))

    def _matchers(self, cluster: Colour, *labels: tuple[str, str]) -> str:
        own = self._endpoint.selector.replace("{colour}", cluster.value)
        return ",".join([*([own] if own else []), *(f'{name}="{_escaped(value)}"' for name, value in labels)])

    def _one(self, query: str) -> float | None:
        samples = self._query(query)
        return samples[0].value if samples else None

    def _query(self, query: str) -> tuple[_Sample, ...]:
        """The samples of an instant vector (or a scalar) that are numbers."""
        data = self._asked(query)
        try:
            if data["resultType"] == "scalar":
                found = [_Sample({}, float(data["result"][1]))]
            else:
                found = [_Sample(item["metric"], float(item["value"][1])) for item in data["result"]]
        except (KeyError, TypeError, ValueError, IndexError):
            raise self._down("its answer is not in the shape of the Prometheus API") from None
        return tuple(sample for sample in found if math.isfinite(sample.value))

    def _asked(self, query: str) -> Mapping[str, Any]:
        headers = {"Accept": "application/json", **self._endpoint.headers}
        token = self._endpoint.token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = self._endpoint.url.rstrip("/") + "/api/v1/query"
        try:
            response = self._connections().request("POST", url, fields={"query": query}, encode_multipart=False, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise self._down(_why(error)) from None
        return self._data(response, query)

    def _data(self, response: urllib3.BaseHTTPResponse, query: str) -> Mapping[str, Any]:
        if response.status in {401, 403}:
            raise self._down(f"it refuses the credential (HTTP {response.status})")
        try:
            answer = json.loads(response.data)
            data: object = answer.get("data")
            error = str(answer.get("error", ""))
        except (ValueError, AttributeError):
            data, error = None, ""
        if response.status == 200 and isinstance(data, dict):
            return data
        raise self._down(f"HTTP {response.status} {error}".rstrip() + (f" for {query}" if response.status in {400, 422} else ""))

    def _connections(self) -> urllib3.PoolManager:
        if self._pool is None:
            try:
                # Given explicitly, so that no environment variable changes whom is trusted.
                context = ssl.create_default_context(cadata=self._endpoint.ca_pem or None)
            except ssl.SSLError:
                raise ConfigError("the CA of metrics.prometheus is no PEM certificate", file="bennu.yaml") from None
            seconds = self._endpoint.timeout_s
            # One repetition of what never reached the server: a kept connection that it had closed. Queries change nothing.
            retries = urllib3.Retry(total=1, connect=0, read=1, redirect=0, allowed_methods=None, backoff_factor=0)
            self._pool = urllib3.PoolManager(ssl_context=context, timeout=urllib3.Timeout(connect=min(3.0, seconds), read=seconds), retries=retries)
        return self._pool

    def _down(self, why: str) -> DependencyDown:
        return DependencyDown(
            f"Prometheus at {self._endpoint.url} cannot be asked: {why}", next_step="check metrics.prometheus in bennu.yaml: url, headers, token"
        )


def _escaped(value: str) -> str:
    """A label value inside double quotes (PromQL's string escapes)."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _window(seconds: float) -> str:
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{round(seconds * 1000)}ms"


def _why(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    if isinstance(cause, urllib3.exceptions.SSLError):
        return "its certificate is not trusted"
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        inner = cause.__cause__ or cause.__context__
        return getattr(inner, "strerror", None) or "no connection"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "no answer in time"
    return str(cause)
