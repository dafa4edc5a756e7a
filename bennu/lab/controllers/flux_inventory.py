"""Applying a set of objects in stages, and pruning what left it: shared by the Kustomization and the ResourceSet controllers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bennu.lab.client import ApiClient, ApiError

Json = dict[str, Any]
# Accounts before the rest: the lab's API server mints a token Secret at once and wants its account to be there, where the real one leaves that to a controller.
_STAGES = {"Namespace": 0, "CustomResourceDefinition": 0, "ClusterRole": 1, "ServiceAccount": 1}
_LAST = 2
RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
SSA = "kustomize.toolkit.fluxcd.io/ssa"
PRUNE = "kustomize.toolkit.fluxcd.io/prune"


@dataclass(frozen=True)
class Owner:
    """Who applies: ``manager`` of the fields, and the prefix of the two labels that mark what is its own. ``obj`` is the Kustomization or ResourceSet."""

    manager: str
    group: str
    obj: Mapping[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """What every object of its set carries."""
        meta = self.obj["metadata"]
        return {f"{self.group}/name": meta["name"], f"{self.group}/namespace": meta["namespace"]}


def inventory(obj: Mapping[str, Any]) -> list[Json]:
    """The entries that a Kustomization's or ResourceSet's status holds."""
    return list(((obj.get("status") or {}).get("inventory") or {}).get("entries") or [])


def entry(obj: Mapping[str, Any]) -> Json:
    """An object's inventory entry, as Flux writes it: ``{"id": "<namespace>_<name>_<group>_<kind>", "v": "<version>"}``, a colon in the name doubled to ``__``."""
    meta = obj["metadata"]
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    return {"id": f"{meta.get('namespace', '')}_{meta['name'].replace(':', '__')}_{group}_{obj['kind']}", "v": version}


def named(found: Mapping[str, Any]) -> Json:
    """What an inventory entry names."""
    rest, group, kind = str(found["id"]).rsplit("_", 2)
    namespace, name = rest.split("_", 1)
    meta = {"name": name.replace("__", ":"), **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": f"{group}/{found['v']}" if group else str(found["v"]), "kind": kind, "metadata": meta}


def entries(objects: Iterable[Mapping[str, Any]], left: Iterable[Json] = ()) -> Json:
    """The status' inventory: *objects*, and what could not be pruned yet."""
    found = {one["id"]: one for one in (*left, *(entry(obj) for obj in objects))}
    return {"entries": [found[identity] for identity in sorted(found)]}


async def apply_all(client: ApiClient, objects: Sequence[Json], owner: Owner) -> None:
    """Server-side apply, namespaces and CRDs first; objects that ask Flux to keep off are left alone. Raises ApiError naming the object.

    Each stage is tried dry before anything of it is written: one object that the server refuses keeps all others as they were.
    """
    for obj in objects:
        obj["metadata"]["labels"] = {**(obj["metadata"].get("labels") or {}), **owner.labels}
    for number in range(_LAST + 1):
        stage = [obj for obj in objects if _STAGES.get(obj["kind"], _LAST) == number]
        taken = await asyncio.gather(*(_tried(client, obj, owner.manager) for obj in stage))
        for obj, take in zip(stage, taken, strict=True):
            if take:
                await _applied(client, obj, owner.manager)


async def _tried(client: ApiClient, obj: Json, manager: str) -> bool:
    """Whether Flux may touch it; the server was asked whether it would take it."""
    meta = obj["metadata"]
    live = await client.find(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", ""))
    if _hands_off(obj, live):
        return False
    await _applied(client, obj, manager, dry_run=True)
    return True


async def _applied(client: ApiClient, obj: Json, manager: str, *, dry_run: bool = False) -> None:
    try:
        await client.apply(obj, manager, dry_run=dry_run)
    except ApiError as error:
        meta = obj["metadata"]
        name = f"{obj['kind']}/{meta.get('namespace', '')}/{meta['name']}".replace("//", "/")
        raise ApiError(error.code, error.reason, f"{name} {'dry-run' if dry_run else 'apply'} failed ({error.reason}): {error}") from None


def _hands_off(obj: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """The annotation counts on the live object as well as in Git (facts.md)."""
    for one in (obj, live or {}):
        notes = (one.get("metadata") or {}).get("annotations") or {}
        if notes.get(RECONCILE) == "disabled" or notes.get(SSA) == "Ignore" or (notes.get(SSA) == "IfNotPresent" and live is not None):
            return True
    return False


async def prune(client: ApiClient, before: Iterable[Json], after: Iterable[Mapping[str, Any]], owner: Owner) -> list[Json]:
    """Delete what was in the inventory and isn't in *after*; the entries that could not be deleted yet.

    Left alone, as by Flux: what asks for it by annotation, and what another owner has taken over meanwhile.
    """
    kept, left = {entry(obj)["id"] for obj in after}, []
    for found in before:
        if found["id"] in kept:
            continue
        try:
            obj = named(found)
            live = await client.find(obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
            if live is not None and _may_go(live, owner):
                await client.delete(live)
        except ApiError:
            left.append(found)
    return left


def _may_go(live: Mapping[str, Any], owner: Owner) -> bool:
    meta = live["metadata"]
    notes, labels = meta.get("annotations") or {}, meta.get("labels") or {}
    return "disabled" not in (notes.get(PRUNE), notes.get(RECONCILE)) and owner.labels.items() <= labels.items()
