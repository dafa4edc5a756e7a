"""The part of JSONPath that printer columns and scale subresources use: fields, indexes, and ``[?(@.type=="Ready")]``."""

from __future__ import annotations

import re
from typing import Any

_STEP = re.compile(
    r"""\.(?P<field>(?:\\.|[^.\[\]])+)|\[(?P<index>-?\d+|\*)\]|\['(?P<quoted>[^']+)'\]|\[\?\(@\.(?P<key>[\w.]+)\s*==\s*["'](?P<value>[^"']*)["']\)\]"""
)


def steps(path: str) -> list[re.Match[str]]:
    """The parsed path; stops at what it cannot read."""
    found: list[re.Match[str]] = []
    position = 0
    while (step := _STEP.match(path, position)) is not None:
        found.append(step)
        position = step.end()
    return found


def value_at(tree: Any, path: str) -> Any:
    """The first value at *path*, or None."""
    nodes: list[Any] = [tree]
    for step in steps(path if path.startswith((".", "[")) else "." + path):
        nodes = [below for node in nodes for below in _below(node, step)]
    return nodes[0] if nodes else None


def _below(node: Any, step: re.Match[str]) -> list[Any]:
    field = step["field"] or step["quoted"]
    if field is not None:
        name = field.replace("\\.", ".")
        return [node[name]] if isinstance(node, dict) and name in node else []
    return _items(node, step) if isinstance(node, list) else []


def _items(items: list[Any], step: re.Match[str]) -> list[Any]:
    if step["key"] is not None:
        return [item for item in items if isinstance(item, dict) and str(item.get(step["key"])) == step["value"]]
    if step["index"] == "*":
        return items
    index = int(step["index"])
    return [items[index]] if -len(items) <= index < len(items) else []
