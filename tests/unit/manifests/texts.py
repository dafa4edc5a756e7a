"""Means to say what an edit may do to a text: only so many lines, and back again without a trace."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit

MAP = yaml_edit.Target("ConfigMap")


def trees(text: str) -> list[Any]:
    """What a reader of its own sees in *text*."""
    return list(YAML(typ="safe", pure=True).load_all(text))


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came, the common head and tail left out."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    while old and new and old[0] == new[0]:
        old, new = old[1:], new[1:]
    while old and new and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return old, new


def put(text: str, path: tuple[str | int, ...], value: Any) -> str:
    """Set in the one ConfigMap of *text*."""
    return yaml_edit.set_value(text, MAP, path, value, "file.yaml")


def drop(text: str, path: tuple[str | int, ...]) -> str:
    """Delete in it."""
    return yaml_edit.delete(text, MAP, path, "file.yaml")


def add(text: str, path: tuple[str | int, ...], item: Any) -> str:
    """Append in it."""
    return yaml_edit.append(text, MAP, path, item, "file.yaml")


def refused(text: str, path: tuple[str | int, ...], value: Any) -> ConfigError:
    """The error that setting is refused with."""
    with pytest.raises(ConfigError) as error:
        put(text, path, value)
    assert error.value.message.startswith("file.yaml")
    return error.value
