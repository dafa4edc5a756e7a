"""How objects go: finalizers, graceful deletion of pods, propagation to dependents, and the emptying of namespaces and of removed CRDs.

Garbage collection here is eager: what a deletion brings with it has happened, or has been marked, when the request returns.
"""

from __future__ import annotations

from dataclasses import dataclass

from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.metadata import now
from bennu.lab.kubeapi.problems import Obj, conflict
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.store import Address, Store

FOREGROUND = "foregroundDeletion"
NAMESPACES = ("", "namespaces")
CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")


@dataclass(frozen=True)
class DeleteOptions:
    """``propagation`` is Background, Foreground or Orphan; ``grace`` in seconds, None for the object's own."""

    propagation: str = "Background"
    grace: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False


class Removal:
    """Deletes in one cluster's store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    def delete(self, address: Address, obj: Obj, options: DeleteOptions) -> Obj:
        """Delete an object, or mark it as about to go; returns its state as the client shall see it. Raises 409 where a precondition fails."""
        _preconditions(address, obj, options)
        if options.dry_run:
            return obj
        finalizers = list(obj["metadata"].get("finalizers") or [])
        if options.propagation == "Foreground" and self._dependents(obj) and FOREGROUND not in finalizers:
            finalizers.append(FOREGROUND)
        if options.propagation == "Orphan":
            self._orphan(obj)
        grace = _grace(obj, options)
        if address.key == NAMESPACES:
            return self._close_namespace(address, obj)
        if finalizers or grace:
            marked = self._mark(address, obj, finalizers, grace)
            if FOREGROUND in finalizers:
                self._collect(marked, Address(address.key, address.namespace, address.name))
            return self._store.get(address) or marked
        return self._erase(address, obj)

    def settle(self, address: Address) -> Obj | None:
        """Finish an object that was only waiting for its finalizers; returns it if it is gone now."""
        obj = self._store.get(address)
        if obj is None or "deletionTimestamp" not in obj["metadata"] or obj["metadata"].get("finalizers"):
            return None
        if address.key == NAMESPACES:
            self._finish_namespace(address.name)
            return None if self._store.get(address) else obj
        if obj["metadata"].get("deletionGracePeriodSeconds"):
            return None
        return self._erase(address, obj)

    def _mark(self, address: Address, obj: Obj, finalizers: list[str], grace: int) -> Obj:
        held = obj["metadata"]
        if "deletionTimestamp" in held and held.get("finalizers", []) == finalizers and held.get("deletionGracePeriodSeconds", 0) <= grace:
            return obj
        marked: Obj = copied(obj)
        metadata = marked["metadata"]
        metadata.setdefault("deletionTimestamp", now())
        metadata["deletionGracePeriodSeconds"] = min(grace, held.get("deletionGracePeriodSeconds", grace))
        if finalizers:
            metadata["finalizers"] = finalizers
        if "generation" in metadata and "deletionTimestamp" not in held:
            metadata["generation"] += 1
        return self._store.put(address, marked)

    def _erase(self, address: Address, obj: Obj) -> Obj:
        last = self._store.remove(address) or obj
        if address.key == CRDS:
            self._drop_resource(obj)
        self._collect(last, address)
        self._release_owners(last)
        if address.namespace:
            self._finish_namespace(address.namespace)
        return last

    def _drop_resource(self, crd: Obj) -> None:
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        for obj in self._store.list(key):
            place = Address(key, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            self._store.remove(place)
        self._registry.uninstall(crd)

    def _dependents(self, owner: Obj) -> list[tuple[Address, Obj]]:
        uid = owner["metadata"]["uid"]
        return [(place, obj) for place, obj in self._store.everything() if any(ref.get("uid") == uid for ref in obj["metadata"].get("ownerReferences") or ())]

    def _collect(self, owner: Obj, address: Address) -> None:
        """Delete the owner's dependents, but those that another living owner keeps."""
        gone = self._store.get(address) is None
        for place, _ in self._dependents(owner):
            self._collect_one(place, owner["metadata"]["uid"], gone=gone)
        if not gone:
            self._release_foreground(address)

    def _collect_one(self, place: Address, owner_uid: str, *, gone: bool) -> None:
        obj = self._store.get(place)
        if obj is None:
            # An earlier one in the list took it along.
            return
        others = [ref for ref in obj["metadata"]["ownerReferences"] if ref.get("uid") != owner_uid]
        if not any(self._lives(ref, place.namespace) for ref in others):
            self.delete(place, obj, DeleteOptions(propagation="Background" if gone else "Foreground"))
        elif gone:
            self._keep_owners(place, obj, others)

    def _lives(self, reference: Obj, namespace: str) -> bool:
        resource = self._registry.of_kind(str(reference.get("apiVersion")), str(reference.get("kind")))
        if resource is None:
            return False
        owner = self._store.get(Address(resource.key, namespace if resource.namespaced else "", str(reference.get("name"))))
        return owner is not None and owner["metadata"]["uid"] == reference.get("uid") and "deletionTimestamp" not in owner["metadata"]

    def _keep_owners(self, place: Address, obj: Obj, owners: list[Obj]) -> None:
        kept: Obj = copied(obj)
        if owners:
            kept["metadata"]["ownerReferences"] = owners
        else:
            kept["metadata"].pop("ownerReferences", None)
        self._store.put(place, kept)

    def _orphan(self, owner: Obj) -> None:
        for place, obj in self._dependents(owner):
            self._keep_owners(place, obj, [ref for ref in obj["metadata"]["ownerReferences"] if ref.get("uid") != owner["metadata"]["uid"]])

    def _release_owners(self, dependent: Obj) -> None:
        """An owner that waits in the foreground goes when its last dependent has gone."""
        namespace = dependent["metadata"].get("namespace", "")
        for reference in dependent["metadata"].get("ownerReferences") or ():
            resource = self._registry.of_kind(str(reference.get("apiVersion")), str(reference.get("kind")))
            if resource is not None:
                self._release_foreground(Address(resource.key, namespace if resource.namespaced else "", str(reference.get("name"))))

    def _release_foreground(self, address: Address) -> None:
        owner = self._store.get(address)
        if owner is None or FOREGROUND not in (owner["metadata"].get("finalizers") or ()) or self._dependents(owner):
            return
        released: Obj = copied(owner)
        released["metadata"]["finalizers"] = [name for name in owner["metadata"]["finalizers"] if name != FOREGROUND]
        self._store.put(address, released)
        self.settle(address)

    def _close_namespace(self, address: Address, obj: Obj) -> Obj:
        if "deletionTimestamp" not in obj["metadata"]:
            closing: Obj = copied(obj)
            closing["metadata"]["deletionTimestamp"] = now()
            closing.setdefault("status", {})["phase"] = "Terminating"
            obj = self._store.put(address, closing)
        for place, inside in list(self._store.everything()):
            current = self._store.get(place)
            if place.namespace == address.name and current is not None and inside["metadata"].get("deletionTimestamp") is None:
                self.delete(place, current, DeleteOptions())
        self._finish_namespace(address.name)
        return obj

    def _finish_namespace(self, name: str) -> None:
        """Remove a namespace that is closing, once nothing is left in it but what the server itself put there."""
        address = Address(NAMESPACES, "", name)
        namespace = self._store.get(address)
        if namespace is None or "deletionTimestamp" not in namespace["metadata"] or namespace["metadata"].get("finalizers"):
            return
        if not any(place.namespace == name for place, _ in self._store.everything()):
            self._store.remove(address)


def _preconditions(address: Address, obj: Obj, options: DeleteOptions) -> None:
    group, plural = address.key
    uid, version = obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
    if options.uid and options.uid != uid:
        raise conflict(group, plural, address.name, f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {uid}")
    if options.resource_version and options.resource_version != version:
        raise conflict(
            group,
            plural,
            address.name,
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, ResourceVersion in object meta: {version}",
        )


def _grace(obj: Obj, options: DeleteOptions) -> int:
    """Seconds that the kubelet has: only a pod that was given to a node has somebody who would end it."""
    if obj["kind"] != "Pod" or not obj["spec"].get("nodeName") or obj.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
        return 0
    asked = obj["spec"].get("terminationGracePeriodSeconds", 0) if options.grace is None else options.grace
    return int(asked)
