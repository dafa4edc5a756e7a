"""Whether an object fits its schema: wrong types of built-in kinds (400, as Go's decoder says it) and everything that a CRD's schema demands (422).

CEL rules (``x-kubernetes-validations``) are not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bennu.lab.kubeapi.problems import Cause
from bennu.lab.kubeapi.shapes import Shape, compact

_GO_TYPES = {"string": "string", "integer": "int32", "boolean": "bool", "number": "float64", "array": "slice", "object": "map"}


def json_type(value: Any) -> str:
    """The OpenAPI type of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _fits(value: Any, wanted: str) -> bool:
    found = json_type(value)
    return found == wanted or (wanted == "number" and found == "integer")


def _below(value: Any, shape: Shape, where: str) -> Iterable[tuple[Any, Shape, str]]:
    """The items of a map or list, each with its shape and its path."""
    if isinstance(value, dict):
        return _entries(value, shape, f"{where}." if where else "")
    if isinstance(value, list):
        return _items(value, shape.item, where)
    return ()


def _entries(value: dict[str, Any], shape: Shape, prefix: str) -> Iterable[tuple[Any, Shape, str]]:
    return [(item, shape.field(key), prefix + key) for key, item in value.items()]


def _items(value: list[Any], shape: Shape, where: str) -> Iterable[tuple[Any, Shape, str]]:
    return [(item, shape, f"{where}[{index}]") for index, item in enumerate(value)]


def _go_name(value: Any) -> str:
    found = json_type(value)
    return {"boolean": "bool", "integer": "number"}.get(found, found)


def mistyped(value: Any, shape: Shape, where: str = "") -> Iterator[str]:
    """Wrong types in an object of a built-in kind, as ``json: cannot unmarshal …`` texts."""
    wanted = shape.schema.get("type")
    if value is None or (shape.schema.get("x-kubernetes-int-or-string") and isinstance(value, int | float | str)):
        return
    if wanted and not _fits(value, wanted):
        yield f"json: cannot unmarshal {_go_name(value)} into Go struct field .{where} of type {_GO_TYPES[wanted]}"
        return
    for item, inner, path in _below(value, shape, where):
        yield from mistyped(item, inner, path)


_SHOWN_TYPES = {
    "string": "string",
    "integer": "numeric (int or float)",
    "number": "numeric (int or float)",
    "boolean": "boolean",
    "array": "list",
    "object": "map",
}


def untyped(value: Any, shape: Shape, where: str = "") -> Iterator[str]:
    """Where an applied configuration does not have its schema's types, in structured-merge-diff's words."""
    wanted = shape.schema.get("type")
    if value is None or shape.schema.get("x-kubernetes-int-or-string"):
        return
    if wanted and not _fits(value, wanted):
        yield f".{where}: expected {_SHOWN_TYPES[wanted]}, got &value.valueUnstructured{{Value:{compact(value)}}}"
        return
    for item, inner, path in _below(value, shape, where):
        yield from untyped(item, inner, path)


def violations(value: Any, shape: Shape, where: str = "") -> Iterator[Cause]:
    """Everything in which *value* breaks a CRD's schema."""
    schema = shape.schema
    if value is None and (schema.get("nullable") or not schema):
        return
    wanted = "integer,string" if schema.get("x-kubernetes-int-or-string") else str(schema.get("type", ""))
    if wanted and not any(_fits(value, one) for one in wanted.split(",")):
        yield _typed(where, wanted, value)
        return
    for check in _CHECKS:
        yield from check(value, schema, where)
    yield from _alternatives(value, shape, where)
    for item, inner, path in _below(value, shape, where):
        yield from violations(item, inner, path)


def _typed(where: str, wanted: str, value: Any) -> Cause:
    found = json_type(value)
    return Cause("FieldValueTypeInvalid", f'Invalid value: "{found}": {where} in body must be of type {wanted}: "{found}"', where)


def _wrong(where: str, value: Any, demand: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {compact(value)}: {where} in body should {demand}", where)


def _required(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    if isinstance(value, dict):
        for name in schema.get("required") or ():
            if name not in value:
                yield Cause("FieldValueRequired", "Required value", f"{where}.{name}" if where else name)


def _enumerated(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        names = ", ".join(compact(item) for item in allowed)
        yield Cause("FieldValueNotSupported", f"Unsupported value: {compact(value)}: supported values: {names}", where)


def _numbers(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        yield _wrong(where, value, f"be greater than or equal to {low}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        yield _wrong(where, value, f"be less than or equal to {high}")
    step = schema.get("multipleOf")
    if step and value % step:
        yield _wrong(where, value, f"be a multiple of {step}")


def _texts(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    if not isinstance(value, str):
        return
    pattern = schema.get("pattern")
    if pattern and not re.search(pattern, value):
        yield _wrong(where, value, f"match '{pattern}'")
    if len(value) < schema.get("minLength", 0):
        yield _wrong(where, value, f"be at least {schema['minLength']} chars long")
    if len(value) > schema.get("maxLength", len(value)):
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {schema['maxLength']} bytes", where)
    form = _FORMATS.get(str(schema.get("format")))
    if form is not None and not form.match(value):
        yield _wrong(where, value, f"be of type {schema['format']}")


_FORMATS = {
    "date-time": re.compile(r"^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$"),
    "date": re.compile(r"^\d{4}-\d\d-\d\d$"),
    "duration": re.compile(r"^([-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d|w)\s*)+$|^0$"),
    "ipv4": re.compile(r"^\d{1,3}(\.\d{1,3}){3}$"),
    "uuid": re.compile(r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"),
}


def _sizes(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    if not isinstance(value, list | dict):
        return
    unit, what = ("Items", "items") if isinstance(value, list) else ("Properties", "properties")
    if len(value) < schema.get(f"min{unit}", 0):
        yield _wrong(where, len(value), f"have at least {schema[f'min{unit}']} {what}")
    if len(value) > schema.get(f"max{unit}", len(value)):
        yield Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {schema[f'max{unit}']} {what}", where)


def _duplicates(value: Any, schema: Mapping[str, Any], where: str) -> Iterator[Cause]:
    if not isinstance(value, list) or not (schema.get("x-kubernetes-list-type") in {"set", "map"} or schema.get("uniqueItems")):
        return
    names = [_identity(item, schema.get("x-kubernetes-list-map-keys") or ()) for item in value]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {name}", f"{where}[{index}]")


def _identity(item: Any, keys: Sequence[str]) -> str:
    return compact({key: item.get(key) for key in keys}) if keys and isinstance(item, dict) else compact(item)


_CHECKS: tuple[Callable[[Any, Mapping[str, Any], str], Iterator[Cause]], ...] = (_required, _enumerated, _numbers, _texts, _sizes, _duplicates)


def _alternatives(value: Any, shape: Shape, where: str) -> Iterator[Cause]:
    def holds(schema: Mapping[str, Any]) -> bool:
        return next(violations(value, Shape(schema, shape.definitions), where), None) is None

    schema = shape.schema
    for part in schema.get("allOf") or ():
        yield from violations(value, Shape(part, shape.definitions), where)
    if schema.get("anyOf") and not any(holds(part) for part in schema["anyOf"]):
        yield _wrong(where, value, "match at least one schema (anyOf)")
    if schema.get("oneOf") and sum(holds(part) for part in schema["oneOf"]) != 1:
        yield _wrong(where, value, "match exactly one schema (oneOf)")
    if schema.get("not") and holds(schema["not"]):
        yield _wrong(where, value, "not match the schema (not)")
