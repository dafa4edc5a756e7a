"""``bennu unlock`` and ``--take-over`` as they are typed: processes over a real Git remote, two state directories for two machines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bennu import wiring
from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry, Journal
from bennu.errors import LockLost
from tests.cli import checkout

_IDENTITY = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com", "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com"}


@dataclass
class Place:
    """A checkout, and a colleague's holder in the middle of a step on a machine of its own."""

    root: Path
    fleet: Path
    session: wiring.Session

    @property
    def journal(self) -> Journal:
        return self.session.journal

    def bennu(self, *words: str, machine: str = "mine") -> subprocess.CompletedProcess[str]:
        environ = {**checkout.environ(self.root), **_IDENTITY, "XDG_STATE_HOME": str(self.root / machine)}
        done = subprocess.run(
            [sys.executable, "-m", "bennu", *words], cwd=self.fleet, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def goes_on(self) -> None:
        self.journal.append(Entry(Kind.HEARTBEAT))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in _IDENTITY.items():
        monkeypatch.setenv(name, value)
    fleet = checkout.made(tmp_path)
    with (fleet / "bennu.yaml").open("a") as file:
        file.write("policy_overrides: {heartbeat_s: 900}\n")  # young, however slow this machine is
    here = Place(tmp_path, fleet, wiring.session(wiring.Options(repo=fleet, environ={"XDG_STATE_HOME": str(tmp_path / "theirs")})))
    lock.begin(here.journal, lock.Opening(Colour.BLUE, Colour.GREEN))
    here.journal.append(Entry(Kind.STATE, state=State.DATA_SYNCING))
    here.journal.append(Entry(Kind.INTENT, step="data-syncing.init-job"))
    yield here


def test_unlock_alone_shows_the_lock_and_changes_nothing(place: Place) -> None:
    said = place.bennu("unlock")
    held, words = place.journal.standing.lock, said.stdout
    assert held is not None
    assert said.returncode == 0
    for part in (
        held.holder,
        held.machine,
        held.pid,
        held.since,
        "prod-us-east-1-1",
        "DATA_SYNCING (running)",
        "data-syncing.init-job",
        f"bennu unlock {held.id}",
    ):
        assert part in words, words
    place.goes_on()


def test_the_lock_as_json(place: Place) -> None:
    found = json.loads(place.bennu("unlock", "-o", "json").stdout)
    held = found["lock"]
    assert (found["group"], found["unlocked"], held["id"], held["step"]) == ("prod/us-east-1", False, place.journal.lock_id, "data-syncing.init-job")
    assert 0 <= held["age_s"] < 60
    lock.release(place.journal)
    found = json.loads(place.bennu("unlock", "-o", "json").stdout)
    assert (found["lock"], found["next"]) == (None, "'bennu rotate resume' goes on with it, 'bennu rotate rollback' undoes it")


@pytest.mark.parametrize(
    "deed", [("unlock",), ("rotate", "resume", "--take-over"), ("rotate", "rollback", "--yes", "--take-over"), ("rotate", "abort", "--take-over")]
)
def test_a_lock_that_is_held_by_nobody_or_by_another_is_refused_with_4(place: Place, deed: tuple[str, ...]) -> None:
    wrong = place.bennu(*deed, "0123456789abcdef")
    assert wrong.returncode == 4, wrong.stderr
    assert "0123456789abcdef is not the present lock" in wrong.stderr
    place.goes_on()
    lock.release(place.journal)
    gone = place.bennu(*deed, place.journal.lock_id)
    assert gone.returncode == 4, gone.stderr
    assert "nobody holds prod/us-east-1" in gone.stderr


@pytest.mark.parametrize(
    "deed", [("unlock",), ("rotate", "resume", "--take-over"), ("rotate", "rollback", "--yes", "--take-over"), ("rotate", "abort", "--take-over")]
)
def test_a_young_heartbeat_refuses_with_4_and_says_how_old_it_is(place: Place, deed: tuple[str, ...]) -> None:
    said = place.bennu(*deed, place.journal.lock_id)
    assert said.returncode == 4, said.stderr
    assert "is young" in said.stderr
    assert " s ago, if both clocks are right" in said.stderr
    assert "nothing was changed" in said.stderr
    place.goes_on()


def test_unlock_by_force_wants_a_yes_and_fences_the_holder(place: Place) -> None:
    asked = place.bennu("unlock", place.journal.lock_id, "--force")
    assert asked.returncode == 2
    assert "this needs a yes: Let go of lock" in asked.stderr
    place.goes_on()
    said = place.bennu("unlock", place.journal.lock_id, "--force", "--yes", "-o", "json")
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["unlocked"] is True
    with pytest.raises(LockLost, match=r"was unlocked by .* epoch 2") as stopped:
        place.goes_on()
    assert stopped.value.code == 4
    assert json.loads(place.bennu("unlock", "-o", "json").stdout)["lock"] is None


def test_on_the_holders_own_machine_the_file_lock_answers_before_any_network(place: Place) -> None:
    with place.session.systems.checkpoint.exclusive(place.session.group):
        (place.root / "fleet.git").rename(place.root / "unreachable.git")
        for deed in (("unlock", place.journal.lock_id), ("rotate", "start"), ("rotate", "resume")):
            said = place.bennu(*deed, machine="theirs")
            assert said.returncode == 4, said.stderr
            for part in ("another bennu on this machine drives prod/us-east-1", "DATA_SYNCING (running), at data-syncing.init-job", place.journal.lock_id):
                assert part in said.stderr, said.stderr


def test_force_without_a_lock_is_refused(place: Place) -> None:
    assert place.bennu("unlock", "--force").returncode == 2
    assert place.bennu("rotate", "resume", "--force").returncode == 2
    place.goes_on()


def test_a_tab_offers_the_locks_id(place: Place) -> None:
    place.bennu("unlock", machine="mine")  # the clone has it then
    environ = {**checkout.environ(place.root), "XDG_STATE_HOME": str(place.root / "mine"), "_BENNU_COMPLETE": "complete_bash"}
    for words in ("bennu unlock ", "bennu rotate resume --take-over "):
        line = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
        done = subprocess.run([sys.executable, "-m", "bennu"], cwd=place.fleet, env={**environ, **line}, capture_output=True, text=True, check=False)
        assert done.stdout.split() == [place.journal.lock_id], (words, done)
