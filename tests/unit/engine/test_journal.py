"""The pen of one holder: Git first, the checkpoint second, no two records alike."""

from __future__ import annotations

import pytest

from bennu.core.record import Kind
from bennu.core.states import Direction, State, Status
from bennu.engine import lock
from bennu.engine.journal import Entry
from bennu.errors import DependencyDown, StoppedSafe
from bennu.ports.repository import Change, Edit
from tests.unit.engine.desk import GROUP, OPENING, Desk


def test_a_record_keeps_state_status_and_direction_unless_it_says_otherwise() -> None:
    journal = Desk().journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=State.PROVISIONING, status=Status.PAUSED, direction=Direction.ROLLBACK))
    journal.append(Entry(Kind.FACT, data={"a": "1"}))
    last = journal.records[-1]
    assert (last.state, last.status, last.direction) == (State.PROVISIONING, Status.PAUSED, Direction.ROLLBACK)
    assert journal.standing.facts == {"a": "1"}


def test_no_two_records_are_alike() -> None:
    journal = Desk().journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.HEARTBEAT), Entry(Kind.HEARTBEAT))
    assert len({record.nonce for record in journal.records}) == len(journal.records)


def test_a_commit_and_its_record_arrive_together() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    commit = journal.append(Entry(Kind.FACT), change=Change((Edit("clusters/a.yaml", "a: 1\n"),), "Change a file\n"))
    assert desk.remote.history[-1].commit.id == commit
    assert desk.remote.journals[str(GROUP)][-1].on == commit


def test_the_checkpoint_has_what_git_has() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    tip, _ = desk.disk.files[str(GROUP)]
    assert tip == journal.tip == desk.remote.tip(GROUP)


def test_a_push_that_fails_leaves_the_checkpoint_behind_git_never_ahead() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    before = dict(desk.disk.files), journal.records
    desk.remote.down = True
    with pytest.raises(DependencyDown):
        journal.append(Entry(Kind.FACT))
    assert (dict(desk.disk.files), journal.records) == before


@pytest.mark.parametrize(("state", "stops"), [(State.DATA_SYNCING, True), (State.SWITCHOVER_LOCKED, False), (State.PROMOTED, True)])
def test_a_full_disk_stops_everything_but_the_switchover(state: State, stops: bool) -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=state))
    desk.disk.full = True
    if stops:
        with pytest.raises(StoppedSafe, match="No space"):
            journal.append(Entry(Kind.INTENT, step="a"))
    else:
        journal.append(Entry(Kind.INTENT, step="a"))
    assert journal.records[-1].kind is Kind.INTENT


def test_a_second_journal_reads_what_the_first_wrote() -> None:
    desk = Desk()
    first = desk.journal()
    lock.begin(first, OPENING)
    second = desk.journal()
    second.refresh()
    assert (second.rotation, second.tip, second.records) == (first.rotation, first.tip, first.records)
    assert second.reachable()
    desk.remote.down = True
    assert not second.reachable()
