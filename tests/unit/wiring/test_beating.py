"""The heartbeat's own thread, beside a step that takes long."""

from __future__ import annotations

from threading import Event

import pytest

from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry
from bennu.errors import LockLost
from bennu.phases.base import Effect, Pen, World
from bennu.wiring.watching import beating
from tests.unit.engine.desk import BOB, OPENING, Desk, Plain


class Long(Plain):
    """A step that takes a quarter of an hour, until somebody pushes."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("a.long")
        self.desk, self.came = desk, Event()

    def __deepcopy__(self, memo: dict[int, object]) -> Long:
        return self  # it remembers nothing of an attempt

    def act(self, world: World, pen: Pen) -> Effect:
        self.desk.remote.before_push.append(self.came.set)
        self.desk.clock.pass_by(900)
        assert self.came.wait(30), "nobody wrote a heartbeat"
        return super().act(world, pen)


def test_a_heartbeat_is_written_while_a_step_acts() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    step = Long(desk)
    with beating(desk.engine(journal, step)) as engine:
        list(engine.drive())
    beats = [one for one in journal.records if one.kind is Kind.HEARTBEAT and one.state is State.PROVISIONING]
    assert beats
    assert beats[0].data == {"awaiting": "a step"}


def test_a_lock_that_was_taken_over_ends_the_run_before_its_next_push() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    engine = desk.engine(journal)
    theirs = desk.journal(BOB)
    lock.take(theirs, over=journal.lock_id)
    told = Event()
    engine.talk = lambda progress: told.set()
    with beating(engine):
        desk.clock.pass_by(900)
        assert told.wait(30)
    before = desk.remote.journals.copy()
    with pytest.raises(LockLost, match="was taken over by bob@two"):
        engine.lookout.alarm.answer()
    assert desk.remote.journals == before
    theirs.append(Entry(Kind.HEARTBEAT))
