"""Seeded damage to a text: to its bytes, its lines and its structure. The same seed makes the same damage."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

import yaml

# What a scalar may be taken for by one reader of YAML or another.
SCALARS = (
    "null", "~", "true", "no", "0", "-1", "010", "0x1f", "1e999", "9" * 400, "9" * 5000, ".nan", "-.inf", "NaN", "1_000", "12:30:45", "2026-01-01", "2026-13-45", "2001-12-14t21:59:43.10-05:00",
    '""', "''", "[]", "{}", "[[]]", "[1, [2]]", "{a: {b: c}}", "!!binary YQ==", "!!binary '*'", "!!set {a, b}", "!!omap [a: 1]", "!!timestamp x", "!!int x", "!!float []", "!!python/name:os.system x",
    "!x y", "&a [*a]", "*nobody", "<<: *x", "? x", "- x", "|", ">-", "'", '"', '"\\ud800"', '"\\u0000"', '"\\x1b[31m"', "%TAG", "@", "`", "a: b: c", "# x", "\t", "x" * 100_000, "café", "\u202e",
    "\u2028", "\u0085", "\ud7ff", "💥" * 50, "../../x", "-oProxyCommand=x", "$(x)", "{x}", "{colour}", "{colour.__class__}", "{0}", "a\rb",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2, 10**400, -(10**30), 1.5, float("nan"), float("inf"), "", "x" * 10_000, "\ud800", "\x00", "\x1b[2J", "\u202e", "café", "-1", "1e5", "2026-01-01", [], [[]], ["a"], {},
    {"a": 1}, {"source": "blue"}, "IDLE_STABLE", "TRAFFIC_CANARY", "rollback", "prod-us-east-1-x", "prod-us-east-1-" + "9" * 5000, "-", "x-٣",
)  # fmt: skip
BYTES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xed\xa0\x80", b"\r", b"\r\n", b"\t", b"\x1b", b"\x85", b"\xe2\x80\xa8", b"[" * 3000, b"{" * 150, b"- " * 200, b"&a ", b"*a", b"---\n", b"...\n",
    b"%YAML 1.1\n", b": ", b"#", b"'", b'"',
)  # fmt: skip


def mutated(seed: int, texts: Sequence[bytes], *, json_lines: bool = False) -> bytes:
    """One of *texts* with one to four damages; *json_lines*: each line is a JSON object, and mostly stays one."""
    chance = random.Random(seed)
    found = chance.choice(texts)
    if not json_lines and chance.random() < 0.5:
        return _tree(found, chance)
    kinds = _OF_JSON if json_lines else _OF_YAML
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
        damage = chance.choice(kinds)
        found = _spliced(found, chance, texts) if damage is None else damage(found, chance)
    return found


def _span(text: bytes, chance: random.Random, most: int = 200) -> tuple[int, int]:
    start = chance.randrange(len(text) + 1)
    return start, min(len(text), start + chance.choice((1, 1, 2, 5, 20, most)))


def _flip(text: bytes, chance: random.Random) -> bytes:
    if not text:
        return text
    at = chance.randrange(len(text))
    return text[:at] + bytes([text[at] ^ 1 << chance.randrange(8)]) + text[at + 1 :]


def _delete(text: bytes, chance: random.Random) -> bytes:
    start, end = _span(text, chance)
    return text[:start] + text[end:]


def _double(text: bytes, chance: random.Random) -> bytes:
    start, end = _span(text, chance)
    return text[:end] + text[start:end] * chance.choice((1, 1, 2, 50)) + text[end:]


def _spliced(text: bytes, chance: random.Random, texts: Sequence[bytes]) -> bytes:
    other = chance.choice(texts)
    start, end = _span(other, chance, 400)
    at = chance.randrange(len(text) + 1)
    return text[:at] + other[start:end] + text[at if chance.random() < 0.5 else min(len(text), at + end - start) :]


def _truncate(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _insert(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(BYTES) + text[at:]


def _ends(text: bytes, chance: random.Random) -> bytes:
    """Line ends, byte order marks, encodings, emptiness."""
    act = chance.randrange(9)
    if act == 7:
        return text.decode(errors="replace").encode("utf-16")
    plain = (
        text.replace(b"\n", b"\r\n"),
        text.replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + text,
        text.rstrip(b"\n"),
        text + b"\n\n\n",
        text.replace(b"  ", b"\t", 1),
        b"",
    )
    return plain[act] if act < 7 else b"\n"


def _lines(text: bytes, chance: random.Random) -> bytes:
    """A line goes, comes twice, moves, or is indented otherwise."""
    lines = text.splitlines(keepends=True) or [b""]
    at, to, act = chance.randrange(len(lines)), chance.randrange(len(lines)), chance.randrange(6)
    if act == 0:
        del lines[at]
    elif act == 1:
        lines.insert(to, lines[at])
    elif act == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif act == 3:
        lines[at] = b" " * chance.choice((1, 2, 120)) + lines[at]
    elif act == 4:
        lines[at] = lines[at].removeprefix(b" " * chance.choice((1, 2, 4)))
    else:
        lines[at:to] = reversed(lines[at:to])
    return b"".join(lines)


_PLACE = re.compile(rb"(?<=: )[^\n{\[]+?(?=[,}\n])|(?<=- )[^\n:]+|[A-Za-z_]+(?=:)")


def _scalar(text: bytes, chance: random.Random) -> bytes:
    """A value, or a key, becomes something else."""
    places = list(_PLACE.finditer(text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(SCALARS).encode() + text[place.end() :]


def _nest(text: bytes, chance: random.Random) -> bytes:
    depth = chance.choice((5, 90, 110, 3000))
    deep = b"".join(b" " * n + b"a:\n" for n in range(min(depth, 300)))
    new = chance.choice((b"[" * depth + b"x" + b"]" * depth, b"{a: " * depth + b"x" + b"}" * depth, b"- " * depth + b"x", b"\n" + deep))
    at = chance.choice([found.end() for found in re.finditer(rb": ", text)] or [len(text)])
    end = text.find(b"\n", at)
    return text[:at] + new + (text[end:] if end >= 0 else b"")


def _bomb(text: bytes, chance: random.Random) -> bytes:
    width, depth = chance.choice((2, 9)), chance.choice((3, 12, 30))
    lists = b"a0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n + 1, n + 1, b", ".join([b"*a%d" % n] * width)) for n in range(depth))
    merges = b"m0: &m0 {a: 1}\n" + b"".join(b"m%d: &m%d {<<: [*m%d, *m%d]}\n" % (n + 1, n + 1, n, n) for n in range(depth))
    return text.rstrip(b"\n") + b"\n" + chance.choice((lists, merges, b"s: &s {<<: *s}\n", b"k: {? *k : 1, k: &k x}\n", b"p: &p x\nq: {? *p : 1, x: 2}\n"))


def _record(text: bytes, chance: random.Random) -> bytes:
    """A line of JSON stays one, and says something else."""
    lines = text.split(b"\n")
    whole = [index for index, line in enumerate(lines) if line.startswith(b"{")]
    at = chance.choice(whole) if whole else 0
    try:
        record = json.loads(lines[at])
    except (ValueError, RecursionError):
        return text
    if not isinstance(record, dict) or not record:
        return text
    inner = record["data"] if isinstance(record.get("data"), dict) and record["data"] and chance.random() < 0.4 else record
    key, act = chance.choice(sorted(inner)), chance.randrange(5)
    if act == 0:
        del inner[key]
    elif act == 1:
        inner[str(chance.choice(VALUES))[:50]] = inner[key]
    else:
        inner[key] = chance.choice(VALUES)
    lines[at] = json.dumps(record, ensure_ascii=chance.random() < 0.9).encode("utf-8", "surrogatepass")
    return b"\n".join(lines)


def _tree(text: bytes, chance: random.Random) -> bytes:
    """Sound YAML, in another style, that says something else at one to three places."""
    trees = list(yaml.safe_load_all(text))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        holder: Any = trees
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = chance.choice(keys)
            if not isinstance(holder[key], dict | list) or not holder[key] or chance.random() < 0.1:
                _changed(holder, key, chance)
                break
            holder = holder[key]
    form: dict[str, Any] = {"default_flow_style": chance.choice((True, False, None)), "width": chance.choice((40, 200)), "allow_unicode": chance.random() < 0.8}
    try:
        return str(yaml.safe_dump_all(trees, sort_keys=chance.random() < 0.1, explicit_start=chance.random() < 0.3, **form)).encode("utf-8", "surrogatepass")
    except yaml.YAMLError:
        return text


def _changed(holder: Any, key: Any, chance: random.Random) -> None:
    act = chance.randrange(6)
    if act == 0:
        del holder[key]
    elif act == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif act == 2:
        holder[key] = [holder[key]] if chance.random() < 0.5 else {"a": holder[key]}
    elif act == 3 and isinstance(holder, dict):
        holder[str(chance.choice(VALUES))[:60]] = holder.pop(key)
    else:
        holder[key] = chance.choice(VALUES)


# None is a splice, which needs the other texts, too.
_OF_BYTES: tuple[Any, ...] = (_flip, _delete, _double, None, _truncate, _insert, _ends)
_OF_YAML: tuple[Any, ...] = (*_OF_BYTES, _lines, _lines, _lines, _scalar, _scalar, _scalar, _scalar, _nest, _bomb)
_OF_JSON: tuple[Any, ...] = (*_OF_BYTES, _lines, _lines, _record, _record, _record, _record, _record, _record)
