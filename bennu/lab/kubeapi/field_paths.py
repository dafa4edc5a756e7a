"""Field sets of managedFields: which paths an object holds, and their ``FieldsV1`` form.

A path is a tuple of FieldsV1 elements (``f:spec``, ``k:{"name":"a"}``, ``v:"x"``). The rules of what counts as a member are structured-merge-diff's: leaves,
empty maps, whole atomic lists and maps, every keyed item and every key of a map (but not a struct's inner fields).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bennu.lab.kubeapi.problems import Obj
from bennu.lab.kubeapi.shapes import Path, Shape, keyed_items

PRESENT = object()

UNOWNED: frozenset[Path] = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            "name",
            "namespace",
            "creationTimestamp",
            "selfLink",
            "uid",
            "generation",
            "managedFields",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        )
    ]
)


def members(value: Any, shape: Shape) -> dict[Path, Any]:
    """Every member path with its value (PRESENT for a map entry or item that has members of its own). Raises ValueError for lists without keys."""
    return {path: leaf for path, leaf in _walk(value, shape, ()) if path and path not in UNOWNED and path[:2] != ("f:metadata", "f:managedFields")}


def _walk(value: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and not shape.atomic_map:
        yield from _walk_map(value, shape, path)
    elif isinstance(value, list) and shape.list_type != "atomic":
        for element, item in _lenient_items(value, shape):
            yield (*path, element), PRESENT if shape.list_type == "map" else item
            if shape.list_type == "map":
                yield from _walk(item, shape.item, (*path, element))
    else:
        yield path, value


def _lenient_items(items: list[Any], shape: Shape) -> Iterable[tuple[str, Any]]:
    return keyed_items(items, shape).items()


def _walk_map(value: dict[str, Any], shape: Shape, path: Path) -> Iterator[tuple[Path, Any]]:
    for key, item in value.items():
        yield from _walk_entry(key, item, shape, path)


def _walk_entry(key: str, item: Any, shape: Shape, path: Path) -> Iterator[tuple[Path, Any]]:
    inner = (*path, f"f:{key}")
    if item is None or item == {}:
        yield inner, item
        return
    if isinstance(item, dict | list) and not shape.declares(key):
        yield inner, PRESENT
    yield from _walk(item, shape.field(key), inner)


@dataclass(frozen=True)
class Difference:
    """Member paths that were added or changed (``touched``), and those that are gone (``removed``)."""

    touched: frozenset[Path]
    removed: frozenset[Path]


def difference(old: Any, new: Any, shape: Shape) -> Difference:
    """What a write changed. Raises ValueError as ``members``."""
    before: dict[Path, Any] = {}
    after: dict[Path, Any] = {}
    _part(old, new, shape, (), (before, after))
    touched = frozenset(path for path, value in after.items() if path not in before or before[path] != value)
    return Difference(touched - UNOWNED, frozenset(before.keys() - after.keys()) - UNOWNED)


def _part(old: dict[str, Any], new: dict[str, Any], shape: Shape, path: Path, found: tuple[dict[Path, Any], dict[Path, Any]]) -> None:
    """Collect the members of those entries of two maps that differ: equal subtrees, most of every object, are not walked."""
    changed = [key for key in old.keys() | new.keys() if key not in old or key not in new or old[key] != new[key]]
    for key in changed:
        child = shape.field(key)
        if _both_maps(old.get(key), new.get(key), child):
            _part(old[key], new[key], child, (*path, f"f:{key}"), found)
        elif (*path, key) != ("f:metadata", "managedFields"):
            _collect(key, (old, new), shape, path, found)


def _collect(key: str, sides: tuple[dict[str, Any], dict[str, Any]], shape: Shape, path: Path, found: tuple[dict[Path, Any], dict[Path, Any]]) -> None:
    for side, members_of in zip(sides, found, strict=True):
        if key in side:
            members_of.update(_walk_entry(key, side[key], shape, path))


def _both_maps(held: Any, wanted: Any, shape: Shape) -> bool:
    return bool(held and wanted) and isinstance(held, dict) and isinstance(wanted, dict) and not shape.atomic_map


def as_tree(paths: Iterable[Path]) -> Obj:
    """The ``FieldsV1`` tree of a set of paths."""
    root: Obj = {}
    ordered = sorted(paths)
    inner = {path[:length] for path in ordered for length in range(1, len(path))}
    for path in ordered:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        if path in inner:
            node["."] = {}
    return root


def from_tree(tree: Obj, prefix: Path = ()) -> Iterator[Path]:
    """The paths of a ``FieldsV1`` tree."""
    for element, below in tree.items():
        if element == ".":
            if prefix:
                yield prefix
            continue
        path = (*prefix, element)
        if below:
            yield from from_tree(below, path)
        else:
            yield path


def with_ancestors(paths: Iterable[Path]) -> set[Path]:
    """The paths and everything above them."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def shown(path: Path) -> str:
    """A path as conflicts name it: ``.spec.ports[port=80,protocol="TCP"].name``."""
    text = ""
    for element in path:
        kind, rest = element[:2], element[2:]
        if kind == "f:":
            text += "." + rest
        elif kind == "k:":
            text += "[" + rest.strip("{}").replace('":', "=").replace(',"', ",").removeprefix('"') + "]"
        else:
            text += f"[={rest}]"
    return text
