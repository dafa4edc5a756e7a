"""Which lists of the built-in kinds are keyed, and which maps are one value: Kubernetes' own merge extensions, by type and field.

From the types' ``+listType``, ``+mapType``, ``patchStrategy`` and ``patchMergeKey`` markers; the client library's models, from which the type table is made,
do not carry them.
"""

from __future__ import annotations

from typing import Any

from bennu.lab.kubeapi.shapes import Schema

# (type, field): (list-map keys, merge key of strategic merge).
_KEYED: dict[tuple[str, str], tuple[tuple[str, ...], str]] = {
    ("V1ObjectMeta", "ownerReferences"): (("uid",), "uid"),
    ("V1PodSpec", "containers"): (("name",), "name"),
    ("V1PodSpec", "initContainers"): (("name",), "name"),
    ("V1PodSpec", "ephemeralContainers"): (("name",), "name"),
    ("V1PodSpec", "volumes"): (("name",), "name"),
    ("V1PodSpec", "imagePullSecrets"): (("name",), "name"),
    ("V1PodSpec", "hostAliases"): (("ip",), "ip"),
    ("V1PodSpec", "topologySpreadConstraints"): (("topologyKey", "whenUnsatisfiable"), "topologyKey"),
    ("V1PodSpec", "schedulingGates"): (("name",), "name"),
    ("V1PodSpec", "resourceClaims"): (("name",), "name"),
    ("V1Container", "ports"): (("containerPort", "protocol"), "containerPort"),
    ("V1Container", "env"): (("name",), "name"),
    ("V1Container", "volumeMounts"): (("mountPath",), "mountPath"),
    ("V1Container", "volumeDevices"): (("devicePath",), "devicePath"),
    ("V1EphemeralContainer", "ports"): (("containerPort", "protocol"), "containerPort"),
    ("V1EphemeralContainer", "env"): (("name",), "name"),
    ("V1EphemeralContainer", "volumeMounts"): (("mountPath",), "mountPath"),
    ("V1EphemeralContainer", "volumeDevices"): (("devicePath",), "devicePath"),
    ("V1ResourceRequirements", "claims"): (("name",), ""),
    ("V1ServiceSpec", "ports"): (("port", "protocol"), "port"),
    ("V1ServiceAccount", "secrets"): (("name",), "name"),
    ("V1PodStatus", "podIPs"): (("ip",), "ip"),
    ("V1PodStatus", "resourceClaimStatuses"): (("name",), "name"),
    ("V1NodeStatus", "addresses"): (("type",), "type"),
}

_SETS: dict[tuple[str, str], bool] = {
    # True: strategic merge adds to the set, too.
    ("V1ObjectMeta", "finalizers"): True,
    ("V1NodeSpec", "podCIDRs"): True,
    ("V1UncountedTerminatedPods", "failed"): False,
    ("V1UncountedTerminatedPods", "succeeded"): False,
}

_RETAIN_KEYS = {("V1DeploymentSpec", "strategy"), ("V1PodSpec", "volumes"), ("V1PodSpec", "resourceClaims")}

_ATOMIC_TYPES = (
    "V1LabelSelector",
    "V1ObjectReference",
    "V1LocalObjectReference",
    "V1SecretReference",
    "V1SecretKeySelector",
    "V1ConfigMapKeySelector",
    "V1ObjectFieldSelector",
    "V1ResourceFieldSelector",
    "V1NodeSelector",
    "V1NodeSelectorTerm",
    "V1TypedLocalObjectReference",
    "V1EndpointAddress",
    "CoreV1EndpointPort",
    "V1RoleRef",
    "RbacV1Subject",
    "V1ScopeSelector",
)

_ATOMIC_MAPS = {("V1ServiceSpec", "selector"), ("V1PodSpec", "nodeSelector")}

_LABELLED_CONDITIONS = "conditions"
# Conditions that are replaced whole, as upstream.
_ATOMIC_CONDITIONS = {"V1JobStatus"}


def annotated(table: dict[str, dict[str, Any]]) -> dict[str, Schema]:
    """The type table with the extensions written into it (the argument is used up)."""
    for name, schema in table.items():
        if name in _ATOMIC_TYPES:
            schema["x-kubernetes-map-type"] = "atomic"
        for field, child in (schema.get("properties") or {}).items():
            _annotate(name, field, child)
    for name in ("V1ContainerPort", "V1ServicePort"):
        if name in table:
            table[name]["properties"]["protocol"]["default"] = "TCP"
    return dict(table)


def _annotate(name: str, field: str, child: dict[str, Any]) -> None:
    place = (name, field)
    strategies: list[str] = []
    keys, merge_key = _KEYED.get(place, ((), ""))
    if field == _LABELLED_CONDITIONS and name not in _ATOMIC_CONDITIONS and name.endswith("Status"):
        keys, merge_key = ("type",), "type"
    if keys:
        child["x-kubernetes-list-type"] = "map"
        child["x-kubernetes-list-map-keys"] = list(keys)
    if merge_key:
        child["x-kubernetes-patch-merge-key"] = merge_key
        strategies.append("merge")
    if place in _SETS:
        child["x-kubernetes-list-type"] = "set"
        strategies.extend(["merge"] if _SETS[place] else [])
    if place in _ATOMIC_MAPS:
        child["x-kubernetes-map-type"] = "atomic"
    if place in _RETAIN_KEYS:
        strategies.append("retainKeys")
    if strategies:
        child["x-kubernetes-patch-strategy"] = ",".join(strategies)
