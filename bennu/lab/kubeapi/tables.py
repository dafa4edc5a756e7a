"""``kubectl get``: the Table that the server makes of objects, with the columns people know.

Built-in kinds have theirs in ``columns``; custom resources have what their CRD's printer columns say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bennu.lab.kubeapi.columns import COLUMNS, Column, age, named, since
from bennu.lab.kubeapi.json_paths import value_at
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Obj


def table(resource: ResourceType, items: list[Obj], metadata: Obj, include: str) -> Obj:
    """A ``meta.k8s.io/v1 Table``. *include* is None, Metadata or Object: what of each object goes along."""
    columns = _columns(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [_row(item, columns, include) for item in items],
    }


def _columns(resource: ResourceType) -> tuple[Column, ...]:
    if resource.custom is None:
        return COLUMNS.get(resource.kind, (named, age))
    own = tuple(_printer(column) for column in resource.custom.columns)
    return (named, *own) if own else (named, age)


def _printer(spec: Mapping[str, Any]) -> Column:
    path, kind = str(spec["jsonPath"]), str(spec.get("type", "string"))

    def cell(obj: Obj) -> Any:
        value = value_at(obj, path)
        if kind == "date":
            return since(value) if isinstance(value, str) else "<unknown>" if value is None else value
        if isinstance(value, bool) and kind == "string":
            return str(value).lower()
        return value

    return Column(str(spec["name"]), cell, type=kind, priority=int(spec.get("priority", 0)))


def _row(item: Obj, columns: tuple[Column, ...], include: str) -> Obj:
    row: Obj = {"cells": [column.cell(item) for column in columns]}
    if include == "Object":
        row["object"] = item
    elif include != "None":
        row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
    return row
