"""What an object has to pass between its decoding and its storage: unknown fields, types, defaults, and a few rules of single kinds.

Side effects (a ClusterIP taken, a token made) belong to ``attendants``; here an object is only judged and completed.
"""

from __future__ import annotations

from typing import Any

from bennu.lab.kubeapi import defaults
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import ApiProblem, Cause, Obj, bad_request, invalid
from bennu.lab.kubeapi.pruning import default, prune, without_nulls
from bennu.lab.kubeapi.schemas import shape_of
from bennu.lab.kubeapi.validation import mistyped, untyped, violations


def read_kind(obj: Obj, resource: ResourceType) -> None:
    """Check that the body is of the path's kind; an absent one is filled in. Raises 400."""
    api_version, kind = obj.get("apiVersion") or resource.api_version, obj.get("kind") or resource.kind
    if (api_version, kind) != (resource.api_version, resource.kind):
        raise bad_request(
            f"the API version in the data ({api_version}, {kind}) does not match the expected API version ({resource.api_version}, {resource.kind})"
        )
    obj["apiVersion"], obj["kind"] = api_version, kind


def decoded(obj: Obj, resource: ResourceType, validation: str) -> tuple[Obj, list[str]]:
    """The object with unknown fields treated as *validation* (Strict, Warn, Ignore) says, and the warnings. Raises 400."""
    read_kind(obj, resource)
    unknown: list[str] = []
    shape = shape_of(resource)
    kept: Obj = prune(obj, shape, "", unknown)
    if resource.custom is None:
        kept = without_nulls(kept)
        wrong = next(mistyped(kept, shape), None)
        if wrong is not None:
            raise bad_request(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {wrong}')
    if unknown and validation == "Strict":
        raise bad_request("strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown))
    return kept, [f'unknown field "{path}"' for path in unknown] if validation == "Warn" else []


def applied(config: Obj, resource: ResourceType) -> Obj:
    """A server-side apply's configuration, which has to fit its schema whatever ``fieldValidation`` says.

    Raises 400 for another kind, and 500 (upstream's code, kubernetes/kubernetes#122480) for fields that the schema does not declare or types that it does not have.
    """
    read_kind(config, resource)
    shape = shape_of(resource)
    unknown: list[str] = []
    kept: Obj = prune(without_nulls(config), shape, "", unknown)
    wrong = next((f".{path}: field not declared in schema" for path in unknown), None) or next(untyped(kept, shape), None)
    if wrong is not None:
        metadata = config["metadata"]
        what = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {resource.group}/{resource.version}, Kind={resource.kind}"
        raise ApiProblem(500, "", f"failed to create typed patch object ({what}): {wrong}")
    return kept


def completed(obj: Obj, resource: ResourceType) -> Obj:
    """The object with its defaults, checked. Raises 422."""
    name = str(obj["metadata"].get("name", ""))
    if resource.custom is not None:
        filled: Obj = default(obj, shape_of(resource))
        causes = list(violations(filled, shape_of(resource)))
    else:
        filled = obj
        causes = list(_missing(filled, resource.kind))
        if not causes:
            defaults.fill(filled, resource.kind)
    causes.extend(_labels(filled))
    if causes:
        raise invalid(resource.group, resource.kind, name, causes)
    return filled


_REQUIRED: dict[str, tuple[str, ...]] = {
    "Pod": ("spec", "spec.containers"),
    "Deployment": ("spec", "spec.selector", "spec.template", "spec.template.spec", "spec.template.spec.containers"),
    "StatefulSet": ("spec", "spec.selector", "spec.template", "spec.template.spec", "spec.template.spec.containers"),
    "DaemonSet": ("spec", "spec.selector", "spec.template", "spec.template.spec", "spec.template.spec.containers"),
    "ReplicaSet": ("spec", "spec.selector"),
    "Job": ("spec", "spec.template", "spec.template.spec", "spec.template.spec.containers"),
    "CronJob": ("spec", "spec.schedule", "spec.jobTemplate", "spec.jobTemplate.spec", "spec.jobTemplate.spec.template"),
    "Service": ("spec",),
    "PersistentVolumeClaim": ("spec",),
    "PersistentVolume": ("spec",),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "CustomResourceDefinition": ("spec", "spec.group", "spec.names", "spec.names.kind", "spec.names.plural", "spec.scope", "spec.versions"),
    "Ingress": ("spec",),
}


def _missing(obj: Obj, kind: str) -> list[Cause]:
    for path in _REQUIRED.get(kind, ()):
        if not _at(obj, path):
            return [Cause("FieldValueRequired", "Required value", path)]
    return list(_of_kind(obj, kind))


def _of_kind(obj: Obj, kind: str) -> list[Cause]:
    if kind in {"Deployment", "StatefulSet", "DaemonSet"}:
        return _selected(obj) or _negative(obj)
    if kind == "CustomResourceDefinition":
        return _crd_name(obj)
    return _negative(obj) if kind in {"ReplicaSet", "Job"} else []


def _selected(obj: Obj) -> list[Cause]:
    wanted = _at(obj, "spec.selector.matchLabels") or {}
    labels = _at(obj, "spec.template.metadata.labels") or {}
    if all(labels.get(key) == value for key, value in wanted.items()):
        return []
    return [Cause("FieldValueInvalid", f"Invalid value: {labels}: `selector` does not match template `labels`", "spec.template.metadata.labels")]


def _crd_name(obj: Obj) -> list[Cause]:
    name = obj["metadata"].get("name")
    if name == f"{obj['spec']['names']['plural']}.{obj['spec']['group']}":
        return []
    return [Cause("FieldValueInvalid", f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group', "metadata.name")]


def _negative(obj: Obj) -> list[Cause]:
    counts = {count: obj["spec"].get(count) for count in ("replicas", "parallelism", "completions")}
    return [
        Cause("FieldValueInvalid", f"Invalid value: {value}: must be greater than or equal to 0", f"spec.{count}")
        for count, value in counts.items()
        if isinstance(value, int) and value < 0
    ]


def _labels(obj: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("labels", "annotations"):
        held = obj["metadata"].get(field)
        if held is None:
            obj["metadata"].pop(field, None)
            continue
        if not isinstance(held, dict) or not all(isinstance(value, str) for value in held.values()):
            causes.append(Cause("FieldValueInvalid", f"Invalid value: {held!r}: must be a map of strings", f"metadata.{field}"))
    return causes


IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"),
    "Job": ("spec.selector", "spec.completionMode"),
    "RoleBinding": ("roleRef",),
    "ClusterRoleBinding": ("roleRef",),
    "Secret": ("type",),
    "CustomResourceDefinition": ("spec.scope", "spec.names.kind", "spec.names.plural"),
}


def changeable(obj: Obj, old: Obj, resource: ResourceType) -> None:
    """Refuse a change of what the kind never lets change. Raises 422."""
    if resource.custom is not None:
        return
    causes: list[Cause] = []
    for path in IMMUTABLE.get(resource.kind, ()):
        before, after = _at(old, path), _at(obj, path)
        if before != after:
            causes.append(Cause("FieldValueInvalid", "Invalid value: field is immutable", path))
    if old.get("immutable") and resource.kind in {"ConfigMap", "Secret"} and (old.get("data"), True) != (obj.get("data"), obj.get("immutable")):
        causes.append(Cause("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set", "data"))
    if causes:
        raise invalid(resource.group, resource.kind, obj["metadata"]["name"], causes)


def _at(obj: Obj, path: str) -> Any:
    node: Any = obj
    for part in path.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
