"""The shape of an object's fields: an OpenAPI schema, read the way server-side apply and strategic merge need it.

Built-in kinds and custom resources are described alike (``x-kubernetes-list-type`` and its siblings), so that validation, apply and patch are each written
once. Where a schema says nothing, maps are merged by key and lists are replaced whole: upstream's *deduced* type.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

Schema = Mapping[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """One node's schema, with the definitions that its ``$ref`` point into."""

    schema: Schema
    definitions: Mapping[str, Schema]
    # Every write walks whole objects several times: children are made once.
    _fields: dict[str, Shape] = attribute(default_factory=dict, init=False, repr=False, compare=False)

    def _of(self, schema: Any) -> Shape:
        if not isinstance(schema, Mapping):
            return Shape({}, self.definitions)
        reference = schema.get("$ref")
        if reference is None:
            return Shape(schema, self.definitions)
        return Shape(self.definitions.get(str(reference).rsplit("/", 1)[-1], {}), self.definitions)

    def field(self, name: str) -> Shape:
        """The shape of a map's entry or a struct's field."""
        known = self._fields.get(name)
        if known is None:
            properties = self.schema.get("properties") or {}
            if name not in properties:
                return self._entry
            known = self._fields[name] = self._of(properties[name])
        return known

    @functools.cached_property
    def _entry(self) -> Shape:
        return self._of(self.schema.get("additionalProperties"))

    def declares(self, name: str) -> bool:
        """Whether *name* is a field of a struct here, as opposed to a key of a map."""
        return name in (self.schema.get("properties") or {})

    @functools.cached_property
    def item(self) -> Shape:
        """The shape of a list's items."""
        return self._of(self.schema.get("items"))

    @property
    def atomic_map(self) -> bool:
        """Whether a map here is replaced and owned as a whole."""
        return self.schema.get("x-kubernetes-map-type") == "atomic"

    @property
    def list_type(self) -> str:
        """``atomic``, ``set`` or ``map``."""
        return str(self.schema.get("x-kubernetes-list-type", "atomic"))

    @property
    def list_keys(self) -> tuple[str, ...]:
        """The fields that name an item of a list of type ``map``."""
        return tuple(self.schema.get("x-kubernetes-list-map-keys") or ())

    @property
    def merge_key(self) -> str:
        """The key of strategic merge, or empty."""
        return str(self.schema.get("x-kubernetes-patch-merge-key", ""))

    @property
    def patch_strategies(self) -> frozenset[str]:
        """``merge``, ``retainKeys``, both or neither."""
        return frozenset(str(self.schema.get("x-kubernetes-patch-strategy", "")).split(",")) - {""}

    def element(self, item: Any) -> str:
        """How an item of this list is named in a field path: ``k:{"name":"a"}`` or ``v:"x"``. Raises ValueError if a key is missing."""
        if self.list_type == "set":
            return "v:" + compact(item)
        if not isinstance(item, dict):
            raise ValueError("expected an object in a list that is keyed by fields")
        keys: dict[str, Any] = {}
        for key in self.list_keys:
            value = item.get(key, self.item.field(key).schema.get("default"))
            if value is not None:
                keys[key] = value
        if not keys:
            raise ValueError(f"item lacks all of its keys: {', '.join(self.list_keys)}")
        return "k:" + compact(keys)


def compact(value: Any) -> str:
    """JSON without spaces, keys in order: one text for one value."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def keyed_items(items: list[Any], shape: Shape) -> dict[str, Any]:
    """A set's or map list's items by their path element, in order. Raises ValueError for items without a key, or twice the same."""
    named: dict[str, Any] = {}
    for item in items:
        element = shape.element(item)
        if element in named:
            raise ValueError(f"duplicate entries for key [{element[2:]}]")
        named[element] = item
    return named
