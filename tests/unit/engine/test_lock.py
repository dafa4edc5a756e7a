"""Taking the group: who may, and what is written."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry
from bennu.errors import DependencyDown, LockHeld, LockLost
from tests.unit.engine.desk import ANN, BOB, GROUP, OPENING, Desk


def test_a_beginning_opens_the_rotation_and_takes_the_lock_in_one_swap() -> None:
    desk = Desk()
    journal = desk.journal()
    assert str(lock.begin(journal, OPENING)) == "prod-us-east-1-1"
    standing = journal.standing
    assert (standing.source, standing.target, standing.ticket, standing.options) == (Colour.BLUE, Colour.GREEN, "CHG1", {"adopt": "true"})
    assert standing.lock is not None
    assert (standing.lock.holder, standing.lock.id, standing.epoch) == (ANN.name, journal.lock_id, 1)
    assert len(desk.remote.journals[str(GROUP)]) == 1


def test_of_two_that_begin_one_wins_and_the_other_is_told_who() -> None:
    desk = Desk()
    lock.begin(desk.journal(), OPENING)
    with pytest.raises(LockHeld, match=r"held by ann@one .*lock "):
        lock.begin(desk.journal(BOB), OPENING)


def test_of_two_that_saw_the_group_free_one_loses_the_swap() -> None:
    desk = Desk()
    late = desk.journal(BOB)
    lock.fresh(late)

    def first() -> None:
        lock.begin(desk.journal(), OPENING)

    desk.remote.before_push.append(first)
    with pytest.raises(LockLost):
        lock.begin(late, OPENING)


def test_an_open_rotation_is_not_begun_again_even_when_nobody_holds_it() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=State.PROVISIONING))
    lock.release(journal)
    with pytest.raises(LockHeld, match="is open in PROVISIONING") as refused:
        lock.begin(desk.journal(BOB), OPENING)
    assert "rotate resume" in refused.value.next_step


def test_our_own_machines_dead_process_is_taken_over_at_once() -> None:
    desk = Desk()
    lock.begin(desk.journal(), OPENING)
    journal = desk.journal()
    assert lock.take(journal).epoch == 2


def test_another_machines_holder_is_taken_over_by_its_locks_id_alone() -> None:
    desk = Desk()
    first = desk.journal()
    lock.begin(first, OPENING)
    with pytest.raises(LockHeld) as refused:
        lock.take(desk.journal(BOB))
    assert f"--take-over {first.lock_id}" in refused.value.next_step
    with pytest.raises(LockHeld):
        lock.take(desk.journal(BOB), over="0123456789abcdef")
    second = desk.journal(BOB)
    assert lock.take(second, over=first.lock_id).epoch == 2
    with pytest.raises(LockLost):
        first.append(Entry(Kind.HEARTBEAT))


def test_a_released_lock_is_free_for_anybody() -> None:
    desk = Desk()
    first = desk.journal()
    lock.begin(first, OPENING)
    lock.release(first)
    second = desk.journal(BOB)
    lock.take(second)
    assert second.standing.lock is not None
    assert second.standing.lock.holder == BOB.name


def test_nothing_is_begun_while_the_remote_is_silent() -> None:
    desk = Desk()
    journal = desk.journal()
    journal.refresh()
    desk.remote.down = True
    with pytest.raises(DependencyDown, match="Git remote does not answer"):
        lock.begin(journal, OPENING)
