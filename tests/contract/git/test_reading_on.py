"""The commands that only look, with the remote down: they go on from the clone, and say how old it is."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bennu.cli.app import run
from bennu.core.standing import Standing
from bennu.core.status import GroupStatus, Survey, from_clone
from tests.contract.git.remotes import STATE, Bare
from tests.contract.git.test_journal_place import MASTER, SETTINGS

LOOKS = (["status"], ["rotate", "status"], ["rotate", "status", "--why"], ["clusters", "list"], ["clusters", "show", "blue"])


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_a_command_that_only_looks_goes_on_and_says_how_old_the_clone_is(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", "/dev/null")
    bare = Bare.made(tmp_path / "fleet.git", {STATE: MASTER})
    (tmp_path / "bennu.yaml").write_text(SETTINGS.format(remote=bare.path, more=""))
    command = [*words, "--config", str(tmp_path / "bennu.yaml")]
    usual = run(command)
    capsys.readouterr()
    bare.path.rename(tmp_path / "away.git")
    for stamp in (tmp_path / "state").rglob("bennu-fetched"):
        os.utime(stamp, (time.time() - 3 * 3600,) * 2)
    assert run(command) == usual
    said = capsys.readouterr()
    assert "3 h old" in said.out + said.err


@pytest.mark.parametrize(
    ("age", "words"),
    [(timedelta(seconds=5), "5 s old"), (timedelta(minutes=59), "59 min old"), (timedelta(hours=47), "2 days old"), (-timedelta(seconds=9), "0 s old")],
)
def test_an_age_is_said_in_the_unit_that_people_would_use(age: timedelta, words: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    status = GroupStatus("prod/us-east-1", Standing(), Survey((), (), (), ()), now.isoformat(), (now - age).isoformat(), "the remote is down")
    assert from_clone(status).startswith(words)
    assert "never fetched" in from_clone(GroupStatus("g/r", Standing(), Survey((), (), (), ()), now.isoformat(), "never", "the remote is down"))
