"""Creates, replaces, patches and applies objects: decode, merge, judge, complete, store. No method awaits, so each write is atomic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bennu.lab.kubeapi import apply_ownership, metadata
from bennu.lab.kubeapi.admission import applied, changeable, completed, decoded
from bennu.lab.kubeapi.apply_ownership import Manager
from bennu.lab.kubeapi.attendants import Attendants
from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import MODIFIED, Cause, Obj, already_exists, conflict, forbidden, invalid, not_found
from bennu.lab.kubeapi.removal import NAMESPACES, Removal
from bennu.lab.kubeapi.requests import Target, WriteOptions
from bennu.lab.kubeapi.schemas import shape_of
from bennu.lab.kubeapi.store import Store


@dataclass(frozen=True)
class Written:
    """A write's answer: the object as stored (in the request's version), HTTP code, and warnings for the client."""

    object: Obj
    code: int = 200
    warnings: tuple[str, ...] = ()


class Writer:
    """All writes of one cluster."""

    def __init__(self, store: Store, attendants: Attendants, removal: Removal) -> None:
        self._store = store
        self._attendants = attendants
        self._removal = removal

    def create(self, target: Target, body: Obj, options: WriteOptions, *, uid: str = "") -> Written:
        """POST. Raises 404 for a missing namespace, 409 if the object exists, 400/422 if it is wrong."""
        return self._create(target, body, options, uid=uid, is_apply=False)

    def _create(self, target: Target, body: Obj, options: WriteOptions, *, is_apply: bool, uid: str = "") -> Written:
        resource = target.resource
        obj, warnings = decoded(copied(body), resource, options.validation)
        name = metadata.settle_name(obj, resource, target.name)
        metadata.settle_namespace(obj, resource, target.namespace)
        target = replace(target, name=name)
        self._open_namespace(target)
        if self._store.get(target.address) is not None:
            raise already_exists(resource.group, resource.plural, name)
        metadata.born(obj, resource, uid)
        if "status" in resource.subresources:
            obj.pop("status", None)
        if not is_apply:
            obj["metadata"].pop("managedFields", None)
        obj = completed(obj, resource)
        if not is_apply:
            # Defaults that the server filled in belong to the creator, as upstream, where decoding has filled them in before anybody looks.
            apply_ownership.record_update(None, obj, _manager(target, options), shape_of(resource))
        self._attendants.before(obj, None)
        if not options.dry_run:
            obj = self._store.put(target.address, stored(obj, resource))
            self._attendants.after(obj, None)
        return Written(obj, 201, tuple(warnings))

    def replace(self, target: Target, body: Obj, options: WriteOptions) -> Written:
        """PUT, also of the status subresource. Raises 404, 409 for an old resourceVersion, 400/422."""
        old = self._existing(target)
        obj, warnings = decoded(copied(body), target.resource, options.validation)
        metadata.settle_name(obj, target.resource, target.name)
        if target.resource.custom is not None and not obj["metadata"].get("resourceVersion"):
            cause = Cause("FieldValueInvalid", "Invalid value: 0x0: must be specified for an update", "metadata.resourceVersion")
            raise invalid(target.resource.group, target.resource.plural, target.name, [cause])
        return self._update(target, old, obj, options, warnings)

    def patch(self, target: Target, change: Callable[[Obj], Obj], options: WriteOptions) -> Written:
        """PATCH: *change* gets the live object in the request's version and gives the new one. Raises as ``replace``."""
        old = self._existing(target)
        changed = change(old)
        # Only what the patch brought is judged for unknown fields: an object stored under an older schema may hold some.
        obj, warnings = decoded(copied(changed), target.resource, options.validation)
        metadata.settle_name(obj, target.resource, target.name)
        return self._update(target, old, obj, options, warnings)

    def apply(self, target: Target, body: Obj, options: WriteOptions) -> Written:
        """Server-side apply; creates what is not there. Raises 409 for conflicts with other managers."""
        resource = target.resource
        config = copied(body)
        metadata.settle_name(config, resource, target.name)
        metadata.settle_namespace(config, resource, target.namespace)
        config = applied(config, resource)
        config["metadata"].pop("managedFields", None)
        if "status" in resource.subresources and not target.subresource:
            config.pop("status", None)
        live = self._live(target)
        manager = _manager(target, options)
        shape = shape_of(resource)
        if live is None:
            if target.subresource:
                raise not_found(resource.group, resource.plural, target.name)
            if config["metadata"].get("resourceVersion") or config["metadata"].get("uid"):
                raise conflict(resource.group, resource.plural, target.name, MODIFIED)
            made = self._create(target, apply_ownership.apply(None, config, manager, shape, force=options.force), options, is_apply=True)
            return Written(made.object, 201)
        if config["metadata"].get("uid", live["metadata"]["uid"]) != live["metadata"]["uid"]:
            raise conflict(resource.group, resource.plural, target.name, f"Precondition failed: UID in precondition: {config['metadata']['uid']}")
        asked = config["metadata"].pop("resourceVersion", "")
        merged = apply_ownership.apply(live, config, manager, shape, force=options.force)
        merged["metadata"]["resourceVersion"] = asked or live["metadata"]["resourceVersion"]
        return self._update(target, live, merged, options, [])

    def _update(self, target: Target, old: Obj, obj: Obj, options: WriteOptions, warnings: list[str]) -> Written:
        resource = target.resource
        asked = obj["metadata"].get("resourceVersion")
        if asked and asked != old["metadata"]["resourceVersion"]:
            raise conflict(resource.group, resource.plural, target.name, MODIFIED)
        metadata.inherited(obj, old)
        obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        obj = _confined(obj, old, target)
        obj = completed(obj, resource)
        changeable(obj, old, resource)
        self._attendants.before(obj, old)
        metadata.next_generation(obj, old, resource)
        if not options.apply:
            apply_ownership.record_update(old, obj, _manager(target, options), shape_of(resource))
        if _same(obj, old):
            return Written(old, 200, tuple(warnings))
        if options.dry_run:
            return Written(obj, 200, tuple(warnings))
        kept = self._store.put(target.address, stored(obj, resource))
        self._attendants.after(kept, old)
        gone = self._removal.settle(target.address)
        return Written(in_version(gone or kept, resource), 200, tuple(warnings))

    def _live(self, target: Target) -> Obj | None:
        found = self._store.get(target.address)
        return None if found is None else in_version(found, target.resource)

    def _existing(self, target: Target) -> Obj:
        found = self._live(target)
        if found is None:
            raise not_found(target.resource.group, target.resource.plural, target.name)
        return found

    def _open_namespace(self, target: Target) -> None:
        if not target.resource.namespaced:
            return
        namespace = self._store.get(replace(target.address, key=NAMESPACES, namespace="", name=target.namespace))
        if namespace is None:
            raise not_found("", "namespaces", target.namespace)
        if "deletionTimestamp" in namespace["metadata"]:
            why = f"unable to create new content in namespace {target.namespace} because it is being terminated"
            raise forbidden(target.resource.group, target.resource.plural, target.name, why)


def in_version(obj: Obj, resource: ResourceType) -> Obj:
    """The object under the version that was asked for; CRD versions differ in name alone."""
    if obj["apiVersion"] == resource.api_version:
        return obj
    return {**obj, "apiVersion": resource.api_version}


def stored(obj: Obj, resource: ResourceType) -> Obj:
    """The object under its storage version."""
    if resource.custom is None:
        return obj
    return {**obj, "apiVersion": f"{resource.group}/{resource.custom.storage_version}"}


def _manager(target: Target, options: WriteOptions) -> Manager:
    return Manager(options.manager, "Apply" if options.apply else "Update", target.resource.api_version, target.subresource)


def _confined(obj: Obj, old: Obj, target: Target) -> Obj:
    """A main write leaves the status alone, a status write everything else (but managedFields)."""
    if "status" not in target.resource.subresources:
        return obj
    if target.subresource == "status":
        confined: Obj = copied(old)
        confined["metadata"]["managedFields"] = obj["metadata"].get("managedFields", [])
        mine, theirs = obj, confined
    else:
        confined, mine, theirs = obj, old, obj
    if "status" in mine:
        theirs["status"] = copied(mine["status"])
    else:
        theirs.pop("status", None)
    return confined


def _same(obj: Obj, old: Obj) -> bool:
    """Whether nothing would change but the times of managedFields."""

    def essence(value: Obj) -> tuple[Obj, list[Obj]]:
        managed = [{k: v for k, v in entry.items() if k != "time"} for entry in value["metadata"].get("managedFields") or []]
        return {**value, "metadata": {k: v for k, v in value["metadata"].items() if k != "managedFields"}}, managed

    return essence(obj) == essence(old)
