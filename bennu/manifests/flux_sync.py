"""flux-system/gotk-sync.yaml and other files that are applied as they are: text → objects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bennu.errors import ConfigError
from bennu.manifests import yaml_read
from bennu.manifests.yaml_read import Path


def objects(text: str, file: str) -> list[yaml_read.Read]:
    """Every Kubernetes object of a file, such as an API server can be sent it. Raises ConfigError."""
    found = [one for one in yaml_read.objects(text, file) if one.get("kind") and one.get("apiVersion")]
    for one in found:
        yaml_read.named(one, file)
        for path, value in _unsendable(one, ()):
            where = ".".join(map(str, path))
            raise ConfigError(f"{where} is of type {value}, which no Kubernetes object holds; put it in quotes", file=file, line=one.line(path))
    return found


def _unsendable(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """What JSON has no form for: dates, binaries, sets, keys that are no text, numbers without an end."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from _unsendable(inner, (*path, key))
            else:
                yield path, f"mapping with a key that is no text ({type(key).__name__})"
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _unsendable(inner, (*path, index))
    elif not (value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value))):
        yield path, type(value).__name__
