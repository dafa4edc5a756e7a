"""The contract of ``Checkpoint``, of real files and of the one in memory; then what only a disk can do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.adapters.checkpoint import MAX_BYTES, FileCheckpoint
from bennu.core.clusters import Group
from bennu.core.record import Kind, Record, rendered
from bennu.errors import DependencyDown, DurableStateError, LockHeld, StoppedSafe, UsageError
from bennu.ports.checkpoint import Checkpoint, Copy
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk

GROUP, OTHER = Group("prod", "us-east-1"), Group("prod-us", "east-1")


def records(count: int) -> tuple[Record, ...]:
    return tuple(Record(Kind.DONE, "prod-us-east-1-1", 1, "2026-01-01T00:00:00+00:00", f"{n:016x}", "me@here", step=f"step-{n}") for n in range(count))


@pytest.fixture(params=["file", "memory"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Checkpoint, Checkpoint]:
    """Two processes of one machine."""
    if request.param == "file":
        return FileCheckpoint(tmp_path), FileCheckpoint(tmp_path)
    disk = MemoryDisk()
    return MemoryCheckpoint(disk, 1), MemoryCheckpoint(disk, 2)


def test_what_one_process_saved_the_next_one_loads(two: tuple[Checkpoint, Checkpoint]) -> None:
    assert two[0].load(GROUP) is None
    two[0].save(GROUP, "tip-1", records(1))
    two[0].save(GROUP, "tip-2", records(3))
    assert two[1].load(GROUP) == Copy("tip-2", records(3))


def test_groups_whose_names_look_alike_share_neither_file_nor_lock(two: tuple[Checkpoint, Checkpoint]) -> None:
    two[0].save(GROUP, "tip", records(1))
    assert two[0].load(OTHER) is None
    with two[0].exclusive(GROUP), two[1].exclusive(OTHER):
        pass


def test_the_second_process_is_told_at_once_and_let_in_afterwards(two: tuple[Checkpoint, Checkpoint]) -> None:
    with two[0].exclusive(GROUP):
        with pytest.raises(LockHeld, match=r"pid \d+") as held, two[1].exclusive(GROUP):
            pass
        assert held.value.code == 4
    with two[1].exclusive(GROUP):
        pass


def test_an_error_inside_lets_go_of_the_lock(two: tuple[Checkpoint, Checkpoint]) -> None:
    with pytest.raises(ZeroDivisionError), two[0].exclusive(GROUP):
        raise ZeroDivisionError
    with two[1].exclusive(GROUP):
        pass


def test_a_dump_is_kept(two: tuple[Checkpoint, Checkpoint]) -> None:
    kept = two[0].save_dump("redis.jsonl", (b"\x00", b"\xff"))
    assert "redis.jsonl" in kept.path
    assert kept.sha256 == hashlib.sha256(b"\x00\xff").hexdigest()


def test_a_second_dump_of_one_name_takes_no_other_one_s_place(two: tuple[Checkpoint, Checkpoint], tmp_path: Path) -> None:
    kept = [one.save_dump("redis.20260101T000000Z.jsonl", (content,)) for one, content in ((two[0], b"first"), (two[1], b"second"), (two[0], b"third"))]
    assert [one.path.rpartition("redis.")[2] for one in kept] == ["20260101T000000Z.jsonl", "20260101T000000Z-2.jsonl", "20260101T000000Z-3.jsonl"]
    assert len({one.sha256 for one in kept}) == 3
    for one, content in zip(kept, (b"first", b"second", b"third"), strict=True):
        if not one.path.startswith("memory:"):
            assert Path(one.path).read_bytes() == content
            assert Path(f"{one.path}.sha256").read_text().startswith(one.sha256)


def test_a_dump_that_cannot_be_read_to_its_end_is_not_kept(tmp_path: Path) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"half"
        raise DependencyDown("gone")

    with pytest.raises(DependencyDown):
        FileCheckpoint(tmp_path).save_dump("redis.jsonl", breaks())
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_newer_bennus_record_is_refused_and_never_guessed(two: tuple[Checkpoint, Checkpoint], tmp_path: Path) -> None:
    newer = rendered(records(1)).replace('"v":1', '"v":99')
    if isinstance(two[0], MemoryCheckpoint):
        two[0].disk.files[str(GROUP)] = ("tip", newer)
    else:
        written(tmp_path, "bennu-checkpoint-1", newer)
    with pytest.raises(DurableStateError, match="newer Bennu"):
        two[0].load(GROUP)


# Files alone


def file_of(state: Path) -> Path:
    return state / "checkpoints" / "prod.us-east-1.jsonl"


def damaged(checkpoint: FileCheckpoint) -> str:
    found = checkpoint.load(GROUP)
    assert found is not None and found.records == ()
    return found.damage


def written(state: Path, form: str, body: str) -> None:
    file_of(state).parent.mkdir(exist_ok=True)
    header = {"format": form, "tip": "tip", "sha256": hashlib.sha256(body.encode()).hexdigest()}
    file_of(state).write_text(json.dumps(header) + "\n" + body)


@pytest.fixture
def checkpoint(tmp_path: Path) -> FileCheckpoint:
    found = FileCheckpoint(tmp_path)
    found.save(GROUP, "tip", records(3))
    return found


def test_files_and_folder_are_the_users_alone(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    dump = Path(checkpoint.save_dump("../../source.rdb", (b"\x00\xff",)).path)
    assert dump == tmp_path / "checkpoints" / "source.rdb"
    assert dump.read_bytes() == b"\x00\xff"
    beside = dump.with_name("source.rdb.sha256")
    assert {file.stat().st_mode & 0o777 for file in (file_of(tmp_path), dump, beside)} == {0o600}
    assert subprocess.run(["sha256sum", "-c", beside.name], cwd=dump.parent, check=False, capture_output=True).returncode == 0
    assert file_of(tmp_path).parent.stat().st_mode & 0o777 == 0o700


def test_a_file_that_others_may_read_is_closed(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    file_of(tmp_path).chmod(0o644)
    assert checkpoint.load(GROUP) == Copy("tip", records(3))
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_a_file_damaged_at_any_place_is_ignored(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    whole = file_of(tmp_path).read_bytes()
    for cut in range(0, len(whole), 7):
        file_of(tmp_path).write_bytes(whole[:cut])
        assert damaged(checkpoint)
    for place in range(0, len(whole), 3):
        flipped = whole[:place] + bytes([whole[place] ^ 0x01]) + whole[place + 1 :]
        file_of(tmp_path).write_bytes(flipped)
        try:
            found = checkpoint.load(GROUP)
        except DurableStateError:
            # One bit away from our version lies another: nobody can tell that from a newer file.
            assert b"bennu-checkpoint-1" not in flipped
        else:
            assert found is not None and (found.damage or found.records == records(3)), "only the tip is not under the checksum"
    header = whole.partition(b"\n")[0]
    for content in (
        b"[" * 100_000,
        header.replace(b"point-1", b"point-" + b"9" * 5000),
        header.replace(b"point-1", "point-\u0663".encode()),
        b"\x00" * (MAX_BYTES + 1),
    ):
        file_of(tmp_path).write_bytes(content)
        assert damaged(checkpoint)


def test_a_newer_bennus_file_is_refused(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    written(tmp_path, "bennu-checkpoint-2", "anything")
    with pytest.raises(DurableStateError, match="newer Bennu") as refused:
        checkpoint.load(GROUP)
    assert refused.value.code == 9


def test_a_symlink_is_refused_for_the_file_and_for_the_lock(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("mine\n")
    file_of(tmp_path).unlink()
    file_of(tmp_path).symlink_to(target)
    with pytest.raises(UsageError, match="symlink"):
        checkpoint.load(GROUP)
    checkpoint.save(GROUP, "tip", records(1))
    assert target.read_text() == "mine\n", "a save replaces the link and never follows it"
    file_of(tmp_path).with_suffix(".lock").symlink_to(target)
    with pytest.raises(UsageError, match="symlink"), checkpoint.exclusive(GROUP):
        pass
    assert target.read_text() == "mine\n"


def test_what_is_no_plain_file_is_refused(checkpoint: FileCheckpoint, tmp_path: Path) -> None:
    file_of(tmp_path).unlink()
    os.mkfifo(file_of(tmp_path), 0o600)
    with pytest.raises(UsageError, match="no plain file"):
        checkpoint.load(GROUP)
    file_of(tmp_path).unlink()
    file_of(tmp_path).mkdir()
    with pytest.raises(UsageError, match="no plain file"):
        checkpoint.load(GROUP)


def test_a_state_directory_that_cannot_be_made_stops_in_a_safe_state(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file\n")
    checkpoint = FileCheckpoint(tmp_path / "state")
    with pytest.raises(StoppedSafe, match="cannot be made") as stopped:
        checkpoint.save(GROUP, "tip", records(1))
    assert stopped.value.code == 5
    with pytest.raises(StoppedSafe), checkpoint.exclusive(GROUP):
        pass


_PRELUDE = """
import os, resource, signal, sys
from pathlib import Path
from bennu.adapters.checkpoint import FileCheckpoint
from bennu.errors import BennuError
from tests.contract.checkpoint.test_checkpoint import GROUP, records
state = Path(sys.argv[1])
checkpoint = FileCheckpoint(state)
"""

_FULL = f"""{_PRELUDE}
checkpoint.save(GROUP, "small", records(3))
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoint.save(GROUP, "large", records(100))
except BennuError as error:
    print(error.code, error)
"""


def test_a_disk_that_takes_no_more_stops_safely_and_keeps_the_old_file(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("5 the checkpoint cannot be written: File too large"), ran.stderr
    assert FileCheckpoint(tmp_path).load(GROUP) == Copy("small", records(3))
    assert [file.name for file in file_of(tmp_path).parent.iterdir()] == [file_of(tmp_path).name]


_KILLED = f"""{_PRELUDE}
import random
from time import perf_counter
chance, took, new = random.Random(5), 0.001, 0
for turn in range(int(sys.argv[2])):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for number in range(1, 1000):
            checkpoint.save(GROUP, f"{{turn}}.{{number}}", records(number % 40 + 1))
            os.write(writing, b".")
    os.close(writing)
    # After one to three whole saves, at a random instant of the next two, by how long the last took.
    for _ in range(turn % 3 + 1):
        begin = perf_counter()
        os.read(reading, 1)
    took = perf_counter() - begin if turn % 3 else took
    end = perf_counter() + chance.uniform(0, 2) * min(took, 0.05)
    while perf_counter() < end:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    found = checkpoint.load(GROUP)
    assert found is not None, turn
    before, number = (int(part) for part in found.tip.split("."))
    assert before == turn and number >= turn % 3 + 1, (turn, found.tip)
    assert found.records == records(number % 40 + 1)
    new += number > turn % 3 + 1
left = list((state / "checkpoints").glob(".*"))
with checkpoint.exclusive(GROUP):
    print(len(left), len(list((state / "checkpoints").glob(".*"))), new)
"""


@pytest.mark.parametrize("kills", [25, pytest.param(500, marks=pytest.mark.deep)])
def test_a_writer_that_is_killed_always_leaves_a_whole_file(tmp_path: Path, kills: int) -> None:
    ran = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), str(kills)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    left, after, new = (int(word) for word in ran.stdout.split())
    print(f"{kills} kills: {left} in the middle of a save, {new} after a further whole one")
    assert left > 0, "no kill hit the middle of a save: the test shows nothing"
    assert after == 0, "the next holder removes what is half-written"


_HOLDER = f"""{_PRELUDE}
with checkpoint.exclusive(GROUP):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


def test_a_lock_names_its_process_and_ends_with_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        with pytest.raises(LockHeld, match=f"pid {pid}"), FileCheckpoint(tmp_path).exclusive(GROUP):
            pass
        holder.kill()
        holder.wait()
    with FileCheckpoint(tmp_path).exclusive(GROUP):
        pass


def test_a_child_process_does_not_keep_the_lock(tmp_path: Path) -> None:
    with FileCheckpoint(tmp_path).exclusive(GROUP):
        code = "import sys; print('up', flush=True); sys.stdin.read()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
    try:
        with FileCheckpoint(tmp_path).exclusive(GROUP):
            pass
    finally:
        child.communicate(b"")


def test_a_machine_remembers_since_when_it_has_seen_a_journal_stand(two: tuple[Checkpoint, Checkpoint]) -> None:
    assert two[0].sighted(GROUP, "tip-1", 100.0) == 100.0
    assert two[1].sighted(GROUP, "tip-1", 130.0) == 100.0, "what another process of this machine saw counts"
    assert two[1].sighted(OTHER, "tip-1", 130.0) == 130.0
    assert two[0].sighted(GROUP, "tip-2", 140.0) == 140.0
    assert two[0].sighted(GROUP, "tip-1", 150.0) == 150.0
    assert two[1].sighted(GROUP, "tip-1", 20.0) == 20.0, "no time of another boot is believed"


def test_all_processes_of_a_machine_have_one_name_for_it(two: tuple[Checkpoint, Checkpoint]) -> None:
    assert two[0].machine() == two[1].machine() == two[0].machine() != ""


def test_two_state_directories_are_two_machines_since_they_share_no_lock(tmp_path: Path) -> None:
    assert FileCheckpoint(tmp_path / "one").machine() != FileCheckpoint(tmp_path / "two").machine()


def test_what_a_machine_is_told_by_is_nobody_elses_to_read_or_to_give(tmp_path: Path) -> None:
    FileCheckpoint(tmp_path).machine()
    file = tmp_path / "checkpoints" / "machine"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in FileCheckpoint(tmp_path).machine()
    assert [one.name for one in file.parent.iterdir()] == ["machine"]
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="symlink"):
        FileCheckpoint(tmp_path).machine()


def test_a_sight_that_was_damaged_or_cannot_be_kept_begins_anew(tmp_path: Path) -> None:
    FileCheckpoint(tmp_path).sighted(GROUP, "tip-1", 100.0)
    file = tmp_path / "checkpoints" / "prod.us-east-1.seen"
    for damage in ("", "{", "[]", '{"tip": "tip-1"}', '{"tip": "tip-1", "boot": 1, "since_s": "x"}'):
        file.write_text(damage)
        assert FileCheckpoint(tmp_path).sighted(GROUP, "tip-1", 200.0) == 200.0
    (tmp_path / "no-folder").write_text("")
    assert FileCheckpoint(tmp_path / "no-folder").sighted(GROUP, "tip-1", 300.0) == 300.0


def test_a_sight_of_another_boot_is_forgotten(tmp_path: Path) -> None:
    FileCheckpoint(tmp_path).sighted(GROUP, "tip-1", 100.0)
    file = tmp_path / "checkpoints" / "prod.us-east-1.seen"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "boot": "another"}))
    assert FileCheckpoint(tmp_path).sighted(GROUP, "tip-1", 200.0) == 200.0
