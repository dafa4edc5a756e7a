"""The write Service: one name that apps write to in every cluster, and that leads to the master's Redis, or to its mirror. A second document of traffic-state.yaml.

Two shapes. ``externalname``: a Service of that type, whose ``externalName`` is the write host; a resolver's cache decides when clients notice. ``tcproute``: a mesh TCPRoute whose parent is an
ordinary Service, and whose one backend is moved; the proxies notice, and only clients inside the mesh follow. Neither cuts a connection that stands: who is connected to the old
master is cut there. A selector cannot do it: a mirror has no pods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit, yaml_read

KINDS = {"externalname": "Service", "tcproute": "TCPRoute"}
_NAME, _BACKEND = ("spec", "externalName"), ("spec", "rules", 0, "backendRefs", 0, "name")


@dataclass(frozen=True)
class WriteService:
    """Which one, and ``via`` what it is pointed elsewhere (``externalname`` or ``tcproute``)."""

    namespace: str
    name: str
    via: str

    @property
    def kind(self) -> str:
        """Of the object that moves."""
        return KINDS[self.via]


def edited(text: str, which: WriteService, host: str, file: str) -> str:
    """The file with *which* leading to *host*, ``<service>.<namespace>.svc.cluster.local``. Raises ConfigError where the document is missing or has another shape."""
    found = document(text, which, file)
    target = yaml_edit.Target(which.kind, which.name, which.namespace)
    if which.via == "externalname":
        return yaml_edit.set_value(text, target, _NAME, host, file)
    service, namespace = host.split(".")[:2]
    backends = [backend for rule in yaml_read.mappings(found, ("spec", "rules"), file) for backend in yaml_read.mappings(rule, ("backendRefs",), file)]
    if len(backends) != 1:
        raise ConfigError(
            f"TCPRoute {which.namespace}/{which.name} needs one rule with one backend, {len(backends)} backends found",
            file=file,
            line=yaml_read.line_of(found, ("spec", "rules")),
        )
    if str(backends[0].get("namespace") or which.namespace) != namespace:
        raise ConfigError(
            f"the backend of TCPRoute {which.namespace}/{which.name} must be in namespace {namespace}, where Redis and its mirrors are",
            file=file,
            line=yaml_read.line_of(backends[0]),
        )
    return yaml_edit.set_value(text, target, _BACKEND, service, file)


def document(text: str, which: WriteService, file: str) -> dict[str, Any]:
    """The whole object. Raises ConfigError where the file has none, or it is no Service of type ExternalName."""
    found = [one for one in yaml_read.objects(text, file) if yaml_edit.Target(which.kind, which.name, which.namespace).fits(one)]
    if len(found) != 1:
        raise ConfigError(
            f"{which.kind} {which.namespace}/{which.name} (pointer.write_service) must be in this file once, {len(found)} found",
            file=file,
            line=yaml_read.line_of(found[1]) if found else 1,
            next_step="docs/architecture.md shows the document to add",
        )
    if which.via == "externalname" and yaml_read.mapping(found[0], ("spec",), file).get("type") != "ExternalName":
        raise ConfigError(
            f"Service {which.namespace}/{which.name} is not of type ExternalName, as pointer.write_service.via says",
            file=file,
            line=yaml_read.line_of(found[0], ("spec", "type")),
        )
    return found[0]


def moving(obj: Mapping[str, Any], which: WriteService) -> dict[str, Any]:
    """The part of an object's spec that a flip writes."""
    spec = obj.get("spec") or {}
    return {"rules": spec.get("rules")} if which.via == "tcproute" else {"type": "ExternalName", "externalName": spec.get("externalName")}


def leads_to(obj: Mapping[str, Any], which: WriteService) -> str:
    """Where an object leads, comparable between Git and an API server that filled in defaults: the write host, or the backend's name. Empty for nowhere."""
    spec = obj.get("spec") or {}
    if which.via == "externalname":
        return str(spec.get("externalName") or "")
    backends = [backend for rule in spec.get("rules") or [] for backend in rule.get("backendRefs") or []]
    return ",".join(str(backend.get("name") or "") for backend in backends)
