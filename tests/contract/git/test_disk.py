"""The clone's own disk full, read-only or out of reach: said by name (5), with nothing pushed; and reading goes on from the clone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.adapters import git_disk
from bennu.adapters.git_process import Ran
from bennu.engine import lock
from bennu.errors import StoppedSafe
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import FOLDER, SEED, STATE, Bare, Watched, repository

LARGE = Change((Edit(f"{FOLDER}/large.yaml", os.urandom(600_000).hex()),), "Large\n")
EDIT = Change((Edit(STATE, "ours\n"),), "Edit\n")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("a disk of a test's own takes root and mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def filled(folder: Path) -> None:
    """Nothing is free any more."""
    with (folder / "fill").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 4096)
            except OSError:
                return


def refused(laptop: Watched, bare: Bare, disk: Path, words: str, change: Change = EDIT) -> StoppedSafe:
    tip, branch = bare.tip(f"refs/notes/bennu/{GROUP}"), bare.tip()
    with pytest.raises(StoppedSafe, match=words) as stopped:
        laptop.advance(GROUP, tip, (record(),), change)
    assert stopped.value.code == 5
    assert f"the disk {disk}," in stopped.value.message
    assert stopped.value.changed == "nothing was pushed"
    assert str(disk) in stopped.value.next_step
    assert (bare.tip(f"refs/notes/bennu/{GROUP}"), bare.tip()) == (tip, branch)
    return stopped.value


def test_a_full_disk_is_named_with_what_is_free_and_what_was_to_be_written(small_disk: Path, bare: Bare) -> None:
    laptop = repository(small_disk, str(bare.path))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    filled(small_disk)
    error = refused(laptop, bare, small_disk, r"no space is left \(0 bytes free of 1.0 MiB, .* KiB were to be written\)", LARGE)
    assert "resume" in error.next_step
    (small_disk / "fill").unlink()
    laptop.advance(GROUP, tip, (record(),), EDIT)
    assert bare.content(STATE) == b"ours\n"


def test_a_fetch_to_a_full_disk_is_no_silence_of_the_remotes_and_reading_goes_on(small_disk: Path, bare: Bare) -> None:
    laptop = repository(small_disk, str(bare.path))
    fetched = laptop.fetch().fetched_at
    bare.commit("Large", {f"{FOLDER}/large.yaml": os.urandom(300_000)})
    filled(small_disk)
    freshness = laptop.fetch()
    assert "no space is left" in freshness.problem
    assert freshness.fetched_at == fetched
    assert laptop.read(STATE) == SEED[STATE].decode()
    error = lock.stale(freshness)
    assert error.code == 5
    assert str(small_disk) in error.message
    with pytest.raises(StoppedSafe, match="no space is left"):
        repository(small_disk / "another", str(bare.path)).head()


def test_a_read_only_disk_is_named(small_disk: Path, bare: Bare) -> None:
    laptop = repository(small_disk, str(bare.path))
    tip = laptop.advance(GROUP, "", (record(),)).tip
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        refused(laptop, bare, small_disk, "mounted read-only")
        assert "read-only" in laptop.fetch().problem
        assert laptop.read(STATE) == SEED[STATE].decode()
        assert laptop.journal(GROUP).tip == tip
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    laptop.advance(GROUP, tip, (record(),), EDIT)


_LIMITED = """
import json, resource, sys
from pathlib import Path
from bennu.errors import BennuError
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import repository
from tests.contract.git.test_disk import LARGE

laptop = repository(Path(sys.argv[1]), sys.argv[2])
tip = laptop.advance(GROUP, "", (record(),)).tip
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print(laptop.fetch().problem)
try:
    laptop.advance(GROUP, tip, (record(),), LARGE)
except BennuError as error:
    print(json.dumps([error.code, error.message, error.changed]))
"""


def test_a_limit_on_the_size_of_files_is_named_whether_git_meets_it_or_bennu(bare: Bare, tmp_path: Path) -> None:
    laptop = tmp_path / "laptop"
    repository(laptop, str(bare.path)).fetch()
    bare.commit("Large", {f"{FOLDER}/large.bin": os.urandom(300_000)})
    ran = subprocess.run([sys.executable, "-c", _LIMITED, str(laptop), str(bare.path)], capture_output=True, text=True, check=True)
    problem, said = ran.stdout.splitlines()
    assert f"{laptop}" in problem
    assert "may not grow as large" in problem
    code, words, changed = json.loads(said)
    assert (code, changed) == (5, "nothing was pushed")
    assert "may not grow as large" in words
    assert "were to be written" in words
    assert bare.count("refs/heads/main") == 2


@pytest.mark.skipif(os.getuid() != 0, reason="becoming somebody else takes root")
def test_a_clone_that_belongs_to_somebody_else_is_no_damage(a_user_of_git: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        config = home / "gitconfig"
        config.write_text(a_user_of_git.read_text() + "[safe]\n\tdirectory = *\n")
        os.environ["GIT_CONFIG_GLOBAL"] = str(config)  # put back with the fixture's own
        bare = Bare.made(home / "fleet.git")
        laptop = repository(home / "laptop", str(bare.path))
        tip = laptop.advance(GROUP, "", (record(),)).tip
        for found in (home, *home.rglob("*")):
            found.chmod(0o755 if found.is_dir() else 0o644)
        os.seteuid(65534)
        try:
            with pytest.raises(StoppedSafe, match="this user may not write"):
                laptop.advance(GROUP, tip, (record(),), EDIT)
        finally:
            os.seteuid(0)
        assert bare.content(STATE) == SEED[STATE]


@pytest.mark.parametrize(
    "words",
    [
        "remote: fatal: write error: No space left on device",
        "git@github.com: Permission denied (publickey).",
        "warning: unable to access '/home/ann/.gitconfig': Permission denied",
        "fatal: repository '/nowhere' does not exist",
    ],
)
def test_what_others_say_of_their_disk_or_of_a_key_is_not_taken_for_ours(words: str, tmp_path: Path) -> None:
    assert git_disk.refusal(Ran(128, "", f"{words}\nfatal: Could not read from remote repository."), tmp_path) is None
