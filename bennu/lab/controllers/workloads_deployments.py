"""What a Deployment does next: a rolling update that starts new pods before it ends old ones, or Recreate.

Pure. Its pods belong to the Deployment itself, told apart by ``pod-template-hash``: the lab has no ReplicaSets between them, hence no rollout history.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bennu.lab.controllers.workloads_templates import (
    TEMPLATE_HASH,
    Json,
    Plan,
    conditions_after,
    hash_of,
    is_ready,
    is_terminating,
    phase_of,
    pod_of,
    suffix,
)

_DONE = ("Succeeded", "Failed")


@dataclass(frozen=True)
class _Pods:
    """A Deployment's pods that aren't ending, by whether their template is today's."""

    new: tuple[Json, ...]
    old: tuple[Json, ...]
    ending: int

    @property
    def all(self) -> tuple[Json, ...]:
        return self.new + self.old

    @property
    def ready(self) -> int:
        return sum(is_ready(p) for p in self.all)


def plan_deployment(deployment: Mapping[str, Any], pods: Sequence[Json], now: str) -> Plan:
    """The next pods to create and to delete, and the status; *now* is RFC 3339."""
    digest = hash_of(deployment["spec"]["template"])
    mine = _sorted(pods, digest)
    wanted = int(deployment["spec"].get("replicas", 1))
    if _strategy(deployment) == "Recreate":
        births, deaths = _recreate(mine, wanted)
    else:
        births, deaths = _roll(mine, wanted, deployment["spec"])
    name = deployment["metadata"]["name"]
    create = tuple(pod_of(deployment, f"{name}-{digest}-{suffix()}", {TEMPLATE_HASH: digest}) for _ in range(births))
    return Plan(create, deaths, _status(deployment, mine, wanted, now))


def _sorted(pods: Sequence[Json], digest: str) -> _Pods:
    alive = [p for p in pods if not is_terminating(p) and phase_of(p) not in _DONE]
    new = tuple(p for p in alive if (p["metadata"].get("labels") or {}).get(TEMPLATE_HASH) == digest)
    old = tuple(p for p in alive if (p["metadata"].get("labels") or {}).get(TEMPLATE_HASH) != digest)
    return _Pods(new, old, len(pods) - len(alive))


def _strategy(deployment: Mapping[str, Any]) -> str:
    return str((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate"))


def _recreate(pods: _Pods, wanted: int) -> tuple[int, tuple[str, ...]]:
    """Old pods end first, wholly; only then new ones start."""
    if pods.old:
        return 0, _names(pods.old)
    if pods.ending:
        return 0, ()
    return max(0, wanted - len(pods.new)), _surplus(pods.new, wanted)


def _roll(pods: _Pods, wanted: int, spec: Mapping[str, Any]) -> tuple[int, tuple[str, ...]]:
    """As many new pods as the surge allows; old ones end as far as enough others are ready."""
    surge, unavailable = _bounds(spec, wanted)
    births = max(0, min(wanted - len(pods.new), wanted + surge - len(pods.all)))
    unready = [p for p in pods.old if not is_ready(p)]
    ready = [p for p in pods.old if is_ready(p)]
    spare = max(0, pods.ready - (wanted - unavailable))
    # An old pod that isn't ready serves nobody: it may go once new ones may come.
    return births, _surplus(pods.new, wanted) + _names(unready) + _names(ready[:spare])


def _bounds(spec: Mapping[str, Any], wanted: int) -> tuple[int, int]:
    rolling = (spec.get("strategy") or {}).get("rollingUpdate") or {}
    surge = math.ceil(_share(rolling.get("maxSurge", "25%"), wanted))
    unavailable = math.floor(_share(rolling.get("maxUnavailable", "25%"), wanted))
    # Kubernetes too makes progress possible where both round to nothing.
    return (surge, unavailable) if surge or unavailable else (1, 0)


def _share(value: int | str, of: int) -> float:
    if isinstance(value, str) and value.endswith("%"):
        return of * float(value[:-1]) / 100
    return float(value)


def _surplus(pods: Sequence[Json], wanted: int) -> tuple[str, ...]:
    """Those above *wanted*; the ones that aren't ready go first."""
    ranked = sorted(pods, key=is_ready)
    return _names(ranked[: max(0, len(pods) - wanted)])


def _names(pods: Sequence[Json]) -> tuple[str, ...]:
    return tuple(str(p["metadata"]["name"]) for p in pods)


def _status(deployment: Mapping[str, Any], pods: _Pods, wanted: int, now: str) -> Json:
    _, unavailable = _bounds(deployment["spec"], wanted)
    available = pods.ready >= wanted - unavailable
    new_ready = sum(is_ready(p) for p in pods.new)
    complete = new_ready >= wanted and not pods.old
    conditions = [
        {
            "type": "Available",
            "status": "True" if available else "False",
            "reason": "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable",
            "message": "Deployment has minimum availability." if available else "Deployment does not have minimum availability.",
        },
        {
            "type": "Progressing",
            "status": "True",
            "reason": "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated",
            "message": "all pods have the present template" if complete else "pods are being replaced",
        },
    ]
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": len(pods.all),
        "updatedReplicas": len(pods.new),
        "readyReplicas": pods.ready,
        "availableReplicas": pods.ready,
        "unavailableReplicas": max(0, wanted - pods.ready),
        "conditions": conditions_after(deployment, conditions, now),
    }
