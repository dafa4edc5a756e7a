"""YAML as kustomize reads it: objects of a file or a text, duplicate keys refused, dates left as the text they are. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

Json = dict[str, Any]


class BuildError(Exception):
    """Why a folder cannot be built."""


_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the fast one, where PyYAML was built with libyaml


class _Loader(_BASE):  # type: ignore[misc]  # its base is chosen at run time
    """Safe, and as strict as Go's: a key that stands twice would silently lose one of its values."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"] for first, found in _BASE.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f'mapping key "{twice}" already defined', node.start_mark)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def documents(text: str, where: str) -> Iterator[Any]:
    """Each document of *text* that isn't empty; *where* names it in errors. Raises BuildError with the line."""
    try:
        for one in yaml.load_all(text, Loader=_Loader):  # derives from a safe loader
            if one is not None:
                yield one
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        line = f" line {mark.line + 1}:" if mark is not None else ""
        raise BuildError(f"{where}:{line} {problem or str(error).splitlines()[0]}") from None


def objects(text: str, where: str) -> Iterator[Json]:
    """The Kubernetes objects of *text*, Lists unfolded, kustomizations left out. Raises BuildError for what is none."""
    for one in documents(text, where):
        if isinstance(one, dict) and str(one.get("apiVersion", "")).startswith("kustomize.config.k8s.io/"):
            continue
        if isinstance(one, dict) and one.get("kind") == "List" and isinstance(one.get("items"), list):
            yield from (checked(item, where) for item in one["items"])
        else:
            yield checked(one, where)


def checked(one: Any, where: str) -> Json:
    """*one* if it has what every object has. Raises BuildError."""
    if not isinstance(one, dict) or not one.get("apiVersion") or not one.get("kind"):
        raise BuildError(f"{where}: not a Kubernetes object")
    meta = one.get("metadata")
    if not isinstance(meta, dict) or not isinstance(meta.get("name"), str) or not meta["name"]:
        raise BuildError(f"{where}: {one['kind']} has no metadata.name")
    for field in ("labels", "annotations"):
        if not isinstance(meta.get(field) or {}, dict):
            raise BuildError(f"{where}: {one['kind']} {meta['name']}: metadata.{field} is not a map")
    return one
