"""Many want the same lock at once: exactly one gets it, and what the others built stays with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bennu.errors import BennuError, LockLost
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, Ground, ground, record
from tests.contract.git.remotes import FOLDER, Bare, Served

CONTENDERS = 20
ROUNDS = {"memory": 20, "path": 3}


@pytest.mark.parametrize("kind", ROUNDS)
def test_of_twenty_contenders_exactly_one_wins_each_swap(kind: str, tmp_path: Path) -> None:
    with ground(kind, tmp_path) as place:
        _contest(place, ROUNDS[kind])


def _contest(place: Ground, rounds: int) -> None:
    laptops = [place.laptop() for _ in range(CONTENDERS)]
    outcomes: dict[int, object] = {}
    for turn in range(rounds):
        barrier = threading.Barrier(CONTENDERS)
        outcomes.clear()

        def contend(number: int, barrier: threading.Barrier = barrier, turn: int = turn) -> None:
            laptop = laptops[number]
            try:
                laptop.fetch()
                seen = laptop.journal(GROUP).tip
                barrier.wait()
                change = Change((Edit(f"{FOLDER}/{turn}-{number}.yaml", "mine: true\n"),), f"Contender {number}\n")
                outcomes[number] = laptop.advance(GROUP, seen, (record(f"round-{turn}", f"contender-{number}@here"),), change).tip
            except BennuError as error:
                outcomes[number] = error
                barrier.abort() if not isinstance(error, LockLost) else None

        threads = [threading.Thread(target=contend, args=(number,)) for number in range(CONTENDERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [number for number, outcome in outcomes.items() if isinstance(outcome, str)]
        others = [outcome for outcome in outcomes.values() if not isinstance(outcome, str)]
        assert len(winners) == 1, outcomes
        assert len(others) == CONTENDERS - 1
        assert all(isinstance(outcome, LockLost) for outcome in others), others
        assert place.journal_tip(GROUP) == outcomes[winners[0]]
        assert place.commits() == turn + 2
        landed = [number for number in range(CONTENDERS) if place.content(f"{FOLDER}/{turn}-{number}.yaml") is not None]
        assert landed == winners


_PROCESS = """
import json, sys
from pathlib import Path
from bennu.core.clusters import Group
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import record
from tests.contract.git.remotes import FOLDER, repository

state, url, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
group, laptop = Group("prod", name), repository(state, url)
for number in range(6):
    assert laptop.fetch().problem == ""
    # One commits, the others only record: a branch that moves at every try would be given up, rightly.
    change = Change((Edit(f"{FOLDER}/{name}-{number}.yaml", "a: 1\\n"),), f"{name} {number}\\n") if name == "one" else None
    laptop.advance(group, laptop.journal(group).tip, (record(str(number)),), change)
laptop.fetch()
print(json.dumps([one.step for one in laptop.journal(group).records]))
"""


def test_processes_of_one_laptop_share_its_clone_without_harm(bare: Bare, tmp_path: Path) -> None:
    names = ["one", "two", "three", "four"]
    started = [
        subprocess.Popen([sys.executable, "-c", _PROCESS, str(tmp_path / "laptop"), str(bare.path), name], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for name in names
    ]
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
        assert json.loads(out) == [str(number) for number in range(6)]
    assert bare.count("refs/heads/main") == 1 + 6


@dataclass(frozen=True)
class Contest:
    """What came of it: pushes for the lock, and seconds for all rounds."""

    pushes: int
    seconds: float


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _processes_contend(server: Served, root: Path, contenders: int, rounds: int) -> Contest:
    """Every round all of them have read the free lock and built their record before the first of them pushes."""
    bare, ref = Bare(server.lab.root / "git" / "fleet.git"), f"refs/notes/bennu/{GROUP}"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contract.git.contender", f"contender-{number}@laptop-{number}", str(root / f"laptop-{number}"), server.url()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        for number in range(contenders)
    ]
    pushes, begin = 0, time.monotonic()
    try:
        for turn in range(rounds):
            for line, answer in (("round", "ready"), ("go", "")):
                for process in started:
                    _say(process, line)
                answers = [_hear(process) for process in started]
                assert not answer or set(answers) == {answer}, f"round {turn}: {answers}"
            outcomes = [json.loads(text) for text in answers]
            winners = [one for one in outcomes if one["won"]]
            assert len(winners) == 1, f"round {turn}: {outcomes}"
            winner, tip = winners[0]["name"], bare.tip(ref)
            assert tip == winners[0]["tip"]
            for one in outcomes:
                assert one["won"] or (one["code"], one["words"].partition(":")[0]) in ((4, "LockLost"), (4, "LockHeld")), one
                assert one["won"] or winner in one["words"], f"{one} lost to {winner}"
            pushes += sum(one["pushes"] for one in outcomes)
            for process in started:
                _say(process, "after")
            assert {_hear(process) for process in started} == {"over"}
        # Two records of the lock's and one of its release each round, in two swaps: nothing else ever landed.
        assert bare.count(ref) == 2 * rounds
        assert bare.count("refs/heads/main") == 1
    finally:
        for process in started:
            assert process.stdin is not None
            process.stdin.close()
        for process in started:
            process.wait(60)
    return Contest(pushes, time.monotonic() - begin)


def test_of_eight_processes_with_clones_of_their_own_exactly_one_takes_the_lock_each_round(server: Served, tmp_path: Path) -> None:
    assert _processes_contend(server, tmp_path, 8, 10).pushes >= 8 * 10


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_of_twenty_processes_exactly_one_takes_the_lock_in_each_of_a_hundred_rounds(server: Served, tmp_path: Path) -> None:
    found = _processes_contend(server, tmp_path, 20, 100)
    assert found.pushes >= 20 * 100
    print(f"\n20 processes, 100 rounds: {found.pushes} pushes for the lock, one winner each round, {found.seconds:.0f} s")
