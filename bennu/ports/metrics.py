"""What the traffic says: success, latency, restarts, residual requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from bennu.core.clusters import Colour


@dataclass(frozen=True)
class RouteRef:
    """A route and one of its backends, as Linkerd's metrics name them."""

    namespace: str
    route: str
    parent: str
    backend: str


@dataclass(frozen=True)
class Traffic:
    """Requests to one backend within a window. None = no series, NaN, or stale: nothing can be said. ``p99_ms`` in milliseconds; ``age_s``: age of the newest sample."""

    requests: float | None
    failures: float | None
    p99_ms: float | None
    age_s: float | None


@dataclass(frozen=True)
class Client:
    """Who still sends requests: address or user agent, requests a second."""

    name: str
    rps: float


class Metrics(Protocol):
    """A Prometheus (or what speaks its HTTP API). Raises DependencyDown if it does not answer at all; an empty answer is data (None), not an error."""

    def traffic(self, cluster: Colour, route: RouteRef, window_s: float) -> Traffic:
        """As seen by the proxies of *cluster*."""

    def gateway_alive(self, cluster: Colour, target_cluster: str) -> bool | None:
        """The mirror controller's ``gateway_alive`` in *cluster* towards *target_cluster*; None = cannot be read."""

    def ingress_rps(self, cluster: Colour, window_s: float) -> float | None:
        """Requests a second that enter *cluster* from outside."""

    def ingress_clients(self, cluster: Colour, window_s: float) -> tuple[Client, ...]:
        """The same by client, busiest first, five at the most."""
