from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.redis.servers import program
from tests.faults.stage import Case, Stage

# kill -9 takes nothing from the page cache, and power cuts are not tested here: what the servers write needs no disk.
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bennu-faults-", dir=MEMORY if MEMORY.is_dir() else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["redis", "valkey"])
def stage(request: pytest.FixtureRequest, ground: Path) -> Iterator[Stage]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    (ground / str(request.param)).mkdir()
    stage = Stage(found, ground / str(request.param))
    yield stage
    stage.clear()


@pytest.fixture
def case(stage: Stage) -> Iterator[Case]:
    with stage.case() as found:
        yield found
