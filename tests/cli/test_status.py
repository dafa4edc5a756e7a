"""``bennu status`` and ``rotate status --why`` as an operator types them on another laptop: nothing but the repository, no cluster that answers, the remote gone. They read, and change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.clock import SystemClock
from bennu.adapters.git import GitRepository, Remote
from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry, Holder, Journal
from bennu.lab.fleet_files import git
from tests.cli import checkout
from tests.sim import fleet


@dataclass
class Laptop:
    """A checkout, its remote, and what the shell says."""

    root: Path
    fleet: Path

    @property
    def bare(self) -> Path:
        return self.root / "fleet.git"

    def bennu(self, *words: str) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [sys.executable, "-m", "bennu", *words], cwd=self.fleet, env=checkout.environ(self.root), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def why(self) -> Any:
        ran = self.bennu("rotate", "status", "--why", "-o", "json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def traces(self) -> tuple[str, str, list[str]]:
        """All that a command could have left at the remote, in the checkout, or beside the clone, but for the machine's name and since when it has seen the journal stand still."""
        files = [path for path in (self.root / "state").rglob("*") if path.is_file() and "repos" not in path.parts]
        kept = [str(path.relative_to(self.root)) for path in files if path.name != "machine" and path.suffix != ".seen"]
        return git(self.bare, "for-each-ref"), git(self.fleet, "for-each-ref") + git(self.fleet, "status", "--porcelain", "--ignored"), kept


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    yield Laptop(tmp_path, checkout.made(tmp_path))


def open_elsewhere(laptop: Laptop, state: State) -> str:
    """A colleague's rotation, whose holder died in the middle of a step; its lock."""
    away = laptop.root / "away"
    repository = GitRepository(away, Remote(url=laptop.bare.as_uri()))
    journal = Journal(repository, FileCheckpoint(away), SystemClock(), fleet.GROUP, Holder("ann@one", 1))
    lock.begin(journal, lock.Opening(Colour.BLUE, Colour.GREEN))
    journal.append(Entry(Kind.STATE, state=state))
    journal.append(Entry(Kind.INTENT, step="a.step"))
    return journal.lock_id


def test_a_rotation_begun_elsewhere_is_told_from_the_repository_alone(laptop: Laptop) -> None:
    held = open_elsewhere(laptop, State.SWITCHOVER_LOCKED)
    before = laptop.traces()
    told = laptop.why()
    assert (told["standing"]["state"], told["standing"]["lock"]["id"]) == ("SWITCHOVER_LOCKED", held)
    assert (told["intent"]["step"], told["intent"]["by"], told["intent"]["open"]) == ("a.step", "ann@one", True)
    assert all(told["ages"][name] >= 0 for name in ("lock", "heartbeat", "intent", "clone"))
    assert told["stale"] == ""
    assert told["outlook"]["does"]
    assert told["outlook"]["gates"]
    shown = laptop.bennu("rotate", "status", "--why").stdout
    for words in ("ann@one for", held, "last intent", "a resume", "exit code", "gate"):
        assert words in shown, shown
    assert laptop.traces() == before


def test_whoever_may_not_resume_is_told_first_what_a_resume_would_do(laptop: Laptop) -> None:
    held = open_elsewhere(laptop, State.TRAFFIC_CANARY)
    ran = laptop.bennu("rotate", "resume", "--no-input", "-o", "json")
    assert ran.returncode == 4
    said = [line for line in ran.stderr.splitlines() if line.startswith("bennu: ")]
    assert said[0].startswith("bennu: rotation prod-us-east-1-1 blue → green: TRAFFIC_CANARY")
    assert f"lock {held}" in said[1]
    assert said[2].startswith("bennu: last intent: a.step, ")
    assert any(line.startswith("bennu: a resume ") for line in said)
    assert "a resume" not in ran.stdout


def test_without_the_remote_the_clone_is_read_and_says_how_old_it_is(laptop: Laptop) -> None:
    open_elsewhere(laptop, State.TRAFFIC_CANARY)
    laptop.why()
    laptop.bare.rename(laptop.root / "gone.git")
    told = laptop.why()
    assert told["standing"]["state"] == "TRAFFIC_CANARY"
    assert "does not answer" in told["stale"]
    assert told["ages"]["clone"] >= 0
    assert " old (fetched " in laptop.bennu("status").stdout


def test_without_the_remote_and_without_a_clone_a_dependency_is_down(laptop: Laptop) -> None:
    laptop.bare.rename(laptop.root / "gone.git")
    ran = laptop.bennu("status")
    assert ran.returncode == 8, ran.stderr
    assert "does not answer" in ran.stderr


def test_where_nothing_is_open_there_is_nothing_to_explain(laptop: Laptop) -> None:
    assert laptop.why()["outlook"] is None
    assert "there is nothing to resume" in laptop.bennu("rotate", "status", "--why").stdout
