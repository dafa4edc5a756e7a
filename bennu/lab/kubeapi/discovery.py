"""Discovery: which groups, versions and resources are served, in the legacy form and in the aggregated one that kubectl asks for first."""

from __future__ import annotations

from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Obj, no_such_path
from bennu.lab.kubeapi.registry import Registry

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION: Obj = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.4",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2025-04-22T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "lab/python",
}
_SUB_VERBS = {
    "status": ("get", "patch", "update"),
    "scale": ("get", "patch", "update"),
    "portforward": ("create", "get"),
    "log": ("get",),
    "finalize": ("update",),
}
_SUB_KINDS = {"scale": ("autoscaling", "v1", "Scale"), "eviction": ("policy", "v1", "Eviction"), "token": ("authentication.k8s.io", "v1", "TokenRequest")}


def api_versions(host: str) -> Obj:
    """``/api``."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]}


def _group(name: str, versions: list[str]) -> Obj:
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def groups(registry: Registry) -> Obj:
    """``/apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, versions) for name, versions in registry.versions().items() if name]}


def group(registry: Registry, name: str) -> Obj:
    """``/apis/<group>``. Raises 404."""
    versions = registry.versions().get(name)
    if not name or versions is None:
        raise no_such_path()
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resources(registry: Registry, group_name: str, version: str) -> Obj:
    """``/api/v1`` or ``/apis/<group>/<version>``. Raises 404."""
    found = [t for t in registry if t.group == group_name and t.version == version]
    if not found:
        raise no_such_path()
    entries = [entry for t in sorted(found, key=lambda t: t.plural) for entry in (_resource(t), *_subresources(t))]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": found[0].api_version, "resources": entries}


def _resource(t: ResourceType) -> Obj:
    entry: Obj = {"name": t.plural, "singularName": t.singular, "namespaced": t.namespaced, "kind": t.kind, "verbs": list(t.verbs)}
    if t.short_names:
        entry["shortNames"] = list(t.short_names)
    if t.categories:
        entry["categories"] = list(t.categories)
    if "list" in t.verbs:
        entry["storageVersionHash"] = ""
    return entry


def _subresources(t: ResourceType) -> list[Obj]:
    entries: list[Obj] = []
    for name in sorted(t.subresources):
        entry: Obj = {
            "name": f"{t.plural}/{name}",
            "singularName": "",
            "namespaced": t.namespaced,
            "kind": t.kind,
            "verbs": list(_SUB_VERBS.get(name, ("create",))),
        }
        if name in _SUB_KINDS:
            entry["group"], entry["version"], entry["kind"] = _SUB_KINDS[name]
        entries.append(entry)
    return entries


def aggregated(registry: Registry, *, core: bool) -> Obj:
    """The aggregated list for ``/api`` (*core*) or ``/apis``."""
    items = []
    for name, versions in registry.versions().items():
        if (name == "") is core:
            items.append(
                {"metadata": {"name": name, "creationTimestamp": None}, "versions": [_aggregated_version(registry, name, version) for version in versions]}
            )
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_version(registry: Registry, group_name: str, version: str) -> Obj:
    found = [t for t in registry if t.group == group_name and t.version == version]
    return {"version": version, "freshness": "Current", "resources": [_aggregated_resource(t) for t in sorted(found, key=lambda t: t.plural)]}


def _aggregated_resource(t: ResourceType) -> Obj:
    entry: Obj = {
        "resource": t.plural,
        "responseKind": {"group": t.group, "version": t.version, "kind": t.kind},
        "scope": "Namespaced" if t.namespaced else "Cluster",
        "singularResource": t.singular,
        "verbs": list(t.verbs),
    }
    if t.short_names:
        entry["shortNames"] = list(t.short_names)
    if t.categories:
        entry["categories"] = list(t.categories)
    subresources = []
    for name in sorted(t.subresources):
        group_name, version, kind = _SUB_KINDS.get(name, (t.group, t.version, t.kind))
        subresources.append(
            {"subresource": name, "responseKind": {"group": group_name, "version": version, "kind": kind}, "verbs": list(_SUB_VERBS.get(name, ("create",)))}
        )
    if subresources:
        entry["subresources"] = subresources
    return entry
