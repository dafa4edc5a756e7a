"""Flux' ``postBuild``: ``${VAR}`` and its defaults, put into the text of an object before it is read again. Pure.

So a number that comes in is a number afterwards, as with the real one. Emulated: no other function of the shell's; one that is used is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml

from bennu.lab.controllers.kustomize_yaml import BuildError, Json, objects

_OPT_OUT = "kustomize.toolkit.fluxcd.io/substitute"
_REFERENCE = re.compile(r"\$(\$)?\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::?[=-]([^}]*))?\})?")
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def substituted(found: Sequence[Json], values: Mapping[str, str]) -> list[Json]:
    """Each object with its variables filled in; one without value or default becomes empty, ``$${VAR}`` stays as ``${VAR}``. Raises BuildError.

    Objects that carry ``kustomize.toolkit.fluxcd.io/substitute: disabled`` (annotation or label) stay as they are.
    """
    return [_one(obj, values) for obj in found]


def _one(obj: Json, values: Mapping[str, str]) -> Json:
    meta = obj["metadata"]
    if any((meta.get(field) or {}).get(_OPT_OUT) == "disabled" for field in ("annotations", "labels")):
        return obj
    text = yaml.dump(obj, Dumper=_DUMPER, sort_keys=False, width=2**20)
    if "${" not in text:
        return obj
    name = f"{obj['kind']}/{meta['name']}"

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        if match[2] is None:
            raise BuildError(f"{name}: variable substitution failed: {text[match.start() : match.start() + 40].splitlines()[0]!r} is not emulated")
        return values.get(match[2]) or match[3] or ""

    filled = list(objects(_REFERENCE.sub(value, text), name))
    if len(filled) != 1:
        raise BuildError(f"{name}: variable substitution made {len(filled)} objects of one")
    return filled[0]
