"""A holder that is stopped (SIGSTOP) before an effect and woken up (SIGCONT): a real process, real Git, the machine's own clocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import awaited
from bennu.adapters.clock import both
from bennu.core.states import State
from bennu.engine import lock
from bennu.lab.fleet_files import git
from tests.cli.stopper import UNSEEN_S, journal
from tests.unit.engine.desk import BOB, GROUP

ROOT = Path(__file__).resolve().parents[2]


def remote_of(root: Path) -> str:
    """A bare repository with one commit."""
    work, bare = root / "work", root / "fleet.git"
    work.mkdir()
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "commit", "--quiet", "--no-gpg-sign", "--allow-empty", "-m", "Begin")
    git(work, "push", "--quiet", str(bare), "main")
    return bare.as_uri()


def stopped(process: subprocess.Popen[str]) -> bool:
    seen = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT)
    assert seen is None or seen.si_code == os.CLD_STOPPED, process.communicate()
    return seen is not None


@pytest.mark.parametrize("state", [State.PROVISIONING, State.DATA_SYNCING, State.DRAINING])
@pytest.mark.parametrize("stolen", [True, False])
def test_a_holder_that_was_stopped_reads_the_lock_before_its_effect(tmp_path: Path, state: State, stolen: bool) -> None:
    remote, effects = remote_of(tmp_path), tmp_path / "effects"
    argv = [sys.executable, "-m", "tests.cli.stopper", str(tmp_path / "ann"), remote, str(effects), state.value]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ann:
        try:
            awaited(lambda: stopped(ann), "the holder stops itself", 30)
            begin, _ = both()
            if stolen:
                bob = journal(tmp_path / "bob", remote, BOB, GROUP)
                bob.refresh()
                found = bob.standing.lock
                assert found is not None
                lock.take(bob, over=found.id)
            awaited(lambda: both()[0] - begin > 2 * UNSEEN_S, "time goes by without the holder", 30)
            ann.send_signal(signal.SIGCONT)
            said, _ = ann.communicate(timeout=60)
        finally:
            ann.kill()
    assert ann.returncode == (4 if stolen else 0), said
    assert ("bob@two" if stolen else "went by unseen") in said
    assert effects.exists() is not stolen
    assert stolen or effects.read_text(encoding="utf-8") == "green\n"
