"""Unknown fields out, defaults in: what decoding does to an object before anything validates it."""

from __future__ import annotations

from typing import Any

from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.shapes import Shape

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = ("apiVersion", "kind", "metadata")


def prune(value: Any, shape: Shape, where: str, unknown: list[str]) -> Any:
    """*value* without the fields that its schema does not declare; their paths go into *unknown* (``spec.foo``, ``spec.rules[0].bar``)."""
    if isinstance(value, list):
        return [prune(item, shape.item, f"{where}[{index}]", unknown) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept: dict[str, Any] = {}
    for key, item in value.items():
        path = f"{where}.{key}" if where else key
        if _known(key, shape):
            kept[key] = prune(item, shape.field(key), path, unknown)
        else:
            unknown.append(path)
    return kept


def _known(key: str, shape: Shape) -> bool:
    schema = shape.schema
    if shape.declares(key) or not schema or schema.get(_PRESERVE) or schema.get("x-kubernetes-int-or-string"):
        return True
    if schema.get("x-kubernetes-embedded-resource") and key in _EMBEDDED:
        return True
    return bool(schema.get("additionalProperties"))


def default(value: Any, shape: Shape) -> Any:
    """*value* with its schema's defaults filled in, also inside lists and maps; a null where a default exists counts as absent."""
    if isinstance(value, list):
        return [default(item, shape.item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, schema in (shape.schema.get("properties") or {}).items():
        if "default" in schema and (key not in filled or (filled[key] is None and not schema.get("nullable"))):
            filled[key] = copied(schema["default"])
    return {key: default(item, shape.field(key)) for key, item in filled.items()}


def without_nulls(value: Any) -> Any:
    """*value* without null fields, as Go's decoding drops them for built-in kinds and as an applied configuration means them."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
