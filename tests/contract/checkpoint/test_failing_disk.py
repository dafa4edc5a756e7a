"""Whatever call of the checkpoint's fails, and however: a word with its exit code, the old file or the new one, and a next try that works."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.git import GitRepository, Remote
from bennu.errors import StoppedSafe
from bennu.ports.checkpoint import Copy
from tests.contract.checkpoint.failing import ERRORS, FailingDisk
from tests.contract.checkpoint.test_checkpoint import GROUP, file_of, records

OLD, NEW = Copy("old", records(2)), Copy("new", records(3))
Act = Callable[[FileCheckpoint], object]


def save(checkpoint: FileCheckpoint) -> None:
    checkpoint.save(GROUP, NEW.tip, NEW.records)


def lock(checkpoint: FileCheckpoint) -> None:
    with checkpoint.exclusive(GROUP):
        pass


def dump(checkpoint: FileCheckpoint) -> None:
    checkpoint.save_dump("kept.jsonl", (b"a" * 500, b"b" * 500))


def count(act: Act, state: Path) -> list[str]:
    disk = FailingDisk(takes=100)
    act(FileCheckpoint(state, disk=disk))
    return disk.calls


def swept(act: Act, folder: Path, *, first: bool, lasting: bool) -> list[str]:
    """Every call of *act* fails once with every error; the names of the calls. *first*: in a home that has nothing yet."""
    calls: list[str] = []
    for nth in range(1, 1 + len(count(act, prepared(folder / "count", first=first)))):
        for number in ERRORS:
            state = prepared(folder / f"{nth}-{number}", first=first)
            disk = FailingDisk(nth, number, lasting=lasting, takes=100)
            with pytest.raises(StoppedSafe, match=os.strerror(number)) as stopped:
                act(FileCheckpoint(state, disk=disk))
            assert (stopped.value.code, stopped.value.changed, bool(stopped.value.next_step)) == (5, "nothing was changed", True)
            healed = FileCheckpoint(state)
            assert healed.load(GROUP) in ((None, NEW) if first else (OLD, NEW)), disk.failed
            act(healed)
            with healed.exclusive(GROUP):
                pass
            assert not [file for file in file_of(state).parent.iterdir() if file.name.startswith(f".{file_of(state).name}")]
            calls.append(disk.failed[0])
    return calls


def prepared(state: Path, *, first: bool) -> Path:
    if not first:
        FileCheckpoint(state).save(GROUP, OLD.tip, OLD.records)
        (state / "checkpoints" / ".prod.us-east-1.jsonl.left-by-a-kill").touch()
    return state


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_any_call_of_a_save_may_fail(tmp_path: Path, first: bool, lasting: bool) -> None:
    wanted = {"open", "write", "fsync", "rename", "open-folder", "fsync-folder"} | ({"mkdir"} if first else set())
    assert set(swept(save, tmp_path, first=first, lasting=lasting)) == wanted


@pytest.mark.parametrize("first", [False, True])
def test_any_call_of_a_dump_may_fail(tmp_path: Path, first: bool) -> None:
    assert len(swept(dump, tmp_path, first=first, lasting=True)) > 60


def test_any_call_of_the_lock_may_fail(tmp_path: Path) -> None:
    calls = count(lock, prepared(tmp_path / "count", first=False))
    assert calls == ["open", "flock", "truncate", "write", "unlink"]
    for nth in range(1, len(calls)):
        for number in ERRORS:
            state = prepared(tmp_path / f"{nth}-{number}", first=False)
            with pytest.raises(StoppedSafe, match=os.strerror(number)) as stopped:
                lock(FileCheckpoint(state, disk=FailingDisk(nth, number)))
            assert stopped.value.code == 5
            lock(FileCheckpoint(state))
    lock(FileCheckpoint(tmp_path / "count", disk=FailingDisk(5, errno.EIO)))  # what a killed writer left only takes room


@pytest.mark.parametrize("number", ERRORS)
def test_a_checkpoint_that_the_disk_does_not_give_stops_with_5(tmp_path: Path, number: int) -> None:
    state = prepared(tmp_path, first=False)
    with pytest.raises(StoppedSafe, match=os.strerror(number)):
        FileCheckpoint(state, disk=FailingDisk(1, number)).load(GROUP)


def test_what_is_left_of_a_disk_is_found_by_writing_to_it(tmp_path: Path) -> None:
    beside = tmp_path / "repos" / "clone"
    found = FileCheckpoint(tmp_path, beside=(beside,)).room()
    assert found.free > 0
    assert found.problem == ""
    assert not list(beside.iterdir())
    calls = FailingDisk()
    FileCheckpoint(tmp_path, beside=(beside,), disk=calls).room()
    for nth in range(1, 1 + len(calls.calls)):
        lost = FileCheckpoint(tmp_path, beside=(beside,), disk=FailingDisk(nth, errno.EROFS)).room()
        assert "cannot be written to: Read-only" in lost.problem
    assert str(beside) in lost.problem


# Git's own files: no call of git's can be made to fail, but a folder can be one in which nobody writes.


def test_a_clone_that_cannot_be_locked_stops_with_5(tmp_path: Path) -> None:
    repository = GitRepository(tmp_path, Remote(str(tmp_path / "nowhere")))
    repository.fetch()
    held = repository.clone.path / "bennu-writing"
    held.unlink()
    held.mkdir()
    cause = repository.fetch().cause
    assert isinstance(cause, StoppedSafe)
    assert "Is a directory" in cause.message


def test_words_have_their_code(tmp_path: Path) -> None:
    (tmp_path / "repos").touch()
    cause = GitRepository(tmp_path, Remote(str(tmp_path / "nowhere"))).fetch().cause
    assert cause is not None
    assert cause.code == 5
