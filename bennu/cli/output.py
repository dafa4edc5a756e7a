"""Data on stdout: JSON, YAML or text, of one and the same value."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer


class Format(enum.StrEnum):
    """``-o``."""

    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[Format, typer.Option("--output", "-o", help="text, json or yaml.", case_sensitive=False)]


def plain(value: object) -> Any:
    """A value as JSON has it: dataclasses to objects, enums to their values, sets to sorted lists."""
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def shown(value: object, form: Format) -> str:
    """*value* as JSON or YAML text, ending in a newline."""
    if form is Format.YAML:
        from bennu.manifests.yaml_write import dumped

        return dumped(plain(value))
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
