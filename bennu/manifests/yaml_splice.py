"""The splices behind ``yaml_edit``: text and a spot in, text out. Whether the outcome is what was meant is for the caller to check.

New lines take the line ends of the line before them, a value keeps its quotes, a trailing comment stays, and a file without a final newline stays without one.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bennu.manifests import yaml_write
from bennu.manifests.yaml_spots import Shape, Spot

# What a reader would take for a line break or refuse to print, where it stood unescaped between double quotes.
_UNPRINTABLE = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff]")


def replaced(text: str, parent: Spot, part: str | int, value: Any) -> str:
    """With *value* in the place of what stands under *part* of *parent*."""
    spot = parent.child(part)
    if spot is None:
        raise KeyError(part)
    if parent.flow:
        return text[: spot.start] + _gap(text, spot.start) + flow(value, like_json=_like_json(text, parent)) + text[spot.end :]
    if not isinstance(value, dict | list) and not _needs_lines(value, spot) and not spot.pairs and not spot.items:
        return _scalar_replaced(text, spot, value)
    return _lines_replaced(text, parent, part, value)


def inserted(text: str, parent: Spot, key: str | int, value: Any) -> str:
    """With ``key: value`` behind the last pair of *parent*, which has one."""
    last_key, last = parent.pairs[-1]
    if parent.flow:
        like_json = _like_json(text, parent)
        pair = f"{flow(key, like_json=like_json)}: {flow(value, like_json=like_json)}"
        return _flow_added(text, last_key.start, max(last.end, last_key.end), pair)
    return _put_lines(text, _line_end(text, max(last.end, last_key.end)), {key: value}, parent.pairs[0][0].column)


def added(text: str, parent: Spot, item: Any) -> str:
    """With *item* behind the last one of *parent*, which has one."""
    last = parent.items[-1]
    if parent.flow:
        return _flow_added(text, last.start, last.end, flow(item, like_json=_like_json(text, parent)))
    return _put_lines(text, _line_end(text, last.end), [item], _column(text, parent.dashes[0]))


def removed(text: str, parent: Spot, part: str | int) -> str:
    """Without what stands under *part* of *parent*, which has other members."""
    ranges = _ranges(parent)
    index = _index(parent, part)
    start, end = ranges[index]
    if parent.flow:
        if index + 1 < len(ranges):
            return text[:start] + text[ranges[index + 1][0] :]
        return text[: ranges[index - 1][1]] + text[end:]
    stop = _line_end(text, end)
    if text[_line_start(text, start) : start].strip("\ufeff \t") == "":
        head, tail = text[: _line_start(text, start)], text[stop:]
        # The file's last line went: the one before it becomes the last, with the end that the last one had.
        return head.removesuffix("\n").removesuffix("\r") if not tail and not text.endswith("\n") else head + tail
    # Behind a dash, as in `- a: 1`: the next member moves up to its place, unless a comment stands between them.
    if index + 1 < len(ranges) and not text[stop : ranges[index + 1][0]].strip():
        return text[:start] + text[ranges[index + 1][0] :]
    return text[:start] + text[stop:].lstrip(" ")


def flow(value: Any, *, like_json: bool = False) -> str:
    """*value* on one line, as it may stand between brackets; with *like_json* as JSON."""
    if like_json:
        return _escaped(json.dumps(value, ensure_ascii=False))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    return scalar(value, "", between_brackets=True)


def scalar(value: Any, style: str, *, between_brackets: bool = False) -> str:
    """*value* on one line with the quotes of *style* (``'``, ``"`` or empty for plain), or with others where it could not be read back."""
    if not isinstance(value, str):
        return yaml_write.dumped({"k": value}).removeprefix("k:").strip() or "null"
    double = _escaped(json.dumps(value, ensure_ascii=False))
    if style == '"' or any(ord(char) < 32 for char in value) or _UNPRINTABLE.search(value):
        return double
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    plain = yaml_write.dumped({"k": value}).removeprefix("k:").strip()
    return double if "\n" in plain or (between_brackets and plain[:1] not in "\"'" and re.search(r"[,\[\]{}]", plain)) else plain


def _escaped(quoted: str) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _scalar_replaced(text: str, spot: Spot, value: Any) -> str:
    source = text[spot.start : spot.end]
    # An anchor stands before the value and stays; a tag stays where it still says what the value is.
    anchor = re.search(r"&\S+", source[: _properties(source)])
    tag = "!!str " if isinstance(value, str) and "!!str" in source[: _properties(source)] else ""
    kept = f"{anchor[0]} {tag}" if anchor else tag
    return text[: spot.start] + _gap(text, spot.start) + kept + scalar(value, "" if spot.is_block_scalar else spot.style) + text[spot.end :]


def _lines_replaced(text: str, parent: Spot, part: str | int, value: Any) -> str:
    start, end = _ranges(parent)[_index(parent, part)]
    spot = parent.child(part)
    stop = _line_end(text, end)
    comment = ""
    if spot is not None and not spot.is_block_scalar and "\n" not in text[start:end]:
        found = re.search(r"[ \t]+#[^\r\n]*", text[end:stop])
        comment = found[0] if found else ""
    whole: Any = {part: value} if parent.shape is Shape.MAPPING else [value]
    column = _column(text, start)
    lines = _block(whole, column)
    head, _, tail = lines.partition("\n")
    source = text[spot.start : spot.end] if spot is not None and spot.shape is not Shape.ALIAS else ""
    anchor = re.search(r"&\S+", source[: _properties(source)])
    head = head[column:] + (f" {anchor[0]}" if anchor and isinstance(value, dict | list) and parent.shape is Shape.MAPPING else "") + comment
    return _joined(text[:start], _eol(text, start), f"{head}\n{tail}", text[stop:], value, ended=text[:stop].endswith("\n"))


def _put_lines(text: str, at: int, value: Any, column: int) -> str:
    head, eol = text[:at], _eol(text, at)
    if head and not head.endswith("\n"):
        return _joined(head + eol, eol, _block(value, column), text[at:], value, ended=False)
    return _joined(head, eol, _block(value, column), text[at:], value, ended=True)


def _joined(head: str, eol: str, lines: str, tail: str, value: Any, *, ended: bool) -> str:
    """*ended* False: the file has no final newline, and keeps none (but for a block scalar, whose own last line end it would be)."""
    if not ended and not tail and "\n" not in str(_last_leaf(value)):
        lines = lines.removesuffix("\n")
    return head + lines.replace("\n", eol) + tail


def _last_leaf(value: Any) -> Any:
    while isinstance(value, dict | list) and value:
        value = list(value.values())[-1] if isinstance(value, dict) else value[-1]
    return value


def _flow_added(text: str, start: int, end: int, new: str) -> str:
    """Behind the last member between brackets; on a line of its own where that one has it."""
    indent = text[_line_start(text, start) : start]
    between = f",{_eol(text, start)}{indent}" if indent and not indent.strip() else ", "
    return text[:end] + between + new + text[end:]


def _ranges(parent: Spot) -> list[tuple[int, int]]:
    """First and last character of every member: from its key or dash on, or from itself between brackets."""
    if parent.shape is Shape.MAPPING:
        return [(key.start, max(key.end, value.end)) for key, value in parent.pairs]
    if parent.flow:
        return [(item.start, item.end) for item in parent.items]
    return [(dash, max(dash + 1, item.end)) for dash, item in zip(parent.dashes, parent.items, strict=True)]


def _index(parent: Spot, part: str | int) -> int:
    if parent.shape is Shape.SEQUENCE and isinstance(part, int):
        return part
    found = parent.pair(part)
    if found is None:
        raise KeyError(part)
    return parent.pairs.index(found)


def _needs_lines(value: Any, spot: Spot) -> bool:
    """A text of several lines stays a block scalar where it was one; one of a single line does not."""
    return spot.is_block_scalar or (isinstance(value, str) and "\n" in value and spot.style not in ('"', "'"))


def _like_json(text: str, parent: Spot) -> bool:
    return bool(parent.pairs) and all(text[key.start : key.start + 1] == '"' for key, _ in parent.pairs)


def _properties(source: str) -> int:
    """Length of the anchor and the tag before a value."""
    found = re.match(r"(?:[&!]\S*(?:\s+|\Z))*", source)
    return found.end() if found else 0


def _gap(text: str, at: int) -> str:
    """A value needs a space behind its colon or dash."""
    return " " if at and text[at - 1] in ":-" else ""


def _column(text: str, index: int) -> int:
    return len(text[_line_start(text, index) : index].removeprefix("\ufeff"))


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Index after the newline that ends the line of *index* (a comment at its end belongs to it)."""
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _eol(text: str, at: int) -> str:
    """The line end of the line before *at*, else of the file's first line."""
    found = text.rfind("\n", 0, at)
    found = text.find("\n") if found < 0 else found
    return "\r\n" if found > 0 and text[found - 1] == "\r" else "\n"


def _block(value: Any, indent: int) -> str:
    text = yaml_write.dumped(value)
    if isinstance(value, list):
        text = re.sub(r"^  ", "", text, flags=re.MULTILINE)  # the writer offsets the dash by two
    return "".join(" " * indent + line if line.strip() else line for line in text.splitlines(keepends=True))
