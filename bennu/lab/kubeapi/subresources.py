"""The subresources that are not just a part of the object: scale, token, log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bennu.lab.kubeapi.cluster import Cluster
from bennu.lab.kubeapi.json_paths import value_at
from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.metadata import now
from bennu.lab.kubeapi.problems import MODIFIED, Obj, bad_request, conflict, not_found
from bennu.lab.kubeapi.requests import Target, WriteOptions
from bennu.lab.kubeapi.writer import in_version

LOG_ANNOTATION = "lab.bennu.io/log"
_BUILT_IN_PATHS = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _paths(resource: ResourceType) -> Mapping[str, str]:
    return resource.custom.scale if resource.custom is not None else _BUILT_IN_PATHS


def scale_of(resource: ResourceType, obj: Obj) -> Obj:
    """The ``autoscaling/v1 Scale`` of an object."""
    paths = _paths(resource)
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", {}) if isinstance(selector, dict) else {}
    own = obj["metadata"]
    metadata = {field: own[field] for field in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if field in own}
    status: Obj = {"replicas": value_at(obj, paths["statusReplicasPath"]) or 0}
    if labels:
        status["selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": value_at(obj, paths["specReplicasPath"]) or 0},
        "status": status,
    }


def scaled(cluster: Cluster, target: Target, change: Callable[[Obj], Obj], options: WriteOptions) -> Obj:
    """Write the replicas of a Scale that *change* makes of the present one; returns the new Scale. Raises 404, 409, 400."""
    resource = target.resource
    live = cluster.store.get(target.address)
    if live is None:
        raise not_found(resource.group, resource.plural, target.name)
    wanted = change(scale_of(resource, live))
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request("spec.replicas: Invalid value: must be a number greater than or equal to 0")
    asked = (wanted.get("metadata") or {}).get("resourceVersion")
    if asked and asked != live["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, target.name, MODIFIED)
    steps = [part for part in _paths(resource)["specReplicasPath"].split(".") if part]

    def write(old: Obj) -> Obj:
        new: Obj = copied(old)
        node = new
        for step in steps[:-1]:
            node = node.setdefault(step, {})
        node[steps[-1]] = replicas
        return new

    return scale_of(resource, in_version(cluster.writer.patch(target, write, options).object, resource))


def issued_token(cluster: Cluster, target: Target, body: Obj) -> Obj:
    """Answer a TokenRequest. Raises 404 for an unknown ServiceAccount."""
    if cluster.store.get(target.address) is None:
        raise not_found("", "serviceaccounts", target.name)
    spec = body.get("spec") or {}
    seconds = int(spec.get("expirationSeconds") or 3600)
    until = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    token = cluster.identities.issue(target.namespace, target.name, seconds)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": target.name, "namespace": target.namespace, "creationTimestamp": now()},
        "spec": {**spec, "expirationSeconds": seconds},
        "status": {"token": token, "expirationTimestamp": until},
    }


def log_of(pod: Obj, query: Mapping[str, str]) -> str:
    """The pod's log: the file that its kubelet named in an annotation; empty for emulated pods, which print nothing."""
    file = (pod["metadata"].get("annotations") or {}).get(LOG_ANNOTATION)
    if not file or not Path(file).is_file():
        return ""
    tail = query.get("tailLines", "")
    with Path(file).open(encoding="utf-8", errors="replace") as lines:
        return "".join(deque(lines, maxlen=int(tail) if tail.isdigit() else None))
