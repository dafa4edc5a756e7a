"""YAML out: new documents, in block style, keys in the order given."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

from ruamel.yaml import YAML


def dumped(value: Any) -> str:
    """*value* as one YAML document. Strings that YAML 1.1 readers would take for something else are quoted."""
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 2**31  # no line is folded
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(str, _string)
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue()


# Words and shapes that YAML 1.1 (kubectl, Helm) reads as booleans, numbers, dates or sexagesimals.
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ""}


# Lines that a literal scalar can hold without an indentation indicator or a chomping that keeps: the rest is quoted.
_LINES = re.compile(r"(?!\s)[^\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff]*[^\s\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff]\n?")


def _string(representer: Any, text: str) -> Any:
    style = '"' if text.lower() in _WORDS or ((text[:1].isdigit() or text[:1] in "+-.") and any(c.isdigit() for c in text)) else None
    if "\n" in text:
        style = "|" if _LINES.fullmatch(text) else '"'
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)
