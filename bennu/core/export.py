"""What is kept of a Redis before writes are given up: a file of JSON lines that a person can read and a server can take back. Pure.

The first line says where it comes from; every other one is a key: ``db``, ``key`` and ``dump`` (the payload of Redis' own DUMP) in base64, ``ttl_ms`` (0 = for ever). ``docs/switchover.md``
has the command that restores it. Functions, scripts, users and configuration are not in it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

FORMAT = "bennu-redis-export-1"


@dataclass(frozen=True)
class Entry:
    """One key. ``ttl_ms`` is what was left of its life when it was read, 0 where it lives for ever."""

    db: int
    key: bytes
    ttl_ms: int
    payload: bytes


@dataclass
class Contents:
    """What passed through ``lines``: (db, key) → a digest of the payload."""

    digests: dict[tuple[int, bytes], bytes] = field(default_factory=dict)


def lines(head: Mapping[str, str], entries: Iterable[Entry], seen: Contents) -> Iterator[bytes]:
    """The file, line by line; *seen* is filled on the way."""
    yield _json({"format": FORMAT, **head})
    for one in entries:
        seen.digests[(one.db, one.key)] = hashlib.blake2b(one.payload, digest_size=12).digest()
        yield _json({"db": one.db, "key": _text(one.key), "ttl_ms": one.ttl_ms, "dump": _text(one.payload)})


@dataclass(frozen=True)
class Difference:
    """What giving one side up would lose: keys that only it has, and keys whose payloads differ (a set or a hash may differ in order alone); ``names`` are some of them."""

    only: int
    differing: int
    names: tuple[str, ...]

    def counts(self) -> str:
        """How many, and no names."""
        return f"{self.only} keys that only it has, {self.differing} that differ"

    def some(self) -> str:
        """Some names, for an operator's eyes."""
        return f": {', '.join(self.names)}{' …' if self.only + self.differing > len(self.names) else ''}" if self.names else ""


def difference(given_up: Contents, kept: Contents, names: int = 5) -> Difference:
    """*given_up* against *kept*."""
    only = sorted(given_up.digests.keys() - kept.digests.keys())
    differing = sorted(key for key in given_up.digests.keys() & kept.digests.keys() if given_up.digests[key] != kept.digests[key])
    return Difference(len(only), len(differing), tuple(key.decode(errors="backslashreplace")[:60] for _, key in [*only, *differing][:names]))


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
