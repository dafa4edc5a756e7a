"""The keys of a server in a file, and back by the command of docs/switchover.md."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.adapters.redis_export import ENCODING
from bennu.adapters.redis_link import Link
from bennu.core.export import Contents, Entry, difference, lines
from tests.contract.redis.servers import Hands, RealHands, parking, program, until

DOCS = Path(__file__).parents[3] / "docs" / "switchover.md"
BINARY = b"\x00\xff\r\n\xe2\x82"


def exported(hands: Hands) -> tuple[bytes, Contents]:
    seen = Contents()
    return b"".join(lines({"redis": hands.server.name}, hands.server.export(), seen)), seen


def test_every_key_is_there_once(both: tuple[Hands, Hands]) -> None:
    source, _ = both
    for number in range(1200):
        # Each is synced to a disk that others use, too: one that takes long is said once more.
        until(lambda number=number: source.write(f"key-{number}", str(number)), f"key-{number} is written")  # type: ignore[misc]
    body, seen = exported(source)
    assert len(seen.digests) == 1200
    assert len(body.splitlines()) == 1201


def test_what_only_one_side_has_is_named(both: tuple[Hands, Hands]) -> None:
    here, there = both
    for hands, pairs in ((here, {"same": "1", "other": "1", "mine": "1"}), (there, {"same": "1", "other": "2", "theirs": "1"})):
        for key, value in pairs.items():
            hands.write(key, value)
    found = difference(exported(here)[1], exported(there)[1])
    assert (found.only, found.differing, found.names) == (1, 1, ("mine", "other"))


@pytest.fixture(params=["valkey", "redis"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RealHands, RealHands]]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    both = RealHands(found, tmp_path / "one"), RealHands(found, tmp_path / "two")
    yield both
    for hands in both:
        hands.stop()


def test_the_documented_command_restores_a_parked_replica_s_file(two: tuple[RealHands, RealHands], tmp_path: Path) -> None:
    source, empty = two
    link = source.link()
    link.send(
        ("SET", "text", "käse"),
        ("SET", "dies", "1", "PX", 3_600_000),
        ("RPUSH", "list", "a", "b"),
        ("HSET", "hash", "f", "v"),
        ("XADD", "stream", "1-1", "f", "v"),
    )
    link.send(("SELECT", 3), ("SADD", "elsewhere", "m"))
    link.close()
    raw = Link(source.endpoint(), "user", encoding=ENCODING)
    raw.one("SET", BINARY.decode("latin-1"), BINARY.decode("latin-1"))
    raw.close()
    with source.server.critical("bennu-x-1") as hand:
        hand.fence(parking())
    body, seen = exported(source)
    file = tmp_path / "dump.jsonl"
    file.write_bytes(body)
    script = re.search(r"python3 -c '\n(.*?)' < prod", DOCS.read_text(), re.DOTALL)
    assert script is not None
    made = subprocess.run(["python3", "-c", script[1]], stdin=file.open("rb"), capture_output=True, check=True).stdout
    piped(empty, made)
    again = Contents()
    entries = {(one.db, one.key): one for one in empty.server.export()}
    b"".join(lines({}, entries.values(), again))
    assert again.digests == seen.digests
    assert entries[(0, BINARY)].payload
    assert 3_000_000 < entries[(0, b"dies")].ttl_ms <= 3_600_000
    assert entries[(0, b"text")].ttl_ms == 0
    assert json.loads(body.splitlines()[0])["redis"] == source.server.name


def piped(hands: RealHands, commands: bytes) -> None:
    """What ``redis-cli --pipe`` does, which not every machine has."""
    with socket.create_connection((hands.address.host, hands.address.port)) as wire:
        wire.sendall(commands + b"*1\r\n$4\r\nPING\r\n")
        said = b""
        while b"+PONG" not in said:
            said += wire.recv(65536)
    assert b"-" not in said, said


def test_an_entry_is_a_line_a_person_can_read() -> None:
    head, line = lines({"redis": "x"}, [Entry(2, b"a", 5, b"\x00")], Contents())
    assert json.loads(head) == {"format": "bennu-redis-export-1", "redis": "x"}
    assert json.loads(line) == {"db": 2, "key": "YQ==", "ttl_ms": 5, "dump": "AA=="}
