"""A clone on a disk that is full or read only, as real file systems of their own (which takes root): this machine's disk is named (5), and never a damaged clone (9)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.git import GitRepository, Remote
from bennu.core.clusters import Group
from bennu.core.record import Kind, Record
from bennu.errors import StoppedSafe
from bennu.ports.repository import Change, Edit
from tests.contract.git.remotes import STATE, Bare

GROUP = Group("prod", "us-east-1")
ONE = (Record(Kind.FACT, "prod-us-east-1-1", 1, "2026-01-01T00:00:00+00:00", "0" * 16, "me@here"),)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state directory that is a file system of a few MB."""
    folder = tmp_path / "state"
    folder.mkdir()
    if os.getuid() != 0:
        pytest.skip("a file system of the test's own takes root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], capture_output=True, check=False).returncode:
        pytest.skip("this root may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(state: Path) -> None:
    """To the last page."""
    with (state / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def read_only(state: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True)


@pytest.mark.parametrize(
    ("spoilt", "words", "own"), [(filled, "no space is left", "No space left on device"), (read_only, "mounted read-only", "Read-only file system")]
)
def test_a_clone_that_takes_no_more_stops_safely(state: Path, bare: Bare, spoilt: Callable[[Path], None], words: str, own: str) -> None:
    repository = GitRepository(state, Remote(str(bare.path)))
    repository.fetch()
    tip = repository.advance(GROUP, "", ONE).tip
    spoilt(state)
    branch = bare.tip()
    with pytest.raises(StoppedSafe, match=words) as stopped:
        repository.advance(GROUP, tip, ONE, Change((Edit(STATE, "a: 1\n" * 2000),), "Change it\n"))
    assert (stopped.value.code, bare.tip()) == (5, branch)
    bare.commit("More", {"clusters/more.yaml": os.urandom(9000)})
    assert words in repository.fetch().problem
    room = FileCheckpoint(state, beside=(repository.clone.path,)).room()
    assert own in room.problem
    assert repository.journal(GROUP).tip == tip, "what is there is read on"


@pytest.mark.parametrize("spoilt", [filled, read_only])
def test_a_clone_cannot_be_begun_there(state: Path, bare: Bare, spoilt: Callable[[Path], None]) -> None:
    spoilt(state)
    with pytest.raises(StoppedSafe):
        GitRepository(state, Remote(str(bare.path))).head()


def test_a_clone_goes_on_once_there_is_room(state: Path, bare: Bare) -> None:
    repository = GitRepository(state, Remote(str(bare.path)))
    repository.fetch()
    filled(state)
    with pytest.raises(StoppedSafe):
        repository.advance(GROUP, "", ONE)
    (state / "ballast").unlink()
    assert repository.advance(GROUP, "", ONE).tip == bare.tip("refs/notes/bennu/prod/us-east-1")
