"""Metrics that tests set: traffic by cluster and backend, gateways, ingress."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.errors import DependencyDown
from bennu.ports.metrics import Client, RouteRef, Traffic

NOTHING = Traffic(None, None, None, None)


class MemoryMetrics:
    """Port ``Metrics``. What was not set cannot be said."""

    def __init__(self) -> None:
        self.backends: dict[tuple[Colour, str, str, str], Traffic] = {}  # (cluster, namespace, route, backend)
        self.gateways: dict[tuple[Colour, str], bool] = {}
        self.ingress: dict[Colour, tuple[Client, ...]] = {}
        self.up = True

    def traffic(self, cluster: Colour, route: RouteRef, window_s: float) -> Traffic:
        self._answering()
        return self.backends.get((cluster, route.namespace, route.route, route.backend), NOTHING)

    def gateway_alive(self, cluster: Colour, target_cluster: str) -> bool | None:
        self._answering()
        return self.gateways.get((cluster, target_cluster))

    def ingress_rps(self, cluster: Colour, window_s: float) -> float | None:
        self._answering()
        clients = self.ingress.get(cluster)
        return None if clients is None else sum(client.rps for client in clients)

    def ingress_clients(self, cluster: Colour, window_s: float) -> tuple[Client, ...]:
        self._answering()
        sending = [client for client in self.ingress.get(cluster, ()) if client.rps > 0]
        return tuple(sorted(sending, key=lambda client: client.rps, reverse=True)[:5])

    def _answering(self) -> None:
        if not self.up:
            raise DependencyDown("Prometheus cannot be asked: Connection refused", next_step="check metrics.prometheus")
