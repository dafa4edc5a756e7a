"""The contract of ``Following``: only what a replica says after it was asked anew counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.redis.servers import REAL, RealHands, program, until

NAME = "bennu-prod-us-east-1-7-1"
EVERY_S = 0.002


@pytest.fixture(params=REAL)
def in_step(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RealHands, RealHands]]:
    """A real master that holds a key, and its connected replica."""
    found = program(request.param)
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    source, target = RealHands(found, tmp_path / "source"), RealHands(found, tmp_path / "target")
    try:
        assert source.write("first", "1")
        target.server.replicate(source.address)
        until(lambda: target.server.observe().link_up and target.read("first") == "1", "the target follows the source")
        yield source, target
    finally:
        source.stop()
        target.stop()


def test_a_replica_is_seen_to_hold_what_its_master_wrote(in_step: tuple[RealHands, RealHands]) -> None:
    source, target = in_step
    with target.server.critical(NAME) as critical, critical.following(EVERY_S) as following:
        assert source.write("second", "2")
        seen = source.server.observe()
        assert following.reaches(seen.offset, seen.replid, 5)
        assert not following.reaches(seen.offset + 10_000_000, seen.replid, 0.05)


def test_an_offset_of_another_history_is_not_reached(in_step: tuple[RealHands, RealHands]) -> None:
    _, target = in_step
    with target.server.critical(NAME) as critical, critical.following(EVERY_S) as following:
        assert not following.reaches(0, "0" * 40, 0.05)


def test_what_a_replica_said_before_it_froze_does_not_count_any_more(in_step: tuple[RealHands, RealHands]) -> None:
    source, target = in_step
    seen = source.server.observe()
    with target.server.critical(NAME) as critical, critical.following(EVERY_S) as following:
        assert following.reaches(seen.offset, seen.replid, 5)
        target.freeze()
        assert following.reaches(seen.offset, seen.replid, 0.05)  # by what it said before
        following.anew()
        assert not following.reaches(seen.offset, seen.replid, 0.05)
        target.thaw()
        assert following.reaches(seen.offset, seen.replid, 5)


def test_a_replica_that_dies_ends_the_looking_at_once(in_step: tuple[RealHands, RealHands]) -> None:
    source, target = in_step
    seen = source.server.observe()
    with target.server.critical(NAME) as critical, critical.following(EVERY_S) as following:
        target.stop()
        with pytest.raises(ConnectionError):
            following.reaches(seen.offset + 1, seen.replid, 60)
