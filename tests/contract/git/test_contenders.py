"""Many want the same lock at once: exactly one gets it, and what the others built stays with them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bennu.errors import BennuError, LockLost
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, Ground, ground, record
from tests.contract.git.remotes import FOLDER, Bare

CONTENDERS = 20
ROUNDS = {"memory": 20, "path": 3, "http": 1}


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
