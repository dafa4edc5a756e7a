"""Reads the protobuf bodies that kubectl insists on (``kubectl create ns|cm|secret|deployment …``, ``auth can-i``): it does not fall back to JSON after a 415.

Answers stay JSON, which it accepts. The field numbers in ``protobuf_fields.json`` are the API's wire contract (``k8s.io/api``, ``generated.proto``), for the kinds
that kubectl creates by itself. Go writes zero values of fields that were never set, so that they are dropped here, but for the fields in which zero means something.
"""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from bennu.lab.kubeapi.problems import Obj, bad_request, unsupported_media

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_ZERO_COUNTS = frozenset(
    {
        "gracePeriodSeconds",
        "replicas",
        "backoffLimit",
        "parallelism",
        "completions",
        "ttlSecondsAfterFinished",
        "automountServiceAccountToken",
        "enableServiceLinks",
        "emptyDir",
        "podSelector",
    }
)
# Go structs that are embedded in their parent: JSON shows their fields there.
_INLINE = frozenset({"ingressRuleValue", "volumeSource", "persistentVolumeSource", "handler", "localObjectReference", "ephemeralContainerCommon"})
# Messages that JSON shows as one value.
_SCALARS = frozenset({"meta.Time", "meta.MicroTime", "resource.Quantity", "intstr.IntOrString"})

_Fields = dict[str, tuple[str, str]]


@functools.cache
def _table() -> dict[str, Any]:
    text = resources.files("bennu.lab.kubeapi").joinpath("protobuf_fields.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def decoded(raw: bytes) -> Obj:
    """The object in a protobuf body. Raises 400 for a body that is none, 415 for kinds whose fields are not known here."""
    if not raw.startswith(_MAGIC):
        raise bad_request("provided data does not appear to be a protobuf message, expected prefix 'k8s'")
    try:
        return _decoded(raw)
    except (IndexError, struct.error, UnicodeDecodeError) as problem:
        raise bad_request(f"the protobuf body is cut short or broken: {problem}") from problem


def _decoded(raw: bytes) -> Obj:
    envelope = {number: value for number, _, value in _fields(raw[len(_MAGIC) :])}
    kind_of = {number: value.decode() for number, _, value in _fields(envelope.get(1, b""))}
    api_version, kind = kind_of.get(1, ""), kind_of.get(2, "")
    # Options are sent under the group of whatever they are about.
    name = _table()["kinds"].get(f"{'v1' if kind == 'DeleteOptions' else api_version} {kind}")
    if name is None:
        raise unsupported_media(f"protobuf bodies of {api_version} {kind} are not read by the lab; send application/json")
    return {"apiVersion": api_version, "kind": kind, **_message(envelope.get(2, b""), name)}


def _fields(raw: bytes) -> Iterator[tuple[int, int, Any]]:
    """(field number, wire type, value): an int for varints, bytes for everything else."""
    position = 0
    while position < len(raw):
        tag, position = _varint(raw, position)
        number, wire = tag >> 3, tag & 7
        value: Any
        if wire == 0:
            value, position = _varint(raw, position)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                size, position = _varint(raw, position)
            if position + size > len(raw):
                raise IndexError("a field is longer than the body")
            value = raw[position : position + size]
            position += size
        yield number, wire, value


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position


def _message(raw: bytes, name: str) -> Obj:
    fields: _Fields = {number: (field, kind) for number, (field, kind) in _table()["messages"].get(name, {}).items()}
    result: Obj = {}
    for number, _, value in _fields(raw):
        if str(number) in fields:
            field, kind = fields[str(number)]
            _set(result, field, kind, value)
    return result


def _set(result: Obj, field: str, kind: str, value: Any) -> None:
    if kind.startswith("[]"):
        result.setdefault(field, []).append(_value(value, kind[2:]))
    elif kind.startswith("{}"):
        entry = {number: part for number, _, part in _fields(value)}
        result.setdefault(field, {})[entry.get(1, b"").decode()] = _value(entry.get(2, b""), kind[2:])
    elif field in _INLINE:
        result.update(_message(value, kind))
    else:
        found = _value(value, kind)
        if found or field in _ZERO_COUNTS:
            result[field] = found


def _value(value: Any, kind: str) -> Any:
    if kind == "int":
        return value - 2**64 if value >= 2**63 else value
    if kind == "bool":
        return bool(value)
    if kind == "double":
        return struct.unpack("<d", value)[0]
    if kind == "bytes":
        return base64.b64encode(value).decode()
    if kind == "string":
        return value.decode()
    return _scalar(value, kind) if kind in _SCALARS else _message(value, kind)


def _scalar(raw: bytes, kind: str) -> Any:
    parts = {number: value for number, _, value in _fields(raw)}
    if kind == "resource.Quantity":
        return parts.get(1, b"").decode()
    if kind == "intstr.IntOrString":
        return parts.get(3, b"").decode() if parts.get(1) else parts.get(2, 0)
    return datetime.fromtimestamp(parts[1], UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if parts.get(1) else None
