from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.redis.servers import REAL, Hands, pair, program, until


@pytest.fixture(params=[*REAL, "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    found = str(request.param)
    if found != "memory" and program(found) is None:
        pytest.skip(f"no {found} server is installed")
    return found


@pytest.fixture
def both(kind: str, tmp_path: Path) -> Iterator[tuple[Hands, Hands]]:
    """Two empty masters."""
    with pair(kind, tmp_path) as servers:
        yield servers


@pytest.fixture
def linked(both: tuple[Hands, Hands]) -> tuple[Hands, Hands]:
    """A master that holds a key, and its connected replica."""
    source, target = both
    assert source.write("first", "1")
    target.server.replicate(source.address)

    def in_step() -> bool:
        there, here = source.server.observe(), target.server.observe()
        # Until the append-only file of a fresh replica is rewritten (in the background), a crash would take everything from it.
        return (
            not here.saving_or_loading
            and here.link_up
            and here.replid == there.replid
            and any(one.state == "online" for one in there.replicas)
            and here.offset >= there.offset
        )

    until(in_step, "the target follows the source")
    return source, target
