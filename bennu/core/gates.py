"""The exit criterion of each phase: observations in, a three-valued verdict out.

Pure: what was observed comes in as values, None meaning "could not be observed", which never opens a gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime

from bennu.core.verdict import Verdict, opened, shut, unknown, worst


@dataclass(frozen=True)
class NodeState:
    """A node and whether its Ready condition is True."""

    name: str
    ready: bool


def cluster_ready(version: str | None, nodes: tuple[NodeState, ...] | None) -> Verdict:
    """S1: the Kubernetes API is reachable and all nodes are ready (at least one)."""
    if version is None:
        return shut("the Kubernetes API does not answer yet")
    if nodes is None:
        return unknown("the nodes could not be listed")
    waiting = [node.name for node in nodes if not node.ready]
    if not nodes:
        return shut("the cluster has no nodes yet")
    if waiting:
        return shut(f"{len(nodes) - len(waiting)} of {len(nodes)} nodes ready; waiting for {', '.join(waiting[:3])}")
    noun = "node" if len(nodes) == 1 else "nodes"
    return opened(f"Kubernetes {version}, {len(nodes)} {noun} ready", ("nodes", str(len(nodes))))


@dataclass(frozen=True)
class Reconciliation:
    """One Flux object's status, as far as "has it applied this commit?" needs it. ``revision`` is ``<branch>@sha1:<commit>``."""

    name: str
    suspended: bool
    generation_current: bool
    ready: str  # "True", "False", "Unknown" or "" where there is no condition
    message: str
    revision: str


def flux_at(commit: str, objects: tuple[Reconciliation, ...], descends: bool = False) -> Verdict:
    """S2 and every later commit: all Flux objects Ready at *commit*. By revision, never by time.

    *descends* says that the applied revision was found to be a later commit than ours (someone pushed behind us), which is as good.
    """
    if not objects:
        return shut("no Flux object exists yet")
    if not commit:
        return unknown("the commit that Flux should be at is not known")
    waiting = [found for found in (_reconciled(commit, one, descends) for one in objects) if not found.is_open]
    if not waiting:
        return opened(f"{len(objects)} Flux objects at {commit[:12]}")
    # One in full, the others as a number: after each commit all of them are behind at first.
    first = next((found for found in waiting if found.failed), waiting[0])
    return replace(first, reason=f"{first.reason}, and {len(waiting) - 1} more") if len(waiting) > 1 else first


def _reconciled(commit: str, one: Reconciliation, descends: bool) -> Verdict:
    if one.suspended:
        return Verdict(shut("").answer, f"{one.name} is suspended", failed=True)
    if one.ready == "False" and one.generation_current:
        return shut(f"{one.name} is not ready: {one.message}")
    if not one.generation_current or one.ready != "True":
        # On a failure Flux leaves observedGeneration where it was: what it says then is the reason that somebody is looking for.
        said = f" (it says: {one.message})" if one.ready == "False" and one.message else ""
        return shut(f"{one.name} has not finished reconciling{said}")
    if one.revision and not one.revision.endswith(commit) and not descends:
        return shut(f"{one.name} is at {one.revision[-12:]}, waiting for {commit[:12]}")
    return opened(f"{one.name} at {commit[:12]}")


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet: wanted and available replicas."""

    name: str
    wanted: int
    available: int


def control_plane_ready(workloads: tuple[Workload, ...], issuer_ends: datetime | None, needed_until: datetime) -> Verdict:
    """S2: Linkerd's control plane healthy, its identity issuer valid for longer than the rotation."""
    if not workloads:
        return shut("Linkerd's control plane is not there yet")
    lacking = [w.name for w in workloads if w.available < max(w.wanted, 1)]
    if lacking:
        return shut(f"Linkerd: waiting for {', '.join(lacking)}")
    if issuer_ends is None:
        return unknown("Linkerd's identity issuer cannot be read yet")
    if issuer_ends <= needed_until:
        return Verdict(shut("").answer, f"Linkerd's identity issuer ends {issuer_ends:%Y-%m-%d %H:%M}Z, before the rotation would", failed=True)
    return opened(f"Linkerd healthy ({len(workloads)} workloads), issuer valid until {issuer_ends:%Y-%m-%d}")


@dataclass(frozen=True)
class LinkView:
    """One direction of the mesh as the importing cluster sees it. ``mirrored``: (mirror service, Mirrored condition True, reason). None = not observable."""

    name: str
    exists: bool
    expected: tuple[str, ...]
    mirrored: tuple[tuple[str, bool, str], ...] = ()
    ready_addresses: dict[str, bool] = field(default_factory=dict)
    gateway_alive: bool | None = None
    peer_api: bool | None = None


def link_ready(link: LinkView) -> Verdict:
    """S3: there is no Link-level Ready in Linkerd, so it is computed (facts.md): mirrored, ready addresses, a live gateway, the other API server answering."""
    if not link.exists:
        return shut(f"{link.name}: the Link does not exist yet")
    states = {name: (good, reason) for name, good, reason in link.mirrored}
    for wanted in link.expected:
        if wanted not in states:
            return shut(f"{link.name}: waiting for mirror service {wanted}")
        good, reason = states[wanted]
        if not good:
            return shut(f"{link.name}: {wanted} is not mirrored ({reason})")
        if not link.ready_addresses.get(wanted, False):
            return shut(f"{link.name}: {wanted} has no ready address: the gateway does not answer its probe, or the service has no ready pod")
    if link.gateway_alive is None:
        # Never probed looks like alive to the mirror controller; to us it is unknown.
        return unknown(f"{link.name}: gateway_alive has no sample yet")
    if not link.gateway_alive:
        return shut(f"{link.name}: the gateway is down")
    if link.peer_api is None:
        return unknown(f"{link.name}: the other API server was not asked yet")
    if not link.peer_api:
        return shut(f"{link.name}: the other API server does not answer, so the mirrors cannot follow it")
    return opened(f"{link.name}: {len(link.expected)} services mirrored, gateway alive")


@dataclass(frozen=True)
class LagPoint:
    """One sample of the lag: when (seconds since boot), the lower estimate ``max(0, S(t0) − T(t1))`` in bytes and the upper ``S(t2) − T(t1)``."""

    at: float
    lower: int
    upper: int


def lag_soaked(points: tuple[LagPoint, ...], limit_bytes: int, soak_s: float) -> Verdict:
    """S4: lag below the limit for *soak_s* without interruption; any breach starts the time again. The newest point is last.

    So does a hole: between two samples further apart than half of the soak (a laptop asleep, a Redis that did not answer) nobody saw whether it held.
    """
    if not points:
        return unknown("replication lag has not been sampled yet")
    newest = points[-1]
    since = newest.at
    for point in reversed(points):
        if point.lower >= limit_bytes or since - point.at > soak_s / 2:
            break
        since = point.at
    figures = (("lag_bytes", str(newest.lower)), ("lag_upper_bytes", str(newest.upper)))
    if newest.lower >= limit_bytes:
        return Verdict(shut("").answer, f"lag {newest.lower} bytes, below {limit_bytes} is needed", figures=figures)
    held = newest.at - since
    if held < soak_s:
        return Verdict(shut("").answer, f"lag {newest.lower} bytes, below {limit_bytes} for {held:.0f} of {soak_s:.0f} s", figures=figures)
    return Verdict(opened("").answer, f"lag {newest.lower} bytes (at most {newest.upper}), below {limit_bytes} for {held:.0f} s", figures=figures)


def dns_moved(answers: dict[tuple[str, str], tuple[str, ...] | None], wanted: str) -> Verdict:
    """S7: every (record, server) answers with *wanted* alone. None = that server did not answer."""
    if not answers:
        return unknown("no name server was asked")

    def one(key: tuple[str, str], targets: tuple[str, ...] | None) -> Verdict:
        record, server = key
        if targets is None:
            return unknown(f"{server} does not answer for {record}")
        if targets != (wanted,):
            return shut(f"{record} at {server} is still {', '.join(targets) or 'nothing'}")
        return opened(f"{record} → {wanted} at {server}")

    return worst(one(key, targets) for key, targets in answers.items())


def drained(rps: float | None, limit_rps: float, clients: tuple[str, ...]) -> Verdict:
    """S8: the source serves no more than *limit_rps* requests a second; whoever still calls is named."""
    if rps is None or not math.isfinite(rps):
        return unknown("the source's incoming traffic cannot be measured")
    if rps > limit_rps:
        return shut(
            f"the source still serves {rps:.1f} requests a second (at most {limit_rps}); clients: {', '.join(clients) or 'unknown'}",
            ("residual_rps", f"{rps:.2f}"),
        )
    return opened(f"the source serves {rps:.2f} requests a second", ("residual_rps", f"{rps:.2f}"))


def none_running(kind: str, name: str, running: int | None) -> Verdict:
    """S6: no pod of an ``active_only`` workload runs any more."""
    if running is None:
        return unknown(f"the pods of {kind} {name} could not be listed")
    if running:
        return shut(f"{kind} {name}: {running} still running")
    return opened(f"{kind} {name}: none running")
