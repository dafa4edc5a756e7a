"""Where each value of a YAML text stands, in characters: built from the parser's events.

From events, not from composed nodes: those give an alias the place of its anchor. Ends are those of the last character that belongs to a value, since a block
collection's own end mark lies at the next token. Nothing is changed here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)


class Shape(enum.Enum):
    """What stands at a spot."""

    SCALAR = "scalar"
    MAPPING = "mapping"
    SEQUENCE = "sequence"
    ALIAS = "alias"


@dataclass
class Spot:
    """A value in the text: ``text[start:end]``, an anchor or tag before it included; ``start == end`` for a null that is not written out.

    ``column`` is that of its first character. ``style`` is a scalar's quote, ``|`` or ``>``, empty for a plain one. ``dashes`` are the indexes of a block sequence's dashes.
    """

    shape: Shape
    start: int
    end: int
    column: int
    flow: bool = False
    style: str = ""
    value: str = ""
    pairs: list[tuple[Spot, Spot]] = field(default_factory=list)
    items: list[Spot] = field(default_factory=list)
    dashes: list[int] = field(default_factory=list)

    @property
    def is_block_scalar(self) -> bool:
        """Whether it is a literal or folded scalar."""
        return self.style in ("|", ">")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is written: a null without a word for it."""
        return self.shape is Shape.SCALAR and self.start == self.end

    def child(self, part: str | int) -> Spot | None:
        """The value under a key, or the item at an index; None where there is none of that name in the text itself (it may come from a merge key)."""
        if self.shape is Shape.SEQUENCE:
            return self.items[part] if isinstance(part, int) and 0 <= part < len(self.items) else None
        found = self.pair(part)
        return None if found is None else found[1]

    def pair(self, part: str | int) -> tuple[Spot, Spot] | None:
        """A key's own spot and its value's."""
        return next((pair for pair in self.pairs if pair[0].shape is Shape.SCALAR and pair[0].value == str(part)), None)


@lru_cache(maxsize=64)
def spots(text: str) -> list[Spot]:
    """One root for each document of *text*, in order; remembered, so read only. Raises ruamel's YAMLError for what does not parse."""
    events = iter(YAML(typ="safe", pure=True).parse(text))
    return [_built(text, events, next(events)) for event in events if isinstance(event, DocumentStartEvent)]


def at(root: Spot, path: Sequence[str | int]) -> Spot | None:
    """The spot at *path* (keys and indexes), None where the text has none there."""
    spot: Spot | None = root
    for part in path:
        spot = spot.child(part) if spot is not None else None
    return spot


def _built(text: str, events: Iterator[Any], event: Any) -> Spot:
    start, end, column = int(event.start_mark.index), int(event.end_mark.index), int(event.start_mark.column)
    if isinstance(event, AliasEvent):
        return Spot(Shape.ALIAS, start, end, column)
    if isinstance(event, ScalarEvent):
        style = event.style or ""
        spot = Spot(Shape.SCALAR, start, end, column, style=style, value=str(event.value))
        if spot.is_block_scalar:
            spot.end = _block_end(text, start, end)
        return spot
    if isinstance(event, MappingStartEvent):
        return _mapping(text, events, Spot(Shape.MAPPING, start, end, column, flow=bool(event.flow_style)))
    return _sequence(text, events, Spot(Shape.SEQUENCE, start, end, column, flow=bool(event.flow_style)), event)


def _mapping(text: str, events: Iterator[Any], spot: Spot) -> Spot:
    for event in events:
        if isinstance(event, MappingEndEvent):
            spot.end = int(event.end_mark.index) if spot.flow else spot.pairs[-1][1].end
            break
        key = _built(text, events, event)
        value = _built(text, events, next(events))
        if value.is_empty:
            # The parser puts an unwritten null at the next token; it belongs behind the colon.
            colon = re.compile(r"[ \t]*:[ \t]*" if spot.flow else r"[ \t]*:").match(text, key.end)
            value.start = value.end = colon.end() if colon else key.end
        spot.pairs.append((key, value))
    return spot


def _sequence(text: str, events: Iterator[Any], spot: Spot, begin: SequenceStartEvent) -> Spot:
    dash = re.compile(r"-(?=\s|\Z)")
    for event in events:
        if isinstance(event, SequenceEndEvent):
            spot.end = int(event.end_mark.index) if spot.flow or not spot.items else spot.items[-1].end
            break
        item = _built(text, events, event)
        if not spot.flow:
            if spot.items:
                column = spot.dashes[0] - _line_start(text, spot.dashes[0])
                found = re.compile(rf"^[ ]{{{column}}}-(?=\s|\Z)", re.MULTILINE).search(text, spot.items[-1].end)
                spot.dashes.append(found.end() - 1 if found else item.start)
            else:
                first = dash.search(text, spot.start)
                spot.dashes.append(first.start() if first else item.start)
            if item.is_empty:
                item.start = item.end = spot.dashes[-1] + 1
        spot.items.append(item)
    return spot


def _line_start(text: str, index: int) -> int:
    # A byte order mark takes no column.
    found = text.rfind("\n", 0, index) + 1
    return found + 1 if found == 0 and text.startswith("\ufeff") else found


def _block_end(text: str, start: int, end: int) -> int:
    """The last character of a block scalar's content; with ``+`` the blank lines behind it are content."""
    header = text[start:end].partition("\n")[0]
    body = text[start:end].rstrip(" \t") if "+" in header.partition("#")[0] else text[start:end].rstrip()
    return start + len(body.removesuffix("\n").removesuffix("\r"))
