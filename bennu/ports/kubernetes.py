"""One cluster's Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

# A Kubernetes object or patch as JSON: the API's own shape, not ours to retype.
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """An API kind, e.g. ``Kind("gateway.networking.k8s.io/v1", "HTTPRoute")``; core kinds have ``api_version="v1"``."""

    api_version: str
    kind: str


@dataclass(frozen=True)
class Ref:
    """One object. ``namespace`` is empty for cluster-scoped kinds."""

    kind: Kind
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.kind} {where}{self.name}"


class Conflict(Exception):
    """409: the resourceVersion is not the current one, or another manager owns a field. The caller reads again and decides again."""


class Kubernetes(Protocol):
    """What Bennu asks of one cluster.

    Every method raises DependencyDown when the API does not answer or the credential is refused (401), GateRefused for a missing verb (403, naming verb and
    resource). Nothing here retries a write of unknown outcome: the step that asked observes again.
    """

    @property
    def context(self) -> str:
        """The kubeconfig context, for messages."""

    def endpoint(self) -> tuple[str, str]:
        """(server URL, CA as PEM; empty where the system's trust store decides): what another cluster's credentials to this one name."""

    def credential_expiry(self, needed_until: datetime) -> datetime | None:
        """When the credential in use ends (zone UTC), None = not known. One that ends before *needed_until* is renewed first, where a plugin or a token file renews it."""

    def uid(self) -> str:
        """UID of namespace ``kube-system``: the cluster's identity."""

    def version(self) -> str:
        """``gitVersion`` of the API server, e.g. ``v1.33.1``; also the cheapest health check."""

    def serves(self, kind: Kind) -> bool:
        """Whether discovery lists the kind (its CRD is established)."""

    def get(self, ref: Ref) -> Json | None:
        """The object, or None if it (or its kind) does not exist."""

    def list(self, kind: Kind, *, namespace: str = "", labels: str = "") -> tuple[Json, ...]:
        """All objects of a kind (in one namespace, by label selector); empty if the kind is not served. Items carry apiVersion and kind."""

    def apply(self, obj: Json, *, force: bool = False) -> Json:
        """Server-side apply under field manager ``bennu``; returns the live object. A ``metadata.resourceVersion`` in *obj* makes it a compare-and-swap. Raises Conflict."""

    def patch(self, ref: Ref, change: Json) -> Json:
        """JSON merge patch; a ``metadata.resourceVersion`` in *change* makes it a compare-and-swap. Raises Conflict; DependencyDown if there is no such object."""

    def patch_status(self, ref: Ref, change: Json) -> Json:
        """JSON merge patch of the status subresource."""

    def delete(self, ref: Ref) -> bool:
        """Delete in the background; False if there was none."""

    def can(self, verb: str, kind: Kind, namespace: str = "") -> bool:
        """SelfSubjectAccessReview."""

    def forwarded(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A local (host, port) that reaches the pod's port while the context is open."""

    def watch(self, kind: Kind, *, namespace: str = "", timeout: float) -> Iterator[Json]:
        """Events ``{"type", "object"}`` from now until *timeout* seconds have passed."""
