"""What moves with the traffic: apps, workloads, the canary's measurements, the switchover, DNS, the drain."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from bennu.settings.fields import Label, Line, Name, Number, RepoPath, Seconds, SecretRef, Section, Share, Url, Whole
from bennu.settings.state import ObjectSettings, ServiceSettings

# Headers that carry a login: their values would be secrets in the file.
_SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "api-key", "apikey", "token", "secret", "password")


class RouteSettings(Section):
    """An app's route."""

    namespace: Label
    name: Name
    kind: Literal["HTTPRoute"] = "HTTPRoute"


class CapacitySettings(Section):
    """What must be ready before a weight."""

    deployment: Name
    headroom: Number = 1.0
    prescale: Literal["match-source", "none"] = "none"


class AppSettings(Section):
    """An app whose traffic moves. ``service`` defaults to the route's namespace, the app's name and port 80; ``follows_within`` is what was measured of its way of reading the pointer."""

    name: Label
    route: RouteSettings
    service_: ServiceSettings | None = Field(default=None, alias="service")
    reads_pointer: Literal["watch", "file", "env", "service"] = "watch"
    follows_within: Seconds | None = None
    capacity: CapacitySettings | None = None

    @property
    def service(self) -> ServiceSettings:
        """The route's parent and local backend."""
        return self.service_ or ServiceSettings(namespace=self.route.namespace, name=self.name, port=80)


class WorkloadSettings(Section):
    """A workload that may run once (``active_only``) or everywhere (``both``, where name may be a pattern)."""

    kind: Literal["CronJob", "Deployment", "StatefulSet"]
    namespace: Line
    name: Line
    stop_within: Seconds = 60.0
    kustomization: Name | None = None


class PrometheusSettings(Section):
    """What speaks Prometheus' HTTP API."""

    url: Url
    headers: dict[str, Line] = Field(default={})
    token: SecretRef | None = None

    @field_validator("headers")
    @classmethod
    def _no_secret(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if any(word in name.lower() for word in _SECRET_HEADERS):
                raise ValueError(f"{name} would hold a secret; use token with env: or file:")
        return headers


class MetricsSettings(Section):
    """Where the canary's numbers come from."""

    prometheus: PrometheusSettings
    selector: str = 'cluster="{colour}"'
    provider: Literal["prometheus", "command"] = "prometheus"


class SuccessSettings(Section):
    """Success rate."""

    min: Share | None = None
    against: Literal["absolute", "source"] = "absolute"
    ignore_codes: tuple[Whole, ...] = ()


class LatencySettings(Section):
    """99th percentile, seconds."""

    max: Seconds | None = None
    against: Literal["absolute", "source"] = "absolute"
    worse_by: Share | None = None


class CheckSettings(Section):
    """A user's own check."""

    name: Label
    in_: Literal["source", "target"] | None = Field(default=None, alias="in")
    job: RepoPath | None = None
    command: tuple[str, ...] | None = None
    before: Share | None = None
    at: Literal["each-weight"] | None = None


class CanarySettings(Section):
    """S5. Absent numbers come from the policy."""

    weights: tuple[Annotated[Whole, Field(ge=1, le=99)], ...] | None = None
    window: Seconds | None = None
    success: SuccessSettings | None = None
    p99: LatencySettings | None = None
    no_traffic: Literal["hold"] = "hold"
    checks: tuple[CheckSettings, ...] = ()

    @field_validator("weights")
    @classmethod
    def _rising(cls, weights: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if weights is not None and (not weights or list(weights) != sorted(set(weights))):
            raise ValueError("must rise, each from 1 to 99 (100 is the promotion)")
        return weights


class SwitchoverSettings(Section):
    """S6."""

    pause_budget: Seconds | None = None
    window: str | None = None
    when_paused: Literal["keep-watching", "weights-to-source", "unwatched"] = "keep-watching"


class DnsSettings(Section):
    """S7: an ExternalDNS DNSEndpoint. ``controller`` None where ExternalDNS runs outside the group's clusters."""

    kind: Literal["externaldns"] = "externaldns"
    records: Annotated[tuple[Line, ...], Field(min_length=1)]
    endpoint: ObjectSettings | None = None
    txt_owner: Line | None = None
    target_service: ObjectSettings = ObjectSettings(namespace="ingress-apisix", name="apisix-gateway")
    controller: WorkloadSettings | None = WorkloadSettings(kind="Deployment", namespace="external-dns", name="external-dns")
    prelower: Seconds | None = None
    verify: Annotated[tuple[Line, ...], Field(min_length=1)] = ("authoritative",)


class ResidualSettings(Section):
    """Traffic that may still reach the source."""

    rps: Number | None = None
    ignore: tuple[str, ...] = ()


class DrainSettings(Section):
    """S8."""

    keep_source: Seconds | None = None
    residual: ResidualSettings | None = None
