"""The pen of one holder: Git first, the checkpoint second, no two records alike."""

from __future__ import annotations

import pytest

from bennu.core.record import Kind
from bennu.core.states import Direction, State, Status
from bennu.engine import lock
from bennu.engine.journal import Entry, Journal, Uncopied
from bennu.errors import DependencyDown, StoppedSafe
from bennu.ports.checkpoint import Copy
from bennu.ports.repository import Change, Edit
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.memory_repository import MemoryRepository
from tests.unit.engine.desk import BOB, GROUP, OPENING, Desk


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


@pytest.mark.parametrize(
    ("state", "stops"), [(State.DATA_SYNCING, True), (State.SWITCHOVER_LOCKED, True), (State.SWITCHOVER_LOCKED, False), (State.PROMOTED, True)]
)
def test_a_full_disk_stops_everything_but_an_announced_switchover(state: State, stops: bool) -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=state))
    if not stops:
        journal.append(Entry(Kind.INTENT, data={"intent.open": "true"}))
    desk.disk.full = True
    if stops:
        with pytest.raises(Uncopied, match="No space") as stopped:
            journal.append(Entry(Kind.INTENT, step="a"))
        assert stopped.value.code == 5
        assert journal.told == []
    else:
        journal.append(Entry(Kind.INTENT, step="a"))
        assert journal.told == ["the checkpoint cannot be written: No space left on device; the switchover goes on, with the journal in Git alone"]
    assert journal.records[-1].kind is Kind.INTENT
    # What is written on the way out is not held up a second time.
    lock.release(journal)
    assert len(journal.told) == (0 if stops else 1)
    assert journal.standing.lock is None


def test_a_full_disk_is_found_before_the_lock_is_taken() -> None:
    desk = Desk()
    desk.disk.full = True
    with pytest.raises(StoppedSafe, match="No space"):
        lock.begin(desk.journal(), OPENING)
    assert desk.remote.tip(GROUP) == ""


def test_a_disk_that_fills_up_as_the_lock_is_taken_leaves_none_behind() -> None:
    desk = Desk()
    journal = desk.journal()
    desk.disk.takes = 1
    with pytest.raises(StoppedSafe, match="No space") as stopped:
        lock.begin(journal, OPENING)
    assert "its lock let go of again" in stopped.value.changed
    assert journal.standing.lock is None
    desk.disk.takes = 100
    assert lock.take(desk.journal()).lock is not None


def test_a_damaged_checkpoint_is_said_and_made_anew_from_git() -> None:
    desk = Desk()
    lock.begin(desk.journal(), OPENING)
    desk.disk.damaged = "its checksum does not fit"
    journal = desk.journal()
    lock.take(journal)
    assert journal.told == ["the checkpoint of prod/us-east-1 on this machine was damaged (its checksum does not fit): it is made anew from Git"]
    assert desk.disk.files[str(GROUP)][0] == journal.tip


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


def locked_and_silent() -> Desk:
    """A desk whose holder died in S6, with one thing that Git has not heard of, and the release neither."""
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=State.SWITCHOVER_LOCKED))
    desk.remote.down = True
    with pytest.raises(DependencyDown):
        journal.append(Entry(Kind.DONE, step="a", data={"figure": "7"}), Entry(Kind.RELEASE))
    desk.remote.down = False
    return desk


def test_what_only_the_checkpoint_has_is_pushed_before_the_lock_that_is_taken() -> None:
    desk = locked_and_silent()
    journal = desk.journal()
    standing = lock.take(journal)
    assert [one.kind for one in journal.records[-2:]] == [Kind.DONE, Kind.LOCK]
    assert (standing.facts["figure"], standing.lock is not None) == ("7", True)
    assert journal.told == ["1 of the journal's records were on this machine alone, since Git was silent; it has them now"]
    assert MemoryCheckpoint(desk.disk).load(GROUP) == Copy(journal.tip, tuple(journal.records))


def test_what_only_the_checkpoint_has_outlives_a_resume_that_does_not_get_through() -> None:
    desk = locked_and_silent()
    journal = desk.journal()
    desk.remote.before_push.append(lambda: setattr(desk.remote, "down", True))
    with pytest.raises(DependencyDown):
        lock.take(journal)
    desk.remote.down = False
    assert lock.take(desk.journal()).facts["figure"] == "7"


def test_what_only_the_checkpoint_has_is_dropped_where_git_has_gone_on() -> None:
    desk = locked_and_silent()
    theirs = Journal(MemoryRepository(desk.remote), MemoryCheckpoint(MemoryDisk()), desk.clock, GROUP, BOB)
    theirs.refresh()
    found = theirs.standing.lock
    lock.take(theirs, over=found.id if found else "")
    lock.release(theirs)
    journal = desk.journal()
    assert "figure" not in lock.take(journal).facts
    assert journal.told == []


def test_no_heartbeat_gets_in_between_what_the_run_could_not_push_and_its_next_try() -> None:
    desk = Desk()
    journal = desk.journal()
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=State.SWITCHOVER_LOCKED))
    done = Entry(Kind.DONE, step="a")
    desk.remote.down = True
    with pytest.raises(DependencyDown):
        journal.append(done)
    desk.remote.down = False
    kept = MemoryCheckpoint(desk.disk).load(GROUP)
    assert not journal.beside(Entry(Kind.HEARTBEAT), limit_s=1)
    assert MemoryCheckpoint(desk.disk).load(GROUP) == kept
    journal.append(done)
    assert journal.beside(Entry(Kind.HEARTBEAT), limit_s=1)
