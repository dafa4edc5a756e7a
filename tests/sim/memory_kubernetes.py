"""A Kubernetes API without a server: objects, resourceVersions, field ownership of server-side apply, merge patches, watches.

What it leaves out: schemas, admission, controllers, RBAC (``forbidden`` names what ``can`` denies), status as a resource of its own. Ownership is kept per leaf path of
mappings; lists are owned as a whole.
"""

from __future__ import annotations

import itertools
import marshal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bennu.errors import DependencyDown, GateRefused
from bennu.ports.kubernetes import Conflict, Json, Kind, Ref

_BUILT_IN = (
    *(
        Kind("v1", kind)
        for kind in (
            "Namespace",
            "Node",
            "Pod",
            "Service",
            "Endpoints",
            "ConfigMap",
            "Secret",
            "ServiceAccount",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Event",
        )
    ),
    *(Kind("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
    *(Kind("batch/v1", kind) for kind in ("Job", "CronJob")),
    *(Kind("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")),
    Kind("discovery.k8s.io/v1", "EndpointSlice"),
    Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
)
_OWNER = "bennu"
Path = tuple[str, ...]
# What nobody owns: an object's identity.
_IDENTITY: set[Path] = {("apiVersion",), ("kind",), *(("metadata", key) for key in ("name", "namespace", "resourceVersion", "uid"))}
_numbers = itertools.count(1)


@dataclass
class _Stored:
    """One object with its owners; never changed once it is stored, so that copies of the world share it."""

    obj: dict[str, Any]
    owners: dict[Path, set[str]] = field(default_factory=dict)  # leaf path → managers


class MemoryKubernetes:
    """Port ``Kubernetes``; ``put``, ``remove`` and the public attributes are the hands of controllers and of fate."""

    def __init__(self, context: str = "lab-blue", uid: str = "") -> None:
        self._context = context
        self._objects: dict[Ref, _Stored] = {}
        self._kinds: dict[Kind, dict[Ref, _Stored]] = {}  # the same, by kind
        self._changes: dict[Kind, int] = {}
        self.looked: dict[str, object] = {}  # by controller: what it found nothing to do at
        self.until = 0.0  # when Flux looks again whatever was changed
        self._version = itertools.count(1)
        self._events: list[tuple[Kind, str, dict[str, Any]]] = []
        self.kinds = set(_BUILT_IN)
        self.up = True
        self.forbidden: set[tuple[str, str]] = set()  # (verb, kind)
        self.expiry: datetime | None = None
        self.on_change: Callable[[Ref, Mapping[str, Any] | None], None] = lambda ref, obj: None
        self.addresses: dict[tuple[str, str, int], tuple[str, int]] = {}  # (namespace, pod, port) → where it listens
        for name in ("kube-system", "default", "kube-public"):
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.put({**made, "metadata": {"name": name, "uid": uid}} if uid and name == "kube-system" else made)

    # --- the port ---

    @property
    def context(self) -> str:
        return self._context

    def endpoint(self) -> tuple[str, str]:
        return f"https://{self._context}.test:6443", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"

    def credential_expiry(self, needed_until: datetime) -> datetime | None:
        return self.expiry

    def uid(self) -> str:
        system = self.get(Ref(Kind("v1", "Namespace"), "kube-system"))
        assert system is not None
        return str(system["metadata"]["uid"])

    def version(self) -> str:
        self._answering("", "")
        return "v1.33.1"

    def serves(self, kind: Kind) -> bool:
        self._answering("", "")
        return kind in self.kinds

    def get(self, ref: Ref) -> Json | None:
        self._answering("get", ref.kind.kind)
        found = self._objects.get(ref)
        return None if found is None else copied(found.obj)

    def list(self, kind: Kind, *, namespace: str = "", labels: str = "") -> tuple[Json, ...]:
        self._answering("list", kind.kind)
        wanted = [part.partition("=") for part in labels.split(",") if part]

        def fits(obj: Mapping[str, Any]) -> bool:
            found = obj["metadata"].get("labels") or {}
            return all(found.get(name) == value if equals else name in found for name, equals, value in wanted)

        return tuple(
            copied(stored.obj)
            for ref, stored in sorted(self._of(kind).items(), key=lambda item: (item[0].namespace, item[0].name))
            if (not namespace or ref.namespace == namespace) and fits(stored.obj)
        )

    def apply(self, obj: Json, *, force: bool = False) -> Json:
        kind = Kind(str(obj["apiVersion"]), str(obj["kind"]))
        self._answering("patch", kind.kind)
        self._served(kind)
        ref = Ref(kind, str(obj["metadata"]["name"]), str(obj["metadata"].get("namespace") or ""))
        self._swap(ref, obj)
        stored = self._objects.get(ref) or _Stored({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {}})
        changed = _Stored(copied(stored.obj), {path: set(owners) for path, owners in stored.owners.items()})
        _applied(changed, copied(obj), force)
        self._save(ref, changed)
        return copied(self._objects[ref].obj)

    def patch(self, ref: Ref, change: Json) -> Json:
        self._answering("patch", ref.kind.kind)
        self._served(ref.kind)
        self._swap(ref, change)
        found = self._objects.get(ref)
        if found is None:
            raise DependencyDown(f"the API of {self._context} failed to patch {ref}: not found (HTTP 404)")
        merged = _merged(found.obj, {**change, "metadata": {key: value for key, value in (change.get("metadata") or {}).items() if key != "resourceVersion"}})
        owners = {path: set(managers) for path, managers in found.owners.items()}
        for path, value in _leaves(change):
            if value is not None:
                owners.setdefault(path, set()).add(_OWNER)
        self._save(ref, _Stored(merged, owners))
        return copied(self._objects[ref].obj)

    def patch_status(self, ref: Ref, change: Json) -> Json:
        return self.patch(ref, {"status": change["status"]})

    def delete(self, ref: Ref) -> bool:
        self._answering("delete", ref.kind.kind)
        return self.remove(ref)

    def can(self, verb: str, kind: Kind, namespace: str = "") -> bool:
        self._answering("", "")
        return (verb, kind.kind) not in self.forbidden

    @contextmanager
    def forwarded(self, namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
        self._answering("create", "Pod/portforward")
        if (namespace, pod, port) not in self.addresses:
            raise DependencyDown(f"no port-forward to pod {namespace}/{pod} of {self._context}: HTTP 404")
        yield self.addresses[(namespace, pod, port)]

    def watch(self, kind: Kind, *, namespace: str = "", timeout: float) -> Iterator[Json]:
        """Nothing happens here while somebody waits: what is changed between two events is seen, then it ends."""
        self._answering("watch", kind.kind)
        seen = len(self._events)
        while seen < len(self._events):
            of, type_, obj = self._events[seen]
            seen += 1
            if of == kind and (not namespace or obj["metadata"].get("namespace") == namespace):
                yield {"type": type_, "object": copied(obj)}

    # --- controllers and fate ---

    def put(self, obj: Mapping[str, Any], manager: str = "controller") -> None:
        """Write a whole object as *manager*, as a controller would (its status too)."""
        ref = Ref(Kind(obj["apiVersion"], obj["kind"]), obj["metadata"]["name"], obj["metadata"].get("namespace", ""))
        fresh = copied(obj)
        self._save(ref, _Stored(fresh, {path: {manager} for path, _ in _leaves(fresh)}))

    def peek(self, kind: Kind, namespace: str = "") -> tuple[Json, ...]:
        """All objects of a kind as they are stored: for controllers that only read, and quicker than a copy."""
        return tuple(stored.obj for ref, stored in self._of(kind).items() if not namespace or ref.namespace == namespace)

    def at(self, ref: Ref) -> Json | None:
        """One object as it is stored."""
        found = self._objects.get(ref)
        return None if found is None else found.obj

    def changes(self, *kinds: Kind) -> tuple[int, ...]:
        """How often something of each kind was changed: whoever found nothing to do needn't look again while that stays."""
        return tuple(self._changes.get(kind, 0) for kind in kinds)

    def remove(self, ref: Ref) -> bool:
        found = self._objects.pop(ref, None)
        if found is None:
            return False
        del self._kinds[ref.kind][ref]
        self._changes[ref.kind] = self._changes.get(ref.kind, 0) + 1
        self._events.append((ref.kind, "DELETED", found.obj))
        self.on_change(ref, None)
        return True

    def _of(self, kind: Kind) -> dict[Ref, _Stored]:
        return self._kinds.get(kind, {})

    def _keep(self, ref: Ref, stored: _Stored) -> None:
        self._objects[ref] = self._kinds.setdefault(ref.kind, {})[ref] = stored

    def _save(self, ref: Ref, stored: _Stored) -> None:
        before = self._objects.get(ref)
        meta = stored.obj["metadata"]
        meta.setdefault("uid", f"00000000-0000-4000-8000-{next(_numbers):012x}")
        if before is not None:
            meta["uid"] = before.obj["metadata"]["uid"]
            meta["resourceVersion"] = before.obj["metadata"]["resourceVersion"]
            if before.obj == stored.obj:  # a change of nothing is no change
                self._keep(ref, stored)
                return
        meta["resourceVersion"] = str(next(self._version))
        self._changes[ref.kind] = self._changes.get(ref.kind, 0) + 1
        self._keep(ref, stored)
        if ref.kind.kind == "CustomResourceDefinition":
            names, group = stored.obj["spec"]["names"], stored.obj["spec"]["group"]
            self.kinds |= {Kind(f"{group}/{version['name']}", names["kind"]) for version in stored.obj["spec"]["versions"]}
        self._events.append((ref.kind, "ADDED" if before is None else "MODIFIED", stored.obj))
        self.on_change(ref, stored.obj)

    def _swap(self, ref: Ref, obj: Json) -> None:
        asked = (obj.get("metadata") or {}).get("resourceVersion")
        found = self._objects.get(ref)
        if asked and (found is None or found.obj["metadata"]["resourceVersion"] != asked):
            raise Conflict(f"{ref} in {self._context}: the object has been modified")

    def _served(self, kind: Kind) -> None:
        if kind not in self.kinds:
            raise DependencyDown(f"the API of {self._context} does not serve {kind.kind} ({kind.api_version})")

    def _answering(self, verb: str, kind: str) -> None:
        if not self.up:
            raise DependencyDown(f"the API of {self._context} does not answer: Connection refused", next_step="check the kubeconfig and the network")
        if (verb, kind) in self.forbidden:
            raise GateRefused(f"the API of {self._context} forbids to {verb} {kind}", next_step="grant it")


def copied(obj: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of plain JSON-like data, many times quicker than ``copy.deepcopy``."""
    found: dict[str, Any] = marshal.loads(marshal.dumps(dict(obj)))
    return found


def _leaves(obj: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in obj.items():
        path = (*prefix, key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, path)
        elif path not in _IDENTITY:
            yield path, value


def _applied(stored: _Stored, wanted: dict[str, Any], force: bool) -> None:
    """Server-side apply: set what is wanted, take away what only we owned and no longer want, refuse what others own and say otherwise."""
    leaves = dict(_leaves(wanted))
    foreign = [path for path, value in leaves.items() if stored.owners.get(path, set()) - {_OWNER} and _at(stored.obj, path) != value]
    if foreign and not force:
        raise Conflict(f"Apply failed with {len(foreign)} conflicts: {', '.join(sorted('.'.join(path) for path in foreign))}")
    for path in foreign:
        stored.owners[path] = set()
    for path in [path for path, owners in stored.owners.items() if _OWNER in owners and path not in leaves]:
        stored.owners[path].discard(_OWNER)
        if not stored.owners[path]:
            del stored.owners[path]
            _drop(stored.obj, path)
    for path, value in leaves.items():
        _put(stored.obj, path, value)
        stored.owners.setdefault(path, set()).add(_OWNER)
    for key in ("name", "namespace"):
        if wanted["metadata"].get(key):
            stored.obj["metadata"][key] = wanted["metadata"][key]


def _at(obj: Mapping[str, Any], path: Path) -> Any:
    found: Any = obj
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _put(obj: dict[str, Any], path: Path, value: Any) -> None:
    *parents, last = path
    for key in parents:
        if not isinstance(obj.get(key), dict):
            obj[key] = {}
        obj = obj[key]
    obj[last] = value


def _drop(obj: dict[str, Any], path: Path) -> None:
    *parents, last = path
    for key in parents:
        obj = obj.get(key) or {}
    obj.pop(last, None)


def _merged(obj: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7386)."""
    merged = copied(obj)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            inner = merged.get(key)
            merged[key] = _merged(inner if isinstance(inner, Mapping) else {}, value)
        else:
            merged[key] = marshal.loads(marshal.dumps(value))
    return merged
