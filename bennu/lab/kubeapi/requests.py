"""An HTTP request read as Kubernetes means it: verb, resource, namespace, name, subresource, and the options of a write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Cause, bad_request, invalid, no_such_path
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.store import Address

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Target:
    """What a request is about. ``name`` is empty for collections; ``verb`` is RBAC's word."""

    resource: ResourceType
    namespace: str
    name: str
    subresource: str
    verb: str

    @property
    def address(self) -> Address:
        """Where the object is stored."""
        return Address(self.resource.key, self.namespace, self.name)

    @property
    def rbac_resource(self) -> str:
        """``pods``, ``pods/portforward``."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def target_of(registry: Registry, method: str, path: str, query: Mapping[str, str]) -> Target:
    """The target of ``/api/v1/…`` or ``/apis/<group>/<version>/…``. Raises 404 where nothing is served."""
    parts = [part for part in path.split("/") if part]
    group, version, rest = ("", parts[1], parts[2:]) if parts[0] == "api" else (parts[1], parts[2], parts[3:])
    namespace = ""
    if _inside_namespace(rest):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", "", ""][:3]
    resource = registry.at(group, version, plural)
    if resource is None or (namespace and not resource.namespaced) or (subresource and subresource not in resource.subresources):
        raise no_such_path()
    return Target(resource, namespace, name, subresource, _verb(method, name, query))


def _inside_namespace(rest: list[str]) -> bool:
    """``/namespaces/x`` alone and its subresources are the Namespace itself; ``/namespaces/x/<plural>`` is what lies inside it."""
    return len(rest) >= 3 and rest[0] == "namespaces" and not (len(rest) == 3 and rest[2] in {"status", "finalize"})


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method in {"GET", "HEAD"}:
        if truth(query.get("watch")):
            return "watch"
        return "get" if name else "list"
    verb = _WRITES.get(method, "")
    return "deletecollection" if verb == "delete" and not name else verb


def truth(text: str | None) -> bool:
    """A query's boolean as Go reads it."""
    return (text or "").lower() in {"1", "t", "true"}


@dataclass(frozen=True)
class WriteOptions:
    """How a write is meant: ``validation`` is Strict, Warn or Ignore; ``apply`` marks server-side apply."""

    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False
    apply: bool = False


def write_options(query: Mapping[str, str], user_agent: str, *, apply: bool = False) -> WriteOptions:
    """The options of a write request. Raises 400 for values that do not exist; an apply must name its manager."""
    manager = query.get("fieldManager", "")
    if apply and not manager:
        raise invalid("meta.k8s.io", "PatchOptions", "", [Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")])
    if len(manager) > 128:
        raise bad_request("fieldManager: Too long: may not be more than 128 bytes")
    dry_run = query.get("dryRun", "")
    if dry_run not in {"", "All"}:
        raise bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in {"Strict", "Warn", "Ignore"}:
        raise bad_request(f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"')
    default = user_agent.split("/", maxsplit=1)[0] or "unknown"
    return WriteOptions(manager or default, dry_run == "All", validation, truth(query.get("force")), apply)
