"""What Flux does, one stage a tick: the source sees the branch, the directory is applied, the ResourceSet is filled in, the Kustomizations are applied and pruned.

A stage reads what the stage before left one tick earlier, so that a gate that believes Flux too early is found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import yaml

from bennu.phases.kinds import FLUX_OWNER, FLUX_RECONCILE, GIT_REPOSITORY, KUSTOMIZATION, REQUESTED_AT, RESOURCESET, annotations_of, ref_of
from bennu.ports.kubernetes import Json, Kind, Ref
from tests.sim.memory_kubernetes import MemoryKubernetes, copied
from tests.sim.memory_repository import MemoryRemote

NAMESPACE = "flux-system"
INTERVAL_S = 30.0
_READY = [{"type": "Ready", "status": "True", "message": "applied"}]


@lru_cache(maxsize=2000)
def parsed(text: str) -> tuple[Any, ...]:
    """The objects of a file; not to be changed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(one for one in yaml.load_all(text, Loader=loader) if one)


def reconcile(cluster: MemoryKubernetes, remote: MemoryRemote, now: float) -> None:
    """One tick of Flux, the last stage first."""
    if not cluster.serves(KUSTOMIZATION):
        return
    # Nothing but these is looked at; and once in an interval the branch is, whatever happens.
    seen = (cluster.changes(KUSTOMIZATION, RESOURCESET, GIT_REPOSITORY), remote.history[-1].commit.id, remote.down)
    if cluster.looked.get("flux") == seen and now < cluster.until:
        return
    for one in cluster.peek(KUSTOMIZATION, NAMESPACE):
        if not one["spec"].get("suspend"):
            _kustomization(cluster, remote, one)
    for one in cluster.peek(RESOURCESET, NAMESPACE):
        if annotations_of(one).get("fluxcd.controlplane.io/reconcile") != "disabled":
            _resource_set(cluster, one)
    for one in cluster.peek(GIT_REPOSITORY, NAMESPACE):
        if not one["spec"].get("suspend"):
            _source(cluster, remote, one, now)
    if cluster.changes(KUSTOMIZATION, RESOURCESET, GIT_REPOSITORY) == seen[0]:
        polled = [float(one.get("status", {}).get("at", -1e9)) for one in cluster.peek(GIT_REPOSITORY, NAMESPACE)]
        cluster.looked["flux"], cluster.until = seen, min(polled, default=-1e9) + INTERVAL_S


def _source(cluster: MemoryKubernetes, remote: MemoryRemote, one: Json, now: float) -> None:
    status, asked = one.get("status", {}), annotations_of(one).get(REQUESTED_AT, "")
    due = now - float(status.get("at", -1e9)) >= INTERVAL_S
    if not remote.down and (due or asked != status.get("lastHandledReconcileAt", "")):
        revision = f"main@sha1:{remote.history[-1].commit.id}"
        _status(cluster, one, {"at": now, "lastHandledReconcileAt": asked, "artifact": {"revision": revision}, "conditions": _READY})


def _kustomization(cluster: MemoryKubernetes, remote: MemoryRemote, one: Json) -> None:
    source = cluster.at(Ref(GIT_REPOSITORY, NAMESPACE, NAMESPACE)) or {}
    revision = source.get("status", {}).get("artifact", {}).get("revision", "")
    status, generation = one.get("status", {}), one["metadata"].get("generation", 1)
    asked = annotations_of(one).get(REQUESTED_AT, "")
    current = status.get("lastAppliedRevision") == revision and status.get("observedGeneration") == generation
    if not revision or (current and asked == status.get("lastHandledReconcileAt", "")):
        return
    folder, at = one["spec"]["path"].removeprefix("./"), revision.rpartition(":")[2]
    files = next(one.files for one in reversed(remote.history) if one.commit.id == at)
    paths = sorted(path for path in files if path.startswith(f"{folder}/") and path.endswith(".yaml"))
    found = [copied(obj) for path in paths for obj in parsed(files[path])]
    for patch in one["spec"].get("patches") or []:
        _patch(found, patch)
    inventory = apply_all(cluster, found, one["metadata"]["name"], status.get("inventory") or [])
    after = {"inventory": inventory, "lastAppliedRevision": revision, "observedGeneration": generation, "conditions": _READY, "lastHandledReconcileAt": asked}
    _status(cluster, cluster.at(ref_of(one)) or one, after)


def _patch(objects: list[dict[str, Any]], patch: Mapping[str, Any]) -> None:
    """JSON6902 ``add`` of top-level fields of ``spec``: what holds a workload."""
    for obj in objects:
        meta = obj["metadata"]
        if patch["target"] == {"kind": obj["kind"], "name": meta["name"], "namespace": meta.get("namespace")}:
            for operation in parsed(patch["patch"])[0]:
                obj["spec"][operation["path"].removeprefix("/spec/")] = operation["value"]


def _resource_set(cluster: MemoryKubernetes, one: Json) -> None:
    status, generation = one.get("status", {}), one["metadata"].get("generation", 1)
    if status.get("observedGeneration") == generation:
        return
    variant = one["spec"]["inputs"][0]["redisVariant"]
    found = []
    for resource in one["spec"]["resources"]:
        filled = copied(resource)
        filled["spec"]["path"] = filled["spec"]["path"].replace("<< inputs.redisVariant >>", variant)
        found.append(filled)
    inventory = apply_all(cluster, found, "", status.get("inventory") or [])
    _status(cluster, one, {"inventory": inventory, "observedGeneration": generation, "conditions": _READY})


def apply_all(cluster: MemoryKubernetes, objects: list[dict[str, Any]], owner: str, before: list[list[str]]) -> list[list[str]]:
    """Apply *objects* and prune what *before* has beyond them; the new inventory."""
    for obj in objects:
        applied(cluster, obj, owner)
    wanted = [_entry(ref_of(obj)) for obj in objects]
    for entry in before:
        ref = Ref(Kind(entry[0], entry[1]), entry[3], entry[2])
        live = cluster.at(ref)
        if entry not in wanted and live is not None and annotations_of(live).get(FLUX_RECONCILE) != "disabled":
            cluster.remove(ref)
    return wanted


def applied(cluster: MemoryKubernetes, obj: dict[str, Any], owner: str) -> None:
    """Server-side apply as Flux: what others wrote beside it stays."""
    ref = ref_of(obj)
    live = cluster.at(ref)
    if live is not None and annotations_of(live).get(FLUX_RECONCILE) == "disabled":
        return
    fresh = copied(obj)
    meta = fresh["metadata"]
    if owner:
        meta["labels"] = {**(meta.get("labels") or {}), FLUX_OWNER: owner}
    old: Mapping[str, Any] = live or {"metadata": {}}
    for part in ("labels", "annotations"):
        merged = {**(old["metadata"].get(part) or {}), **(meta.get(part) or {})}
        if merged:
            meta[part] = merged
    same = old.get("spec") == fresh.get("spec") and old.get("data") == fresh.get("data")
    meta["generation"] = old["metadata"].get("generation", 0) + (0 if live is not None and same else 1)
    for key, value in old.items():
        fresh.setdefault(key, value)
    for key, value in old["metadata"].items():
        meta.setdefault(key, value)
    if fresh != old:
        cluster.put(fresh, manager="flux")


def _entry(ref: Ref) -> list[str]:
    return [ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name]


def _status(cluster: MemoryKubernetes, one: Json, status: dict[str, Any]) -> None:
    cluster.put({**one, "status": {**(one.get("status") or {}), **status}}, manager="flux")
