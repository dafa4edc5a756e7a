"""The schema of every kind that is served, as a ``Shape``: built-in kinds from the checked-in table, custom resources from their CRD."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.merge_keys import annotated
from bennu.lab.kubeapi.shapes import Schema, Shape

TABLE = "builtin_types.json"


@functools.cache
def definitions() -> dict[str, Schema]:
    """Type name (``V1PodSpec``) → OpenAPI schema with Kubernetes' merge extensions; references are ``#/components/schemas/<name>``."""
    text = resources.files("bennu.lab.kubeapi").joinpath(TABLE).read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)["types"]
    return annotated(table)


def type_name(resource: ResourceType) -> str:
    """The name of a built-in kind's definition, e.g. ``V1Deployment``; the client library tells the two kinds of Event apart."""
    if resource.kind == "Event":
        return "CoreV1Event"
    return resource.version[:1].upper() + resource.version[1:] + resource.kind


@functools.cache
def _built_in(name: str) -> Shape:
    return Shape(definitions().get(name, {}), definitions())


_METADATA: dict[str, Any] = {"$ref": "#/components/schemas/V1ObjectMeta"}


def custom_shape(schema: Schema) -> Shape:
    """A CRD version's schema with what every object has in addition: apiVersion, kind and real metadata."""
    properties = dict(schema.get("properties") or {})
    properties["apiVersion"] = {"type": "string"}
    properties["kind"] = {"type": "string"}
    properties["metadata"] = _METADATA
    return Shape({**schema, "type": "object", "properties": properties}, definitions())


def shape_of(resource: ResourceType) -> Shape:
    """The shape of a resource's objects."""
    return resource.custom.shape if resource.custom is not None else _built_in(type_name(resource))
