"""Patches of a kustomization.yaml or of a Flux Kustomization: JSON6902 (a list of operations) or a strategic merge. Pure.

Emulated: of the strategic merge, the lists of pods and Services that people patch are merged by their keys; other lists are replaced, as in custom resources.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bennu.lab.controllers.kustomize_yaml import BuildError, Json, checked, documents

_KEYS: Mapping[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
}
_SELECTORS = {"group", "version", "kind", "name", "namespace"}


def patched(objects: Sequence[Json], patches: Iterable[Mapping[str, Any]]) -> list[Json]:
    """*objects* with each patch applied to what its target names. Raises BuildError."""
    out = list(objects)
    for patch in patches:
        for content in documents(str(patch.get("patch") or ""), "patch"):
            _apply(out, content, patch.get("target"))
    return out


def _apply(out: list[Json], content: Any, target: Mapping[str, Any] | None) -> None:
    unknown = set(target or ()) - _SELECTORS
    if unknown:
        raise BuildError(f"a patch target's {', '.join(sorted(unknown))} is not emulated")
    hits = [index for index, obj in enumerate(out) if _fits(obj, _own_target(content) if target is None else target)]
    if not hits and target is None:
        raise BuildError(f"no matches for Id {content['kind']}.{content['metadata']['name']}; failed to find unique target for patch")
    for index in hits:
        if isinstance(content, list):
            out[index] = _operated(out[index], content)
            continue
        # What a target picked keeps its own name and kind, whatever the patch's are.
        change = {key: value for key, value in content.items() if key not in ("apiVersion", "kind")}
        meta = {key: value for key, value in (change.pop("metadata", None) or {}).items() if key not in ("name", "namespace")}
        by_key = "." not in str(out[index]["apiVersion"]).partition("/")[0] or str(out[index]["apiVersion"]).partition("/")[0].endswith(".k8s.io")
        if content.get("$patch") == "delete":
            out[index] = {}
        else:
            out[index] = _merged(out[index], {**change, **({"metadata": meta} if meta else {})}, by_key)
    out[:] = [obj for obj in out if obj]


def _own_target(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise BuildError("a JSON6902 patch needs a target")
    checked(content, "patch")
    return {key: re.escape(str(value)) for key, value in (("kind", content["kind"]), ("name", content["metadata"]["name"]))}


def _fits(obj: Json, target: Mapping[str, Any]) -> bool:
    meta = obj["metadata"]
    group, _, version = str(obj["apiVersion"]).rpartition("/")
    have = {"group": group, "version": version, "kind": obj["kind"], "name": meta["name"], "namespace": meta.get("namespace")}
    return all(re.fullmatch(str(wanted), str(have[key] or "")) for key, wanted in target.items() if wanted)


def _merged(old: Any, change: Any, by_key: bool, field: str = "") -> Any:
    if isinstance(change, list) and isinstance(old, list) and by_key and field in _KEYS:
        return _merged_list(old, change, _KEYS[field])
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    out = dict(old) if isinstance(old, dict) and change.get("$patch") != "replace" else {}
    for key, value in change.items():
        if value is None:
            out.pop(key, None)
        elif key != "$patch":
            out[key] = _merged(out.get(key), value, by_key, key)
    return out


def _merged_list(old: list[Any], change: list[Any], keys: tuple[str, ...]) -> list[Any]:
    out = list(old)
    for item in change:
        key = next((name for name in keys if isinstance(item, dict) and name in item), None)
        if key is None:
            raise BuildError(f"patch: an item without {' or '.join(keys)}")
        at = next((index for index, one in enumerate(out) if one.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            out = [one for one in out if one.get(key) != item[key]]
        elif at is None:
            out.append(_merged({}, item, by_key=True))
        else:
            out[at] = _merged(out[at], item, by_key=True)
    return out


def _operated(obj: Json, operations: Sequence[Mapping[str, Any]]) -> Json:
    out = copy.deepcopy(obj)
    for operation in operations:
        try:
            parts = [part.replace("~1", "/").replace("~0", "~") for part in str(operation["path"]).lstrip("/").split("/")]
            at: Any = out
            for part in parts[:-1]:
                at = at[int(part)] if isinstance(at, list) else at[part]
            _operate(at, parts[-1], operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            raise BuildError(
                f"patch operation {operation.get('op')} on {operation.get('path')} of {obj['kind']} {obj['metadata']['name']}: no such place"
            ) from None
    return out


def _operate(at: Any, last: str, operation: Mapping[str, Any]) -> None:
    kind = operation.get("op")
    if kind not in ("add", "replace", "remove"):
        raise BuildError(f"patch operation {kind} is not emulated")
    if kind == "remove":
        del at[int(last) if isinstance(at, list) else last]
    elif isinstance(at, list) and kind == "add":
        at.insert(len(at) if last == "-" else int(last), operation["value"])
    elif isinstance(at, list):
        at[int(last)] = operation["value"]
    elif kind == "add" or last in at:
        at[last] = operation["value"]
    else:
        raise KeyError(last)
