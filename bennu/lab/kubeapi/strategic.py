"""Strategic merge patches: merge patches that know which lists are keyed, with their ``$patch`` directives.

Only built-in kinds take them; their merge keys come with their shapes.
"""

from __future__ import annotations

from typing import Any

from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.problems import Obj, bad_request
from bennu.lab.kubeapi.requests import Target
from bennu.lab.kubeapi.schemas import shape_of
from bennu.lab.kubeapi.shapes import Shape, compact

_ORDER, _DELETE_FROM, _RETAIN, _PATCH = "$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch"


def strategic_patched(target: Target, old: Obj, patch: Any) -> Obj:
    """*old* with the patch applied. Raises 400 for a patch that cannot be read."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch is an object")
    result: Obj = _map(old, patch, shape_of(target.resource))
    return result


def _map(old: Any, patch: dict[str, Any], shape: Shape) -> Any:
    directive = patch.get(_PATCH)
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: copied(value) for key, value in patch.items() if key != _PATCH}
    result = _retained(old if isinstance(old, dict) else {}, patch)
    plain = {key: value for key, value in patch.items() if not key.startswith("$")}
    for key, value in plain.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _value(result.get(key), value, shape.field(key))
    _directives(result, patch, shape)
    return result


def _retained(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    keys = patch.get(_RETAIN, old)
    return {key: value for key, value in old.items() if key in keys}


def _value(old: Any, patch: Any, shape: Shape) -> Any:
    if isinstance(patch, dict):
        return _map(old, patch, shape)
    if isinstance(patch, list) and "merge" in shape.patch_strategies:
        return _list(old if isinstance(old, list) else [], patch, shape)
    return copied(patch)


def _list(old: list[Any], patch: list[Any], shape: Shape) -> list[Any]:
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return [copied(item) for item in patch if not (isinstance(item, dict) and _PATCH in item)]
    key = shape.merge_key
    if not key:
        return [*old, *(item for item in patch if item not in old)]
    result = list(old)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {compact(item)} does not contain declared merge key: {key}")
        result = _with_item(result, item, key, shape.item)
    return result


def _with_item(held: list[Any], item: dict[str, Any], key: str, shape: Shape) -> list[Any]:
    others = [one for one in held if one.get(key) != item[key]]
    if item.get(_PATCH) == "delete":
        return others
    if len(others) == len(held):
        return [*held, _map({}, {name: value for name, value in item.items() if name != _PATCH}, shape)]
    return [_map(one, item, shape) if one.get(key) == item[key] else one for one in held]


def _directives(result: dict[str, Any], patch: dict[str, Any], shape: Shape) -> None:
    for name, value in patch.items():
        if name.startswith(_DELETE_FROM):
            field = name.removeprefix(_DELETE_FROM)
            result[field] = [item for item in result.get(field) or () if item not in value]
        elif name.startswith(_ORDER):
            field = name.removeprefix(_ORDER)
            if isinstance(result.get(field), list):
                result[field] = _ordered(result[field], value, shape.field(field).merge_key)


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items as the patch orders them; those that it does not mention stay behind their old neighbour."""

    def name(item: Any) -> str:
        return compact(item.get(key)) if key and isinstance(item, dict) else compact(item)

    rank = {name(item): index for index, item in enumerate(order)}
    placed: list[tuple[int, int, Any]] = []
    last = -1
    for position, item in enumerate(items):
        last = rank.get(name(item), last)
        placed.append((last, position, item))
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]
