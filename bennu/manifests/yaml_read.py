"""YAML in: safe, with positions, and strict about what it refuses (duplicate keys, alias bombs, depth, size). Text → trees; no I/O."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from bennu.errors import ConfigError
from bennu.manifests.yaml_spots import at, spots

MAX_BYTES = 1_000_000
MAX_DEPTH = 100  # nesting; ruamel's scanner takes seconds for a few thousand open brackets
_SMALL = 8_000  # characters of a text that many may be remembered of
MAX_NODES = 100_000  # with every alias written out: nine aliases of nine aliases of … fit in a few lines

Path = tuple[str | int, ...]


class Read(dict[str, Any]):
    """A mapping that knows where it was read: document *index* of *text*, at *path*. What is wrong with a part of it is said with its line."""

    def __init__(self, found: Mapping[str, Any], text: str, index: int, path: Path = ()) -> None:
        super().__init__(found)
        self.text, self.index, self.path = text, index, path

    def line(self, path: Path) -> int:
        """The line (from 1) of what stands at *path*, or of the deepest part above it that is there."""
        return line_at(self.text, self.index, (*self.path, *path))


class _Marking(SafeConstructor):
    """Says where a value stands that none can be made of: a month 13, a number of 5,000 digits."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (YAMLError, RecursionError):
            raise
        except Exception as error:
            raise ConstructorError(None, None, _first_line(error), node.start_mark) from None


def documents(text: str, file: str) -> list[Any]:
    """All documents of *text* as plain Python values (YAML 1.2, no tags executed). Raises ConfigError with file and line."""
    return [one for _, one in _numbered(text, file)]


def _numbered(text: str, file: str) -> list[tuple[int, Any]]:
    """(index, document) of every one that is not empty."""
    _bounded(text, file)
    try:
        found = loaded(text)
    except DuplicateKeyError as error:
        # The parser's own words quote both values, which may be secret.
        key = re.search(r'found duplicate key "?(.*?)"? with value', str(error))
        raise ConfigError(f"duplicate key{f' {key[1]!r}' if key else ''}", file=file, line=_line(error)) from None
    except MarkedYAMLError as error:
        raise ConfigError(f"not valid YAML: {error.problem or _first_line(error)}", file=file, line=_line(error)) from None
    except ReaderError as error:
        raise ConfigError(f"not valid YAML: {_first_line(error)}", file=file, line=text.count("\n", 0, error.position) + 1) from None
    except Exception as error:
        # The library stumbles in many ways over what nobody meant; none of them is ours to foresee.
        raise ConfigError(f"not valid YAML: {_first_line(error)}", file=file, line=1) from None
    return [(index, one) for index, one in enumerate(found) if one is not None]


def line_at(text: str, index: int, path: Path) -> int:
    """The line (from 1) of what stands at *path* of a document, or of the deepest part above it that is there."""
    root = spots(text)[index]
    spot = next(found for depth in range(len(path), -1, -1) if (found := at(root, path[:depth])) is not None)
    return text.count("\n", 0, spot.start) + 1


def loaded(text: str) -> list[Any]:
    """One plain tree for each document, None for an empty one, without the checks of ``documents``. Raises ruamel's own errors."""
    return copy.deepcopy(_small(text) if len(text) <= _SMALL else _large(text))


@lru_cache(maxsize=1024)
def _small(text: str) -> list[Any]:
    """Remembered: one step reads the same few files again and again, and copying a tree takes a twentieth of parsing it. Never handed out itself."""
    return _parsed(text)


@lru_cache(maxsize=32)
def _large(text: str) -> list[Any]:
    """Remembered as well, but not many of them."""
    return _parsed(text)


def _parsed(text: str) -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Marking
    yaml.composer.warn_double_anchors = False  # legal, common, and no business of whoever reads the screen
    return list(yaml.load_all(text))


def objects(text: str, file: str) -> list[Read]:
    """All documents as mappings; ConfigError for one that isn't."""
    found = []
    for index, one in _numbered(text, file):
        if not isinstance(one, dict):
            raise ConfigError(f"a Kubernetes object was expected, not {_named(one)}", file=file, line=line_at(text, index, ()))
        found.append(Read(one, text, index))
    return found


def single(text: str, kind: str, file: str) -> Read:
    """The one document of *kind*. Raises ConfigError where there is none or more than one."""
    found = [one for one in objects(text, file) if one.get("kind") == kind]
    if len(found) != 1:
        raise ConfigError(f"one {kind} was expected, {len(found)} found", file=file, line=found[1].line(()) if found else 1)
    return found[0]


def mapping(tree: Mapping[str, Any], path: Path, file: str) -> dict[str, Any]:
    """The mapping at *path* of an object; empty where it is absent or null. Raises ConfigError where something else stands there."""
    return _shaped(tree, path, dict, file) or {}


def sequence(tree: Mapping[str, Any], path: Path, file: str) -> list[Any]:
    """The list at *path* of an object; empty where it is absent or null. Raises ConfigError where something else stands there."""
    return _shaped(tree, path, list, file) or []


def mappings(tree: Mapping[str, Any], path: Path, file: str) -> list[dict[str, Any]]:
    """The list at *path*, whose items must be mappings. Raises ConfigError."""
    found = sequence(tree, path, file)
    for index, one in enumerate(found):
        if not isinstance(one, dict):
            raise _misshapen(tree, (*path, index), f"must be a mapping, not {_named(one)}", file)
    return [inside(tree, (*path, index), one) for index, one in enumerate(found)]


def inside(tree: Mapping[str, Any], path: Path, one: dict[str, Any]) -> dict[str, Any]:
    """*one*, which stands at *path* of *tree*, and knows its place as *tree* does."""
    return Read(one, tree.text, tree.index, (*tree.path, *path)) if isinstance(tree, Read) else one


def line_of(tree: Mapping[str, Any], path: Path = ()) -> int:
    """The line of a part of what was read; 1 where nothing knows it."""
    return tree.line(path) if isinstance(tree, Read) else 1


def named(one: Mapping[str, Any], file: str) -> tuple[str, str]:
    """(name, namespace) of an object's metadata, each empty where it isn't said. Raises ConfigError."""
    meta = mapping(one, ("metadata",), file)
    return str(meta.get("name") or ""), str(meta.get("namespace") or "")


def text_of(value: Any) -> str:
    """A value as a ConfigMap would hold it: ``true`` and ``false`` in lower case, null as nothing."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _shaped(root: Any, path: Path, shape: type, file: str) -> Any:
    tree = root
    for depth, part in enumerate(path):
        if not isinstance(tree, dict):
            raise _misshapen(root, path[:depth], f"must be a mapping, not {_named(tree)}", file)
        tree = tree.get(part)
        if tree is None:
            return None
    if not isinstance(tree, shape):
        raise _misshapen(root, path, f"must be a {'mapping' if shape is dict else 'list'}, not {_named(tree)}", file)
    return tree


def _misshapen(root: Any, path: Path, words: str, file: str) -> ConfigError:
    return ConfigError(f"{_dotted(path) or 'a document'} {words}", file=file, line=root.line(path) if isinstance(root, Read) else None)


def _named(value: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}.get(type(value), type(value).__name__)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def lines(text: str, file: str) -> Mapping[Path, int]:
    """Line (from 1) of every key and item of the first document, by its path."""
    _bounded(text, file)
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except YAMLError:
        return {}
    found: dict[Path, int] = {}
    if root is not None:
        _walk(root, (), found)
    return found


def _walk(node: Node, path: Path, found: dict[Path, int]) -> None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value)) if isinstance(key, ScalarNode) else path
            found.setdefault(inner, key.start_mark.line + 1)
            _walk(value, inner, found)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            found.setdefault((*path, index), value.start_mark.line + 1)
            _walk(value, (*path, index), found)


def _bounded(text: str, file: str) -> None:
    if len(text.encode(errors="replace")) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes", file=file, line=1)
    if "\x00" in text:
        raise ConfigError("contains a NUL byte", file=file, line=text[: text.index("\x00")].count("\n") + 1)
    if text.count("[") + text.count("{") < MAX_DEPTH and " " * MAX_DEPTH not in text and not ("*" in text and "&" in text) and text.count("- -") < MAX_DEPTH:
        return  # too few openings to nest deeply, and no alias: a second parse would only cost time
    try:
        _measured(text, file)
    except YAMLError:
        return  # the real parse says where


def _measured(text: str, file: str) -> None:
    """Depth, and size with all aliases written out, from the parser's events (which build nothing)."""
    sizes: dict[str, int] = {}
    opened: list[str] = []
    starts: list[int] = []
    total = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            if event.anchor in opened:
                raise ConfigError(f"*{event.anchor} contains itself", file=file, line=line)
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, ScalarEvent):
            total += 1
            sizes[event.anchor or ""] = 1
        elif isinstance(event, CollectionStartEvent):
            opened.append(event.anchor or "")
            starts.append(total)
            total += 1
        elif isinstance(event, CollectionEndEvent):
            sizes[opened.pop()] = total - starts.pop()
        if len(opened) > MAX_DEPTH:
            raise ConfigError(f"nested more than {MAX_DEPTH} deep", file=file, line=line)
        if total > MAX_NODES:
            raise ConfigError(f"more than {MAX_NODES} values, with its aliases written out", file=file, line=line)


def _line(error: MarkedYAMLError) -> int | None:
    mark = error.problem_mark or error.context_mark
    return None if mark is None else mark.line + 1


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
