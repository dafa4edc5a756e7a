"""Every key of one server, read with SCAN, PTTL and DUMP: a replica without its master answers these, and refuses the SYNC that ``redis-cli --rdb`` would ask for.

Reading is not a snapshot: a key that is written meanwhile may be old or new. On a server that is fenced it is exact.
"""

from __future__ import annotations

from collections.abc import Iterator

from bennu.adapters import redis_reading as reading
from bennu.adapters.redis_link import Link, Refusal, Reply
from bennu.core.export import Entry

# One to one between bytes and text: names and payloads are not UTF-8.
ENCODING = "latin-1"
_AT_ONCE = 500


class Unexportable(Exception):
    """The server refuses one of the commands; in its words."""


def entries(link: Link) -> Iterator[Entry]:
    """All keys of all databases, each once. Raises Unexportable, ConnectionError. *link* speaks ENCODING."""
    for db in sorted(int(name[2:]) for name in reading.info(link.one("INFO", "keyspace")) if name.startswith("db")):
        _good(link.one("SELECT", db))
        yield from _database(link, db)


def _database(link: Link, db: int) -> Iterator[Entry]:
    cursor, seen = "0", set[str]()
    while True:
        cursor, found = _good(link.one("SCAN", cursor, "COUNT", _AT_ONCE))
        keys = [key for key in dict.fromkeys(found) if key not in seen]  # SCAN may give a key twice
        seen.update(keys)
        replies = link.send(*(command for key in keys for command in (("PTTL", key), ("DUMP", key)))) if keys else []
        for key, ttl, payload in zip(keys, replies[::2], replies[1::2], strict=True):
            if _good(payload) is not None:  # else it expired meanwhile
                yield Entry(db, key.encode(ENCODING), max(0, int(_good(ttl))), payload.encode(ENCODING))
        if cursor == "0":
            return


def _good(reply: Reply) -> Reply:
    if isinstance(reply, Refusal):
        raise Unexportable(reply.text)
    return reply
