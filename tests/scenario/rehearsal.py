"""A lab to rehearse in, and the command line as an operator types it: every test here sees what a user sees, and judges from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bennu.lab import audit, spawn, world
from bennu.lab.fleet_files import git
from bennu.lab.places import LabDir

LONG_S = 150.0
# What is left of a hand-over there and back: Git counts both moves of the authority.
TERM_TWO = ["+  annotations:", '+    bennu.io/term: "2"']
_IDENTITY = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in (("NAME", "An SRE"), ("EMAIL", "sre@lab.test"))}


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


@dataclass
class Running:
    """A command in a second terminal; its stderr is read as it comes."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def until_says(self, pattern: str, seconds: float = LONG_S) -> str:
        """The first line that matches."""
        with self._news:
            found = self._news.wait_for(lambda: next((line for line in self.lines if re.search(pattern, line)), None) or self.ended, seconds)
        if not isinstance(found, str):
            raise AssertionError(f"it never said {pattern!r}:\n" + "\n".join(self.lines))
        return found

    @property
    def ended(self) -> bool:
        """Whether it has ended and all was read."""
        return not self._reader.is_alive() or self.process.poll() is not None

    def end(self, seconds: float = LONG_S) -> Said:
        """Wait for its end."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        return Said(code, "", "\n".join(self.lines))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        self.process.send_signal(number)


@dataclass
class Rehearsal:
    """One lab, one state directory, one operator."""

    root: Path
    lab: LabDir

    @property
    def fleet(self) -> Path:
        """The operator's checkout."""
        return self.lab.root / "fleet"

    @property
    def environ(self) -> Mapping[str, str]:
        """What the operator's shell has."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("BENNU_", "GIT_"))}
        return {**kept, **_IDENTITY, "XDG_STATE_HOME": str(self.root / "state")}

    def bennu(self, *words: str, seconds: float = LONG_S, **more: str) -> Said:
        """Run a command to its end."""
        ran = subprocess.run(
            [sys.executable, "-m", "bennu", *words],
            cwd=self.fleet,
            env={**self.environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return Said(ran.returncode, ran.stdout, ran.stderr)

    @contextmanager
    def second_terminal(self, *words: str) -> Iterator[Running]:
        """Run a command beside this one."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bennu", *words],
            cwd=self.fleet,
            env=dict(self.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()

    def start(self, *words: str) -> Said:
        """``bennu rotate start`` that asks nothing."""
        return self.bennu("rotate", "start", "--yes", "--no-input", *words)

    def standing(self) -> Any:
        """By ``rotate status -o json``."""
        return self.bennu("rotate", "status", "-o", "json").data["standing"]

    def tree(self) -> str:
        """The branch's tree at the remote: equal trees are equal files."""
        git(self.fleet, "-c", "credential.helper=", "fetch", "--quiet", str(self.lab.root / "git" / "fleet.git"), "main")
        return git(self.fleet, "rev-parse", "FETCH_HEAD^{tree}").strip()

    def edited_since(self, before: str) -> list[str]:
        """Every line that was added or taken away since the tree *before*, as a diff has it."""
        lines = git(self.fleet, "diff", "--unified=0", before, self.tree()).splitlines()
        return [line for line in lines if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))]

    def directories(self) -> set[str]:
        """The clusters that Git knows."""
        self.tree()
        return {path.rsplit("cluster-", 1)[-1] for path in git(self.fleet, "ls-tree", "-d", "--name-only", "FETCH_HEAD", "clusters/prod/us-east-1/").split()}

    def masters_ever(self) -> list[tuple[str, int]]:
        """(commit, number of write masters) of every commit on the branch."""
        self.tree()
        found = []
        for commit in git(self.fleet, "rev-list", "FETCH_HEAD").split():
            texts = subprocess.run(
                ["git", "grep", "-h", "IS_WRITE_MASTER", commit, "--", "clusters/prod/us-east-1/*/traffic-state.yaml"],
                cwd=self.fleet,
                capture_output=True,
                text=True,
                check=False,
            ).stdout
            found.append((commit, sum('"true"' in line for line in texts.splitlines())))
        return found

    def assert_at_rest(self, active: str) -> audit.Audit:
        """IDLE_STABLE at *active*; Git, clusters, DNS and processes agree; nothing was lost and nothing ran twice."""
        standing = self.standing()
        assert (standing["state"], standing["lock"]) == ("IDLE_STABLE", None)
        assert self.directories() == {active}
        assert [cluster.load().colour for cluster in self.lab.clusters()] == [active]
        assert {count for _, count in self.masters_ever()} <= {0, 1}
        status = self.bennu("status", "-o", "json").data["survey"]
        assert [view["colour"] for view in status["clusters"] if view["exists"]] == [active]
        assert [answer for _, _, answer in status["dns"]] == [f"ingress-{active}.lab.test"]
        known = [process.pid for process in world.processes(self.lab)]
        strays = audit.strays(self.lab, known)
        assert not strays, strays
        found = audit.audited(self.lab, active)
        assert found.acknowledged > 0
        assert (found.lost, found.overlaps) == ((), ())
        return found

    def traffic_flows(self) -> bool:
        """Whether more payments are acknowledged from now on."""
        before = int(world.traffic(self.lab)["acknowledged_total"])
        return spawn.until(lambda: int(world.traffic(self.lab)["acknowledged_total"]) > before + 10, 10)


@contextmanager
def rehearsal(root: Path, wanted: world.Wanted = world.Wanted()) -> Iterator[Rehearsal]:  # noqa: B008  # frozen
    """A lab from up to down; afterwards none of its processes lives."""
    lab = LabDir(root / "lab")
    world.start(lab.root, "rehearsal", wanted, lambda line: None)
    with (lab.root / "fleet" / "bennu.yaml").open("a") as settings:
        # These tests share the machine with each other: how long a request takes says nothing here.
        settings.write("policy_overrides: {max_p99_ms: 10000}\n")
    try:
        yield Rehearsal(root, lab)
    finally:
        world.stop(lab)
        strays = audit.strays(lab, ())
        assert not strays, strays
