"""The checked-in table of built-in types agrees with the ``kubernetes`` client's models, from which it is made.

``python tests/contract/lab_api/test_type_table.py`` writes it anew. The models know every field of every kind with its type: all that the server needs to
validate, to prune and to answer OpenAPI.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes.client import models

from bennu.lab.kubeapi import kinds, schemas

TABLE = Path(kinds.__file__).with_name(schemas.TABLE)
SOURCE = "kubernetes-client"
SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {"x-kubernetes-preserve-unknown-fields": True},
}
# Where the models say "object" or "str" and the API takes a number as well: ports and percentages, and quantities.
INT_OR_STRING = {"port", "targetPort", "maxSurge", "maxUnavailable", "minAvailable", "divisor", "sizeLimit", "averageValue"}
QUANTITIES = {
    "limits",
    "requests",
    "capacity",
    "allocatable",
    "hard",
    "used",
    "overhead",
    "default",
    "defaultRequest",
    "max",
    "min",
    "maxLimitRequestRatio",
    "allocatedResources",
}
EITHER: dict[str, Any] = {"x-kubernetes-int-or-string": True}


def schema(text: str, found: set[str]) -> dict[str, Any]:
    if text in SCALARS:
        return dict(SCALARS[text])
    if inner := re.fullmatch(r"[Ll]ist\[(.+)\]", text):
        return {"type": "array", "items": schema(inner[1], found)}
    if inner := re.fullmatch(r"[Dd]ict[\[(]str, (.+)[\])]", text):
        return {"type": "object", "additionalProperties": schema(inner[1], found)}
    found.add(text)
    return {"$ref": f"#/components/schemas/{text}"}


def definition(name: str, found: set[str]) -> dict[str, Any]:
    if name == "V1JSONSchemaProps":
        return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    model = getattr(models, name)
    properties: dict[str, Any] = {}
    for attribute, text in sorted(model.openapi_types.items()):
        field = model.attribute_map[attribute]
        if field in INT_OR_STRING and text in {"object", "str"}:
            properties[field] = dict(EITHER)
        elif field in QUANTITIES and text.lower().startswith("dict"):
            properties[field] = {"type": "object", "additionalProperties": dict(EITHER)}
        else:
            properties[field] = schema(text, found)
    return {"type": "object", "properties": properties}


def table() -> str:
    names = {schemas.type_name(resource) for resource in kinds.BUILT_IN} | {"V1Scale"}
    done: dict[str, Any] = {}
    while names - done.keys():
        name = min(names - done.keys())
        done[name] = definition(name, names)
    return json.dumps({SOURCE: kubernetes.__version__, "types": done}, sort_keys=True, separators=(",", ":")) + "\n"


def test_the_table_is_what_the_models_say() -> None:
    held = json.loads(TABLE.read_text(encoding="utf-8"))
    if held[SOURCE] != kubernetes.__version__:
        pytest.skip(f"the table is of client {held[SOURCE]}; {kubernetes.__version__} is installed")
    assert TABLE.read_text(encoding="utf-8") == table(), "stale: run this file with python"


def test_every_built_in_kind_has_its_type() -> None:
    assert [t.kind for t in kinds.BUILT_IN if not schemas.shape_of(t).schema] == []


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
