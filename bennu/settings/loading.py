"""Reading ``bennu.yaml``: every problem of the file at once, each with its line, in words that are ours (never the validator's raw text)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bennu.core.policy import NUMBERS
from bennu.errors import ConfigError
from bennu.manifests import yaml_read
from bennu.settings import unsupported
from bennu.settings.model import Settings

# Environment → place in the file. Flags of the command line come on top, by the same names.
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    "BENNU_POLICY": ("policy",),
    "BENNU_REMOTE": ("repository", "remote"),
    "BENNU_BRANCH": ("repository", "branch"),
}


def load(path: Path, *, environ: Mapping[str, str], flags: Mapping[str, str]) -> Settings:
    """The settings of a file with environment and flags over it. Raises ConfigError with every problem, file and line."""
    file = str(path)
    try:
        with path.open("rb") as opened:
            # What is larger is refused by its size, below; a character may be cut in two there.
            raw = opened.read(yaml_read.MAX_BYTES + 1)
        text = raw.decode(errors="replace" if len(raw) > yaml_read.MAX_BYTES else "strict")
    except UnicodeDecodeError as error:
        raise ConfigError(f"is no text in UTF-8: {error.reason}", file=file, line=error.object.count(b"\n", 0, error.start) + 1) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=file) from None
    found = yaml_read.documents(text, file)
    if len(found) != 1 or not isinstance(found[0], dict):
        raise ConfigError("one YAML mapping was expected", file=file, line=1, next_step="see examples/bennu.yaml")
    given = {**{k: v for k, v in environ.items() if v}, **flags}
    tree = _overridden(found[0], given)
    lines = yaml_read.lines(text, file)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise _refused([(_location(one), _words(one) + _origin(_location(one), given)) for one in error.errors()], lines, file) from None
    missing = [(place, f"{_dotted(place)} is not supported yet: {instead}") for place, instead in unsupported.found(settings)]
    if missing:
        raise _refused(missing, lines, file)
    return settings


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return Settings.model_json_schema(by_alias=True)


def _overridden(tree: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    for name, place in OVERRIDES.items():
        if name in values:
            at = tree
            for part in place[:-1]:
                at = at.setdefault(part, {})
            if isinstance(at, dict):
                at[place[-1]] = values[name]
    return tree


def _location(error: Any) -> tuple[str | int, ...]:
    return tuple(part for part in error["loc"] if part != "[key]")


def _words(error: Any) -> str:
    place, kind = _location(error), error["type"]
    dotted = _dotted(place)
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), _known(place[:-1]), n=1)
        return f"unknown key {dotted}" + (f"; did you mean {close[0]!r}?" if close else "")
    if kind == "missing":
        return f"{dotted} is missing"
    if kind == "value_error":
        return f"{dotted}: {error['ctx']['error']}" if place else str(error["ctx"]["error"])
    context = error.get("ctx", {})
    if kind == "literal_error":
        # The value itself is not repeated: it may be anything.
        close = difflib.get_close_matches(str(error["input"]), re.findall(r"'([^']*)'", context["expected"]), n=1)
        return f"{dotted}: {context['expected']} was expected" + (f"; did you mean {close[0]!r}?" if close else "")
    return f"{dotted}: {_EXPECTED[kind].format(**context)}" if kind in _EXPECTED else f"{dotted} cannot be meant ({kind.replace('_', ' ')})"


# The validator's kinds of error, in our words.
_EXPECTED: Mapping[str, str] = {
    "string_type": "text was expected (in quotes, where it looks like a number)",
    "int_type": "a whole number was expected",
    "float_type": "a number was expected",
    "bool_type": "true or false was expected",
    "tuple_type": "a list was expected",
    "dict_type": "a mapping was expected",
    "model_type": "a mapping was expected",
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "invalid_key": "a key must be text (in quotes, where it looks like a number)",
}


def _origin(place: tuple[str | int, ...], given: Mapping[str, str]) -> str:
    """Where a value that isn't the file's own comes from."""
    return next((f" (from {name})" for name, where in OVERRIDES.items() if where == place and name in given), "")


def _known(place: Iterable[str | int]) -> list[str]:
    """The keys that the schema has at *place*."""
    parts = tuple(place)
    if parts == ("policy_overrides",):
        return list(NUMBERS)
    model: Any = Settings
    for part in parts:
        model = _inner(model, part)
        if model is None:
            return []
    return [field.alias or name for name, field in model.model_fields.items()] if _is_model(model) else []


def _inner(model: Any, part: str | int) -> Any:
    if not _is_model(model):
        return None
    by_name = {field.alias or name: field for name, field in model.model_fields.items()}
    if part in by_name:
        return _unwrapped(by_name[part].annotation)
    # An item of a list, or a name in a mapping of models: the model stays the same.
    return model


def _unwrapped(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    inner = [_unwrapped(one) for one in getattr(annotation, "__args__", ())]
    return next((one for one in inner if one is not None), None)


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _dotted(place: Iterable[str | int]) -> str:
    out = ""
    for part in place:
        out += f"[{part}]" if isinstance(part, int) else f"{'.' if out else ''}{part}"
    return out


def _refused(problems: list[tuple[tuple[str | int, ...], str]], lines: Mapping[tuple[str | int, ...], int], file: str) -> ConfigError:
    placed = sorted((_line_of(place, lines), words) for place, words in problems)
    first = placed[0]
    rest = "".join(f"\n  {file}:{line}: {words}" for line, words in placed[1:])
    return ConfigError(first[1] + rest, file=file, line=first[0], next_step="'bennu config schema' prints the schema; examples/bennu.yaml is a whole file")


def _line_of(place: tuple[str | int, ...], lines: Mapping[tuple[str | int, ...], int]) -> int:
    """The line of the deepest part that the file has."""
    while place:
        if place in lines:
            return lines[place]
        place = place[:-1]
    return 1
