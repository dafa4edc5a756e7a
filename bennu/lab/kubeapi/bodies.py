"""Request bodies: JSON, YAML (server-side apply sends it) and the few protobuf bodies that kubectl cannot be talked out of."""

from __future__ import annotations

import json
from typing import Any

import yaml

from bennu.lab.kubeapi import protobuf
from bennu.lab.kubeapi.problems import Obj, bad_request, unsupported_media

JSON_TYPES = frozenset({"", "application/json"})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml"})


def decoded(raw: bytes, content_type: str) -> Any:
    """The body as a JSON value. Raises 400 for a body that is not what its type says, 415 for types not spoken here."""
    kind = content_type.split(";", maxsplit=1)[0].strip()
    if kind in YAML_TYPES or kind == "application/apply-patch+yaml":
        return from_yaml(raw)
    if kind in JSON_TYPES or kind.endswith("+json"):
        return from_json(raw)
    if kind == protobuf.CONTENT_TYPE:
        return protobuf.decoded(raw)
    raise unsupported_media(f"the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, not {kind}")


def from_json(raw: bytes) -> Any:
    """A JSON body."""
    try:
        return json.loads(raw)
    except ValueError as problem:
        raise bad_request(f"the object provided is unrecognized (must be of type JSON): {problem}") from problem


def from_yaml(raw: bytes) -> Any:
    """A YAML body, with timestamps left as text: JSON has no dates."""
    try:
        return yaml.load(raw, Loader=_JsonValues)  # noqa: S506 (a SafeLoader without dates)
    except yaml.YAMLError as problem:
        raise bad_request(f"error decoding YAML: {problem}") from problem


_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _JsonValues(_BASE):  # type: ignore[misc]
    """A safe loader whose scalars are JSON's."""


_JsonValues.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"] for first, resolvers in _BASE.yaml_implicit_resolvers.items()
}


def as_object(value: Any) -> Obj:
    """A body that has to be an object with sane metadata. Raises 400."""
    if not isinstance(value, dict):
        raise bad_request("the body of the request is not an object")
    metadata = value.get("metadata")
    if metadata is None:
        value["metadata"] = {}
    elif not isinstance(metadata, dict):
        raise bad_request("metadata: expected an object")
    return value
