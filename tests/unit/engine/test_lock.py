"""Taking the group: who may, and what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.requests import owed
from bennu.core.states import Direction, State
from bennu.engine import lock
from bennu.engine.journal import Entry, Holder, Journal
from bennu.engine.lock import Patience
from bennu.errors import BennuError, DependencyDown, GateRefused, LockHeld, LockLost
from tests.unit.engine.desk import ANN, BOB, GROUP, OPENING, Desk

WAITS = Patience(heartbeat_s=10, poll_s=1)
FORCED = replace(WAITS, force=True)


def driving(desk: Desk, holder: Holder = ANN, state: State = State.TRAFFIC_CANARY, step: str = "traffic-canary.weight-20") -> Journal:
    """A holder in the middle of a step."""
    journal = desk.journal(holder)
    lock.begin(journal, OPENING)
    journal.append(Entry(Kind.STATE, state=state))
    journal.append(Entry(Kind.INTENT, step=step))
    return journal


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
    with pytest.raises(LockHeld, match=r"somebody else was first: .*held by ann@one .*lock "):
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


def test_the_second_one_is_told_who_since_when_last_seen_where_and_what_to_type() -> None:
    desk = Desk()
    ann = driving(desk, Holder("ann@one", 4711, "0a1b2c"))
    ann.append(Entry(Kind.HEARTBEAT, data={"awaiting": "20 % of the traffic"}))
    desk.clock.sleep_laptop(90)
    with pytest.raises(LockHeld) as refused:
        lock.take(desk.journal(BOB))
    told = refused.value.message
    for part in (
        "rotation prod-us-east-1-1", "TRAFFIC_CANARY (running), at traffic-canary.weight-20", "ann@one (machine 0a1b2c, pid 4711)", "since 2026-01-01T00:00:00.000+00:00",
        "(90 s ago, if both clocks are right, awaiting 20 % of the traffic)", f"lock {ann.lock_id}",
    ):  # fmt: skip
        assert part in told, told
    assert f"rotate resume --take-over {ann.lock_id}" in refused.value.next_step
    assert f"bennu unlock {ann.lock_id}" in refused.value.next_step
    assert refused.value.code == 4


def test_another_machine_of_the_same_name_is_another_machine() -> None:
    desk = Desk()
    lock.begin(desk.journal(Holder("ann@one", 1, "aaaa")), OPENING)
    with pytest.raises(LockHeld, match=r"ann@one \(machine aaaa, pid 1\)"):
        lock.take(desk.journal(Holder("ann@one", 1, "bbbb")))
    assert lock.take(desk.journal(Holder("ann@one", 2, "aaaa"))).epoch == 2


def test_a_lock_of_an_older_bennu_names_no_machine_and_is_known_by_its_holders_name() -> None:
    desk = Desk()
    lock.begin(desk.journal(), OPENING)
    assert lock.take(desk.journal(replace(ANN, machine="aaaa"))).epoch == 2


@pytest.mark.parametrize("taker", [ANN, BOB])
def test_a_lock_that_is_not_the_present_one_is_not_taken_over_by_force_or_otherwise(taker: Holder) -> None:
    desk = Desk()
    ann = driving(desk)
    with pytest.raises(LockHeld, match="0123456789abcdef is not the present lock: the group is held by ann@one"):
        lock.take(desk.journal(taker), over="0123456789abcdef", patience=FORCED)
    lock.release(ann)
    with pytest.raises(LockHeld, match=f"nobody holds prod/us-east-1: there is no lock {ann.lock_id} to take") as refused:
        lock.take(desk.journal(taker), over=ann.lock_id, patience=FORCED)
    assert "'bennu rotate resume' goes on with it, without a lock's id" in refused.value.next_step
    assert refused.value.code == 4


def test_a_young_heartbeat_refuses_a_take_over_and_says_how_old_it_is() -> None:
    desk = Desk()
    ann = driving(desk)
    bob = desk.journal(BOB)
    desk.clock.sleep_laptop(7)
    with pytest.raises(LockHeld, match=r"the last heartbeat of ann@one \(pid 1\) is young: 7 s ago, if both clocks are right") as refused:
        lock.take(bob, over=ann.lock_id, patience=WAITS)
    assert "type it again in 20 s; --force will take it over now" in refused.value.next_step
    assert desk.clock.boot() == 1007.0, "it is refused at once"
    assert lock.take(desk.journal(BOB), over=ann.lock_id, patience=FORCED).epoch == 2


def test_what_was_refused_is_done_once_the_journal_stood_still_for_two_heartbeats() -> None:
    desk = Desk()
    ann = driving(desk)
    with pytest.raises(LockHeld):
        lock.take(desk.journal(BOB), over=ann.lock_id, patience=WAITS)
    desk.clock.sleep_laptop(20)
    assert lock.take(desk.journal(BOB), over=ann.lock_id, patience=WAITS).epoch == 2
    assert desk.clock.boot() == 1020.0, "what an earlier command of this machine saw counts"
    with pytest.raises(LockLost, match=r"was taken over by bob@two at 2026-01-01T00:00:20.* epoch 2\)"):
        ann.append(Entry(Kind.HEARTBEAT))


@pytest.mark.parametrize("skew_s", [-3600.0, 3600.0])
def test_a_dead_holder_whose_clock_was_wrong_is_watched_and_taken_over(skew_s: float) -> None:
    desk = Desk()
    ann = driving(desk)
    desk.clock.jump(skew_s)
    said: list[str] = []
    assert lock.take(desk.journal(BOB), over=ann.lock_id, patience=replace(WAITS, tell=said.append)).epoch == 2
    assert desk.clock.boot() == 1020.0
    assert said == ["watching for 20 s whether ann@one still writes; its last heartbeat is 2026-01-01T00:00:00.000+00:00 by its own clock"]


def beats(journal: Journal) -> Callable[[], None]:
    def beat() -> None:
        journal.append(Entry(Kind.HEARTBEAT))

    return beat


@pytest.mark.parametrize("skew_s", [-3600.0, 3600.0])
def test_a_living_holder_whose_clock_is_wrong_is_seen_to_write(skew_s: float) -> None:
    desk = Desk()
    ann = driving(desk)
    desk.clock.jump(skew_s)
    desk.clock.after(15, beats(ann))
    with pytest.raises(LockHeld, match=r"ann@one \(pid 1\) lives: it wrote while this machine watched") as refused:
        lock.take(desk.journal(BOB), over=ann.lock_id, patience=WAITS)
    assert refused.value.code == 4
    ann.append(Entry(Kind.HEARTBEAT))


def test_a_holder_that_writes_in_the_very_moment_of_the_take_over_keeps_its_lock() -> None:
    desk = Desk()
    ann = driving(desk)
    desk.remote.before_push.append(beats(ann))
    with pytest.raises(LockHeld, match=r"somebody else was first: .*held by ann@one"):
        lock.take(desk.journal(BOB), over=ann.lock_id, patience=FORCED)
    ann.append(Entry(Kind.HEARTBEAT))


def test_a_signal_ends_the_watch_and_nothing_was_changed() -> None:
    desk = Desk()
    ann = driving(desk)
    desk.clock.sleep_laptop(600)

    def signalled() -> None:
        raise BennuError("^C")

    with pytest.raises(BennuError, match=r"\^C"):
        lock.take(desk.journal(BOB), over=ann.lock_id, patience=replace(WAITS, look=signalled))
    ann.append(Entry(Kind.HEARTBEAT))


def unlocked(desk: Desk, over: str, patience: Patience = WAITS, holder: Holder = BOB) -> None:
    journal = desk.journal(holder)
    lock.unlock(journal, lock.unlockable(journal, over, patience), forced=patience.force)


def test_unlocking_lets_go_of_a_dead_holders_lock_fences_it_and_says_who_did_it() -> None:
    desk = Desk()
    ann = driving(desk)
    desk.clock.sleep_laptop(600)
    unlocked(desk, ann.lock_id)
    bob = desk.journal(BOB)
    standing = lock.fresh(bob)
    assert (standing.lock, standing.state, standing.intent, standing.epoch) == (None, State.TRAFFIC_CANARY, "traffic-canary.weight-20", 2)
    assert [(one.kind, one.holder) for one in bob.records[-2:]] == [(Kind.LOCK, "bob@two"), (Kind.RELEASE, "bob@two")]
    assert bob.records[-1].data == {"unlocked": ann.lock_id}
    with pytest.raises(LockLost, match=r"was unlocked by bob@two at 2026-01-01T00:10:20"):
        ann.append(Entry(Kind.HEARTBEAT))
    assert lock.take(bob).epoch == 3


def test_unlocking_is_refused_while_the_heartbeat_is_young_and_done_by_force() -> None:
    desk = Desk()
    ann = driving(desk)
    with pytest.raises(LockHeld, match=r"the last heartbeat of ann@one .* is young: 0 s ago") as refused:
        unlocked(desk, ann.lock_id)
    assert "--force will unlock it now" in refused.value.next_step
    unlocked(desk, ann.lock_id, FORCED)
    assert lock.fresh(desk.journal()).lock is None


def test_our_own_machines_dead_process_is_unlocked_at_once() -> None:
    desk = Desk()
    ann = driving(desk)
    unlocked(desk, ann.lock_id, holder=ANN)
    assert (lock.fresh(desk.journal()).lock, desk.clock.boot()) == (None, 1000.0)


@pytest.mark.parametrize("direction", [Direction.FORWARD, Direction.REVERSE])
@pytest.mark.parametrize("patience", [WAITS, FORCED])
def test_a_hand_over_that_was_announced_is_for_a_resume_alone(direction: Direction, patience: Patience) -> None:
    desk = Desk()
    ann = driving(desk, state=State.SWITCHOVER_LOCKED)
    ann.append(Entry(Kind.INTENT, step="switchover-locked.hand-over", data={"intent.open": "true"}, direction=direction))
    desk.clock.sleep_laptop(600)
    with pytest.raises(GateRefused, match="a hand-over of the write authority was announced") as refused:
        unlocked(desk, ann.lock_id, patience)
    assert f"rotate resume --take-over {ann.lock_id}" in refused.value.next_step
    with pytest.raises(LockHeld) as second:
        lock.take(desk.journal(BOB))
    assert "unlock" not in second.value.next_step
    ann.append(Entry(Kind.DONE, step="switchover-locked.hand-over", data={"intent.open": "false"}))
    desk.clock.sleep_laptop(600)
    unlocked(desk, ann.lock_id)


def test_a_holder_that_writes_while_a_human_thinks_is_not_unlocked() -> None:
    desk = Desk()
    ann, bob = driving(desk), desk.journal(BOB)
    desk.clock.sleep_laptop(600)
    found = lock.unlockable(bob, ann.lock_id, WAITS)
    ann.append(Entry(Kind.HEARTBEAT))
    with pytest.raises(LockHeld, match="somebody else was first"):
        lock.unlock(bob, found, forced=False)
    ann.append(Entry(Kind.HEARTBEAT))


def test_an_accepted_rollback_outlives_the_unlocking() -> None:
    desk = Desk()
    ann = driving(desk)
    ann.append(Entry(Kind.REQUEST, data={"verb": "rollback", "by": "carol@three", "id": "r1", "accepted": "true", "words": "rolling back"}))
    unlocked(desk, ann.lock_id, FORCED)
    bob = desk.journal(BOB)
    lock.take(bob)
    found = owed(bob.records)
    assert found is not None
    assert (found.verb, found.by) == ("rollback", "carol@three")
