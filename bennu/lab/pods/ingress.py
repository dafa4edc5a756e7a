"""Stands for APISIX and the meshed proxy beside it: takes users' requests, splits them by the HTTPRoutes' weights, and counts as Linkerd and APISIX do."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bennu.lab.places import write_private
from bennu.lab.pods.api import Api, Followed
from bennu.lab.pods.ending import until_told
from bennu.lab.pods.http import Pool, Request, served
from bennu.lab.pods.resolve import first_ready

_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0)
Key = tuple[tuple[str, str], ...]


class Choice:
    """Smooth weighted choice (as nginx does): 10 % is every tenth request, not a tenth on average."""

    def __init__(self) -> None:
        self._current: dict[str, float] = {}

    def next(self, weights: dict[str, int]) -> str:
        """The next backend; empty where no weight is above zero."""
        # What a backend was owed under an earlier weight must not bring it a request when it has none.
        weights = {name: weight for name, weight in weights.items() if weight > 0}
        if not weights:
            return ""
        self._current = {name: self._current.get(name, 0.0) + weight for name, weight in weights.items()}
        best = max(weights, key=lambda name: self._current[name])
        self._current[best] -= sum(weights.values())
        return best


class Ingress:
    """Routes, endpoints and counters."""

    def __init__(self, routes: Followed, endpoints: Followed) -> None:
        self.routes, self.endpoints = routes, endpoints
        self._choices: dict[str, Choice] = {}
        self._pool = Pool("lab-ingress")
        self.statuses: Counter[Key] = Counter()
        self.buckets: Counter[Key] = Counter()
        self.sums: Counter[Key] = Counter()
        self.edge: Counter[Key] = Counter()

    async def handle(self, request: Request) -> tuple[int, bytes]:
        """Split, forward, count."""
        route = next(iter(sorted(self.routes.objects.items())), None)
        if route is None:
            return self._counted(request, 404, b"no route")
        (namespace, name), obj = route
        backends = _backends(obj)
        choice = self._choices.setdefault(name, Choice())
        chosen = choice.next({backend: weight for backend, (weight, _) in backends.items()})
        status, body, took = await self._forwarded(request, namespace, chosen, backends)
        self._record(obj, chosen, status, took)
        return self._counted(request, status, body)

    async def _forwarded(self, request: Request, namespace: str, chosen: str, backends: dict[str, tuple[int, int]]) -> tuple[int, bytes, float]:
        begin = time.monotonic()
        endpoints = self.endpoints.objects.get((namespace, chosen), {})
        address = first_ready(endpoints, backends.get(chosen, (0, 0))[1])
        if address is None:
            return 503, b"no endpoint is ready", time.monotonic() - begin
        try:
            status, body = await self._pool.ask(address, request.method, request.path)
        except OSError:
            status, body = 502, b"the backend cannot be reached"
        return status, body, time.monotonic() - begin

    def _record(self, route: dict[str, Any], backend: str, status: int, took: float) -> None:
        meta = route["metadata"]
        parent = ((route["spec"].get("parentRefs") or [{}])[0]).get("name", "")
        labels = {
            "parent_name": parent,
            "parent_namespace": meta["namespace"],
            "route_name": meta["name"],
            "route_namespace": meta["namespace"],
            "backend_name": backend,
        }
        base = tuple(sorted(labels.items()))
        self.statuses[(*base, ("http_status", str(status)))] += 1
        for bound in (*_BOUNDS, float("inf")):
            # All buckets from the first request on, as every client library has them: one that only appears later lacks its first increase.
            self.buckets[(*base, ("le", "+Inf" if bound == float("inf") else f"{bound:g}"))] += took <= bound
        self.sums[base] += took  # type: ignore[assignment]  # seconds, in a Counter for its default

    def _counted(self, request: Request, status: int, body: bytes) -> tuple[int, bytes]:
        self.edge[(("client", request.agent), ("code", str(status)))] += 1
        return status, body

    async def metrics(self, request: Request) -> tuple[int, bytes]:
        """Prometheus' text format."""
        prefix = "outbound_http_route_backend_response"
        lines = [_line(f"{prefix}_statuses_total", key, value) for key, value in self.statuses.items()]
        lines += [_line(f"{prefix}_duration_seconds_bucket", key, value) for key, value in self.buckets.items()]
        lines += [_line(f"{prefix}_duration_seconds_sum", key, value) for key, value in self.sums.items()]
        lines += [_line("apisix_http_status", key, value) for key, value in self.edge.items()]
        return 200, ("\n".join(lines) + "\n").encode()


def _backends(route: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Backend → (weight, port)."""
    refs = [ref for rule in route["spec"].get("rules") or [] for ref in rule.get("backendRefs") or []]
    return {str(ref["name"]): (int(ref.get("weight", 1)), int(ref.get("port", 80))) for ref in refs}


def _line(name: str, key: Key, value: float) -> str:
    inner = ",".join('{}="{}"'.format(label, text.replace("\\", "\\\\").replace('"', '\\"')) for label, text in key)
    return f"{name}{{{inner}}} {float(value)!r}"


async def main() -> None:
    """Serve users on port 80 and metrics on 9091 of the pod."""
    api = Api.of_pod()
    ingress = Ingress(Followed(api, "/apis/gateway.networking.k8s.io/v1/httproutes"), Followed(api, "/api/v1/endpoints"))
    servers = [await served(int(os.environ["PORT_80"]), ingress.handle), await served(int(os.environ["PORT_9091"]), ingress.metrics)]
    cluster = Path(os.environ["BENNU_LAB_CLUSTER"])
    # What a cloud's load balancer would have been told: where the ingress really listens.
    write_private(cluster / "ingress-port", os.environ["PORT_80"])
    write_private(cluster / "ingress-metrics-port", os.environ["PORT_9091"])
    await until_told().wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
