"""Structured merge: an applied configuration laid over the live object, and paths taken out of an object."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bennu.lab.kubeapi.jsontree import copied
from bennu.lab.kubeapi.shapes import Path, Shape, keyed_items


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """*config* over *live*: its leaves win, maps and keyed lists keep what it does not mention (so an empty map clears nothing). Raises ValueError."""
    if isinstance(live, dict) and isinstance(config, dict) and not shape.atomic_map:
        result = {key: copied(value) for key, value in live.items()}
        for key, value in config.items():
            result[key] = merged(live[key], value, shape.field(key)) if key in live else copied(value)
        return result
    if isinstance(live, list) and isinstance(config, list) and shape.list_type != "atomic":
        return _merged_items(live, config, shape)
    return copied(config)


def _merged_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    ours, wanted = keyed_items(live, shape), keyed_items(config, shape)

    def item(element: str) -> Any:
        if element not in wanted:
            return copied(ours[element])
        return merged(ours[element], wanted[element], shape.item) if element in ours and shape.list_type == "map" else copied(wanted[element])

    return [item(element) for element in _order(ours, wanted)]


def _order(ours: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """As upstream orders a merged list: the applier's items in the applier's order, the others where they stood relative to those."""
    rest = list(wanted)
    applied = frozenset(rest)
    ordered: list[str] = []
    for element in ours:
        if element not in applied:
            ordered.append(element)
        while element in applied and element not in ordered:
            ordered.append(rest.pop(0))
    return ordered + rest


def without(value: Any, shape: Shape, paths: set[Path]) -> Any:
    """*value* less everything at *paths*; the argument stays as it is."""
    return _without(value, shape, (), paths)


def _without(value: Any, shape: Shape, here: Path, paths: set[Path]) -> Any:
    if isinstance(value, dict) and not shape.atomic_map:
        return _without_entries(value, shape, here, paths)
    if isinstance(value, list) and shape.list_type != "atomic":
        return _without_items(value, shape, here, paths)
    return copied(value)


def _without_entries(value: dict[str, Any], shape: Shape, here: Path, paths: set[Path]) -> dict[str, Any]:
    entries = {key: (*here, f"f:{key}") for key in value}
    return {key: _without(value[key], shape.field(key), path, paths) for key, path in entries.items() if path not in paths}


def _without_items(value: list[Any], shape: Shape, here: Path, paths: set[Path]) -> list[Any]:
    items = {(*here, element): item for element, item in keyed_items(value, shape).items()}
    kept = {path: item for path, item in items.items() if path not in paths}
    return [_without(item, shape.item, path, paths) if shape.list_type == "map" else item for path, item in kept.items()]
