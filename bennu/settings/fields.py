"""Field types of the settings: names, paths, durations, shares and references to secrets, each checked where it enters.

Each says the same to the validator and to the JSON Schema, as far as JSON Schema can say it.
"""

from __future__ import annotations

import math
import re
import string
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema


class Section(BaseModel):
    """A mapping of the file: frozen, and nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)


_LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SUBDOMAIN = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_DATA_KEY = "[-._a-zA-Z0-9]{1,253}"
_LINE = "[ -,.-~][ -~]*"
_DURATION = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_PERCENT = r"(\d+(?:\.\d+)?) ?%"
_ELSEWHERE = "(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)"
_ANYWHERE = r"(env:[A-Za-z_]([A-Za-z0-9_]|\{colour\})*|file:/.+|vault:[^/#]+/[^#]+#[^#]+)"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# How the tokens of the large Git hosts begin: as a user name they are passwords all the same.
_TOKEN = re.compile(r"gh[pousr]_|github_pat_|glpat-|gldt-|ATBB|x-token-auth", re.IGNORECASE)


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


def _label(text: str) -> str:
    if not re.fullmatch(_LABEL, text):
        raise ValueError(f"{text!r} is not a valid name (lower-case letters, digits and dashes)")
    return text


def _subdomain(text: str) -> str:
    if not re.fullmatch(_SUBDOMAIN, text) or ".." in text:
        raise ValueError(f"{text!r} is not a valid Kubernetes name")
    return text


def _data_key(text: str) -> str:
    if not re.fullmatch(_DATA_KEY, text):
        raise ValueError(f"{text!r} cannot be a key of a ConfigMap (letters, digits, dashes, dots, underscores)")
    return text


def _reference(text: str) -> str:
    namespace, slash, name = text.partition("/")
    if not slash:
        raise ValueError(f"{text!r} must be <namespace>/<name>")
    _label(namespace)
    _subdomain(name)
    return text


def _line(text: str) -> str:
    if not re.fullmatch(_LINE, text):
        raise ValueError(f"{text!r} must be printable ASCII and must not begin with a dash")
    return text


def _path(text: str) -> str:
    _line(text)
    if text.startswith("/") or ".." in text.split("/") or "\\" in text:
        raise ValueError(f"{text!r} must be a path inside the repository")
    return text


def _branch(text: str) -> str:
    # What git-check-ref-format allows and no refspec or option could be made of.
    parts = text.split("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/+-]*", text) or ".." in text or any(not p or p.startswith(".") or p.endswith((".", ".lock")) for p in parts):
        raise ValueError(f"{text!r} is not a branch's name")
    return text


def _ref_prefix(text: str) -> str:
    start, kind, rest = (*text.split("/", 2), "", "")[:3]
    if start != "refs" or not re.fullmatch(r"[a-z][a-z0-9-]*", kind) or kind in ("tags", "remotes") or not rest:
        raise ValueError(f"{text!r} must be refs/notes/<name>, refs/heads/<name> or another place for refs that move (no tags)")
    _branch(rest)
    return text


def _remote(text: str) -> str:
    # First of all, and without repeating the text: it holds a secret.
    login = re.match(r"[a-z+]+://([^/@:]*)(:[^/]*)?@", text, re.IGNORECASE)
    if login and (login[2] or _TOKEN.match(login[1])):
        raise ValueError("the remote holds a password; use repository.credentials with env: or file:")
    _line(text)
    if re.match(r"[A-Za-z0-9][A-Za-z0-9+.-]*::", text):
        raise ValueError(f"{text!r} names a Git remote helper, which could run commands")
    if re.match(r"([A-Za-z+]+://)?([^@/]*@)?-", text):
        raise ValueError(f"{text!r} has a host that begins with a dash, which ssh would take for an option")
    return text


def _url(text: str) -> str:
    if re.match(r"[a-z]+://[^/@]*@", text, re.IGNORECASE):
        raise ValueError("the address holds a login; no secret stands in this file")
    _line(text)
    if not re.fullmatch(r"https?://[^\s/?#]+[^\s]*", text):
        raise ValueError(f"{text!r} is not an address (http:// or https://)")
    return text


def _secret(text: str) -> str:
    if not re.fullmatch(_ELSEWHERE, text):
        # The value itself is not repeated: it may be the secret.
        raise ValueError("must be env:VARIABLE or file:/absolute/path: no secret stands in this file")
    return text


def _coloured_secret(text: str) -> str:
    if not re.fullmatch(_ANYWHERE, text):
        # The value itself is not repeated: it may be the secret.
        raise ValueError("must be env:VARIABLE, file:/absolute/path or vault:<mount>/<path>#<key>: no secret stands in this file")
    return text


def fields_of(text: str) -> set[str]:
    """The ``{fields}`` of a template. Raises ValueError for braces that do not match, and for conversions and formats."""
    found = set()
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if not re.fullmatch(r"[a-z]+", name) or form or conversion:
            raise ValueError(f"{text!r} has a field that cannot be filled in; write e.g. {{colour}}")
        found.add(name)
    return found


def _colour_template(text: str) -> str:
    _line(text)
    if fields_of(text) - {"colour"}:
        raise ValueError(f"{text!r} may hold no other field than {{colour}}")
    return text


def seconds(value: Any) -> Any:
    """``45m``, ``1800ms``, ``24h`` → seconds; plain numbers are seconds."""
    if isinstance(value, str):
        found = re.fullmatch(_DURATION, value)
        if not found:
            raise ValueError(f"{value!r} is not a duration (write 500ms, 60s, 10m, 24h)")
        value = float(found[1]) * _UNITS[found[2]]
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a duration was expected (write 500ms, 60s, 10m, 24h)")
    if not 0 < value < math.inf:
        raise ValueError("must be more than 0")
    return value


def milliseconds(value: Any) -> Any:
    """``2s`` → 2000; plain numbers are milliseconds."""
    return seconds(value) * 1000 if isinstance(value, str) else seconds(value)


def share(value: Any) -> Any:
    """``20%`` → 0.2; plain numbers are shares."""
    if isinstance(value, str):
        found = re.fullmatch(_PERCENT, value)
        if not found:
            raise ValueError(f"{value!r} is not a share (write 20% or 0.2)")
        value = float(found[1]) / 100
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a share was expected (write 20% or 0.2)")
    if not 0 <= value <= 1:
        raise ValueError("must lie between 0 and 1 (or 0% and 100%)")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number was expected")
    return value


def _written(number: dict[str, Any], text: str) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "number", **number}, {"type": "string", "pattern": f"^{text}$"}]})


Label = Annotated[str, AfterValidator(_label), _text(_LABEL)]
Name = Annotated[str, AfterValidator(_subdomain), _text(_SUBDOMAIN)]
DataKey = Annotated[str, AfterValidator(_data_key), _text(_DATA_KEY)]
Reference = Annotated[str, AfterValidator(_reference), _text(f"{_LABEL}/{_SUBDOMAIN}")]
Line = Annotated[str, AfterValidator(_line), _text(_LINE)]
RepoPath = Annotated[str, AfterValidator(_path), _text(_LINE)]
Branch = Annotated[str, AfterValidator(_branch), _text(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")]
RefPrefix = Annotated[str, AfterValidator(_ref_prefix), _text(r"refs/[a-z][a-z0-9-]*/[A-Za-z0-9][A-Za-z0-9._/+-]*")]
Remote = Annotated[str, AfterValidator(_remote), _text(_LINE)]
Url = Annotated[str, AfterValidator(_url), _text(r"https?://[^\s/?#]+[^\s]*")]
SecretRef = Annotated[str, AfterValidator(_secret), _text(_ELSEWHERE)]
ColouredSecretRef = Annotated[str, AfterValidator(_coloured_secret), _text(_ANYWHERE)]
ColourTemplate = Annotated[str, AfterValidator(_colour_template), _text(_LINE)]
Seconds = Annotated[float, BeforeValidator(seconds), _written({"exclusiveMinimum": 0}, _DURATION)]
Milliseconds = Annotated[float, BeforeValidator(milliseconds), _written({"exclusiveMinimum": 0}, _DURATION)]
Share = Annotated[float, BeforeValidator(share), _written({"minimum": 0, "maximum": 1}, _PERCENT)]
Number = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
