"""What a StatefulSet does next: ordered pods, a claim for each volume template, updates from the last ordinal down.

Pure. Pods are ``<name>-<ordinal>``; one that is made anew gets the present template at once (the lab keeps no ControllerRevisions, so an ``OnDelete`` set's
pod takes the new template when it is deleted, as the real one's does). A pod that never becomes ready blocks an update, as it does in Kubernetes. Claims outlive the set, as with the default retention policy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bennu.lab.controllers.workloads_templates import Json, Plan, hash_of, is_ready, is_terminating, phase_of, pod_of

REVISION = "controller-revision-hash"
_DONE = ("Succeeded", "Failed")


def plan_statefulset(stateful: Mapping[str, Any], pods: Sequence[Json], claims: Sequence[str]) -> Plan:
    """The next pod to create or to delete, the claims that are missing (*claims* are the namespace's names), and the status."""
    wanted = int(stateful["spec"].get("replicas", 1))
    by_ordinal = {o: p for p in pods if (o := _ordinal(p, stateful)) is not None}
    revision = hash_of(stateful["spec"]["template"])
    create, delete = _next(stateful, by_ordinal, wanted, revision)
    missing = [c for pod in create for c in _claims(stateful, _ordinal(pod, stateful) or 0) if c["metadata"]["name"] not in claims]
    return Plan((*missing, *create), delete, _status(stateful, by_ordinal, revision))


def _next(stateful: Mapping[str, Any], pods: Mapping[int, Json], wanted: int, revision: str) -> tuple[tuple[Json, ...], tuple[str, ...]]:
    parallel = stateful["spec"].get("podManagementPolicy") == "Parallel"
    births = []
    for ordinal in range(wanted):
        pod = pods.get(ordinal)
        if pod is None:
            births.append(_pod(stateful, ordinal, revision))
        if not parallel and (pod is None or not _settled(pod)):
            # A pod that ended for good is deleted and made again under its own name.
            ended = (_name(pod),) if pod is not None and phase_of(pod) in _DONE and not is_terminating(pod) else ()
            return tuple(births), ended
    if births:
        return tuple(births), ()
    surplus = [p for o, p in sorted(pods.items(), reverse=True) if o >= wanted]
    if surplus:
        ending = surplus if parallel else surplus[:1]
        return (), tuple(_name(p) for p in ending if not is_terminating(p))
    return (), _stale(stateful, pods, wanted, revision)


def _stale(stateful: Mapping[str, Any], pods: Mapping[int, Json], wanted: int, revision: str) -> tuple[str, ...]:
    """The highest ordinal whose template is an old one, if every pod is ready."""
    if any(not _settled(p) for p in pods.values()):
        return ()
    for ordinal in range(wanted - 1, -1, -1):
        if _rolls(stateful, ordinal) and _revision(pods[ordinal]) != revision:
            return (_name(pods[ordinal]),)
    return ()


def _rolls(stateful: Mapping[str, Any], ordinal: int) -> bool:
    strategy = stateful["spec"].get("updateStrategy") or {}
    partition = int((strategy.get("rollingUpdate") or {}).get("partition", 0))
    return strategy.get("type", "RollingUpdate") == "RollingUpdate" and ordinal >= partition


def _settled(pod: Json) -> bool:
    return is_ready(pod) and not is_terminating(pod)


def _revision(pod: Json) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])


def _ordinal(pod: Mapping[str, Any], stateful: Mapping[str, Any]) -> int | None:
    head, _, tail = str(pod["metadata"]["name"]).rpartition("-")
    return int(tail) if head == stateful["metadata"]["name"] and tail.isdigit() else None


def _pod(stateful: Mapping[str, Any], ordinal: int, revision: str) -> Json:
    name = f"{stateful['metadata']['name']}-{ordinal}"
    labels = {REVISION: revision, "statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
    pod = pod_of(stateful, name, labels)
    templates = stateful["spec"].get("volumeClaimTemplates") or []
    own = {str(t["metadata"]["name"]) for t in templates}
    volumes = [v for v in pod["spec"].get("volumes") or [] if v["name"] not in own]
    claimed = [{"name": n, "persistentVolumeClaim": {"claimName": f"{n}-{name}"}} for n in sorted(own)]
    pod["spec"] = {**pod["spec"], "volumes": volumes + claimed, "hostname": name, "subdomain": stateful["spec"].get("serviceName", "")}
    return pod


def _claims(stateful: Mapping[str, Any], ordinal: int) -> Iterator[Json]:
    for template in stateful["spec"].get("volumeClaimTemplates") or []:
        meta = template["metadata"]
        labels = {**((stateful["spec"].get("selector") or {}).get("matchLabels") or {}), **(meta.get("labels") or {})}
        yield {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": f"{meta['name']}-{stateful['metadata']['name']}-{ordinal}",
                "namespace": stateful["metadata"]["namespace"],
                "labels": labels,
                "annotations": dict(meta.get("annotations") or {}),
            },
            "spec": copy.deepcopy(template.get("spec") or {}),
        }


def _status(stateful: Mapping[str, Any], pods: Mapping[int, Json], revision: str) -> Json:
    alive = [p for p in pods.values() if not is_terminating(p)]
    updated = [p for p in alive if _revision(p) == revision]
    current = (stateful.get("status") or {}).get("currentRevision", revision)
    name = stateful["metadata"]["name"]
    complete = len(updated) == len(alive)
    return {
        "observedGeneration": stateful["metadata"].get("generation", 1),
        "replicas": len(pods),
        "readyReplicas": sum(is_ready(p) for p in alive),
        "availableReplicas": sum(is_ready(p) for p in alive),
        "updatedReplicas": len(updated),
        "currentReplicas": len(updated) if complete else len(alive) - len(updated),
        "updateRevision": f"{name}-{revision}",
        "currentRevision": f"{name}-{revision}" if complete else current,
        "collisionCount": 0,
    }
