"""What a DaemonSet does next. The lab's clusters have one node, so it is one pod, made anew when the template changes.

Pure. Node selectors and tolerations are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bennu.lab.controllers.workloads_templates import Json, Plan, hash_of, is_ready, is_terminating, pod_of, suffix

REVISION = "controller-revision-hash"


def plan_daemonset(daemon: Mapping[str, Any], pods: Sequence[Json]) -> Plan:
    """The pod to create or those to delete, and the status."""
    revision = hash_of(daemon["spec"]["template"])
    alive = [p for p in pods if not is_terminating(p)]
    current = [p for p in alive if (p["metadata"].get("labels") or {}).get(REVISION) == revision]
    keeps_old = (daemon["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"
    stale = () if keeps_old else tuple(str(p["metadata"]["name"]) for p in alive if p not in current)
    births = () if pods else (pod_of(daemon, f"{daemon['metadata']['name']}-{suffix()}", {REVISION: revision}),)
    return Plan(births, stale, _status(daemon, alive, current))


def _status(daemon: Mapping[str, Any], alive: Sequence[Json], current: Sequence[Json]) -> Json:
    ready = sum(is_ready(p) for p in alive)
    return {
        "observedGeneration": daemon["metadata"].get("generation", 1),
        "desiredNumberScheduled": 1,
        "currentNumberScheduled": min(1, len(alive)),
        "updatedNumberScheduled": min(1, len(current)),
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": ready,
        "numberUnavailable": max(0, 1 - ready),
    }
