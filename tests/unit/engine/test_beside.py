"""A push that gets no answer keeps nobody from the monitors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from bennu.core.clusters import Group
from bennu.core.record import Kind, Record
from bennu.core.states import State
from bennu.core.verdict import Verdict, failed, opened
from bennu.engine import lock
from bennu.engine.journal import Entry, Journal
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.errors import LockLost, StoppedSafe
from bennu.phases.base import Monitor
from bennu.ports.repository import Advance, Change, Move
from bennu.wiring.aside import in_a_thread
from tests.sim.memory_checkpoint import MemoryCheckpoint
from tests.sim.memory_repository import MemoryRepository
from tests.unit.engine.desk import ANN, BOB, GROUP, OPENING, Desk, Plain

WITHIN_S = 30


class Stalling(MemoryRepository):
    """A clone whose pushes of a *kind* of record get no answer before ``answers`` is set."""

    def __init__(self, desk: Desk, kind: Kind) -> None:
        super().__init__(desk.remote)
        self.answers, self.stalled, self._kind = threading.Event(), threading.Event(), kind

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        if any(one.kind is self._kind for one in records):
            self.stalled.set()
            assert self.answers.wait(WITHIN_S), "the run waits for the push, and nothing else"
        return super().advance(group, seen, records, change, moves=moves, limit_s=limit_s)


def begun(desk: Desk, kind: Kind, check: Callable[[Stalling], Verdict], *, retreat: bool = False) -> tuple[Engine, Stalling, list[Progress]]:
    """An engine in PROVISIONING with one step, whose pushes of *kind* stall while one monitor is asked."""
    repository, told = Stalling(desk, kind), list[Progress]()
    journal = Journal(repository, MemoryCheckpoint(desk.disk), desk.clock, GROUP, ANN)
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=State.PROVISIONING))
    monitor = Monitor("link", lambda world: check(repository))
    steps = (Plain("provisioning.back"),) if retreat else ()
    engine = desk.engine(journal, Plain("provisioning.one"), monitors=(monitor,), retreat=steps)
    engine.lookout = replace(engine.lookout, aside=in_a_thread)
    engine.talk = told.append
    return engine, repository, told


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.DONE])
def test_the_monitors_are_asked_while_a_push_gets_no_answer(kind: Kind) -> None:
    desk, seen = Desk(), list[str]()

    def check(repository: Stalling) -> Verdict:
        if repository.stalled.is_set():
            seen.append("looked")
            desk.clock.pass_by(6)
            if len(seen) == 3:
                repository.answers.set()
        return opened("up")

    engine, _, told = begun(desk, kind, check)
    progress = list(engine.drive())
    assert progress[-1].mark is Mark.END
    assert len(seen) >= 3
    assert [one.text for one in told if "has not answered for 10 s" in one.text], told


def test_what_a_monitor_finds_is_said_at_once_and_done_when_the_push_has_ended() -> None:
    desk = Desk()
    engine, repository, told = begun(desk, Kind.DONE, lambda repository: failed("down") if repository.stalled.is_set() else opened("up"), retreat=True)

    def heard(progress: Progress) -> None:
        told.append(progress)
        if "waits for it" in progress.text:
            repository.answers.set()

    engine.talk = heard
    with pytest.raises(StoppedSafe, match="link"):
        list(engine.drive())
    assert engine.lookout.journal.standing.lock is None
    assert [one.step for one in engine.lookout.journal.records if one.kind is Kind.DONE] == ["provisioning.one", "provisioning.back"]


def test_a_lock_that_was_lost_meanwhile_outweighs_what_a_monitor_found() -> None:
    desk = Desk()

    def check(repository: Stalling) -> Verdict:
        if not repository.stalled.is_set():
            return opened("up")
        if not repository.answers.is_set():
            theirs = desk.journal(BOB)
            theirs.refresh()
            found = theirs.standing.lock
            lock.take(theirs, over=found.id if found else "")
        return failed("down")

    engine, repository, _ = begun(desk, Kind.DONE, check)
    engine.world = replace(engine.world, policy=replace(engine.world.policy, link_failures=1))

    def heard(progress: Progress) -> None:
        if "waits for it" in progress.text:
            repository.answers.set()

    engine.talk = heard
    with pytest.raises(LockLost, match="bob@two"):
        list(engine.drive())
