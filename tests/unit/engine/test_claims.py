"""One rotation a cluster: two groups whose settings lead to the same one, and what a crash, a take-over and a release leave of the first one's claim."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour, Group
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry, Journal
from bennu.errors import ClusterHeld, DependencyDown, UsageError
from bennu.ports.repository import Claim, Claimed
from tests.unit.engine.desk import ANN, BOB, GROUP, Desk

WEST = Group("prod", "us-west-2")
SHARED, OWN = "uid-shared", "uid-own"


def opening(*clusters: str) -> lock.Opening:
    return lock.Opening(Colour.BLUE, Colour.GREEN, clusters=clusters)


def begun(desk: Desk, *clusters: str, state: State = State.PROVISIONING) -> Journal:
    journal = desk.journal()
    lock.begin(journal, opening(*clusters))
    journal.append(Entry(Kind.STATE, state=state))
    return journal


def held(desk: Desk) -> dict[str, tuple[str, str]]:
    """Cluster → group and lock."""
    return {cluster: (str(one.claim.group), one.claim.lock) for cluster, one in desk.remote.claims.items() if one.claim is not None}


def test_the_loser_is_told_which_group_holds_the_cluster_who_since_when_and_what_to_do() -> None:
    desk = Desk()
    first = begun(desk, SHARED, OWN)
    west = desk.journal(BOB, WEST)
    with pytest.raises(ClusterHeld) as refused:
        lock.begin(west, opening("uid-west", SHARED))
    assert refused.value.code == 4
    held_by, since = first.lock_id, first.standing.lock.since if first.standing.lock else ""
    words = f"(UID {SHARED}) is held by {GROUP}: rotation prod-us-east-1-1 in PROVISIONING, by {ANN.name} since {since} (lock {held_by})"
    assert words in refused.value.message
    assert f"'bennu rotate status --group {GROUP}'" in refused.value.next_step
    assert f"--take-over {held_by}" in refused.value.next_step
    assert (str(WEST) in desk.remote.journals, set(held(desk))) == (False, {SHARED, OWN})


def test_what_the_lock_held_goes_with_its_release_and_comes_back_with_the_next_one() -> None:
    desk = Desk()
    journal = begun(desk, SHARED, OWN)
    lock.release(journal)
    assert desk.remote.claims == {}
    lock.take(journal, clusters=(SHARED,))
    assert held(desk) == {SHARED: (str(GROUP), journal.lock_id)}
    lock.release(journal)
    lock.begin(desk.journal(BOB, WEST), opening(SHARED))
    with pytest.raises(ClusterHeld, match=f"is held by {WEST}"):
        lock.take(desk.journal(), clusters=(SHARED,))
    assert journal.standing.lock is None


def test_a_cluster_that_becomes_known_is_taken_with_the_commit_that_pins_it() -> None:
    desk = Desk()
    journal = begun(desk, OWN)
    journal.append(Entry(Kind.FACT), clusters=(SHARED,))
    assert held(desk) == {OWN: (str(GROUP), journal.lock_id), SHARED: (str(GROUP), journal.lock_id)}
    before = dict(desk.remote.claims)
    journal.append(Entry(Kind.FACT), clusters=(SHARED,))  # a second time, after a kill: it stands
    assert desk.remote.claims == before
    west = desk.journal(BOB, WEST)
    lock.begin(west, opening("uid-west"))
    tip = west.tip
    with pytest.raises(ClusterHeld):
        west.append(Entry(Kind.FACT), clusters=(SHARED,))
    assert west.tip == desk.remote.tip(WEST) == tip
    lock.release(west)


def test_a_dead_holder_holds_its_clusters_until_it_is_taken_over_and_then_the_new_lock_does() -> None:
    desk = Desk()
    old = begun(desk, SHARED, "uid-no-longer-pinned")
    with pytest.raises(ClusterHeld, match=old.lock_id):
        lock.begin(desk.journal(BOB, WEST), opening(SHARED))
    heir = desk.journal(BOB)
    lock.take(heir, over=old.lock_id, clusters=(SHARED,))
    assert heir.lock_id != old.lock_id
    assert held(desk) == {SHARED: (str(GROUP), heir.lock_id)}
    with pytest.raises(ClusterHeld, match=heir.lock_id):
        lock.begin(desk.journal(BOB, WEST), opening(SHARED))


@pytest.mark.parametrize("taken_again", [False, True])
def test_a_claim_whose_lock_was_let_go_of_is_taken(taken_again: bool) -> None:
    desk = Desk()
    journal = begun(desk, SHARED)
    left = dict(desk.remote.claims)
    lock.release(journal)
    if taken_again:
        lock.take(journal)
    desk.remote.claims = left  # as who released by hand, or with another Bennu, leaves it
    west = desk.journal(BOB, WEST)
    lock.begin(west, opening(SHARED))
    assert held(desk) == {SHARED: (str(WEST), west.lock_id)}


def test_a_claim_that_names_a_lock_which_nobody_knows_is_believed() -> None:
    desk = Desk()
    begun(desk)
    desk.remote.claims[SHARED] = Claimed(
        "tip", Claim(SHARED, GROUP, "0123456789abcdef", "eve@four", "2026-01-01T00:00:00+00:00"), f"refs/notes/bennu-clusters/{SHARED}"
    )
    with pytest.raises(ClusterHeld, match=r"a lock that its journal does not have \(yet\)") as refused:
        lock.begin(desk.journal(BOB, WEST), opening(SHARED))
    assert f"git push <remote> :refs/notes/bennu-clusters/{SHARED}" in refused.value.next_step


def test_a_claim_that_says_nothing_is_believed_too() -> None:
    desk = Desk()
    desk.remote.claims[SHARED] = Claimed("tip", None, f"refs/notes/bennu-clusters/{SHARED}")
    with pytest.raises(ClusterHeld, match="says nothing that Bennu wrote") as refused:
        lock.begin(desk.journal(), opening(SHARED))
    assert f":refs/notes/bennu-clusters/{SHARED}" in refused.value.next_step
    lock.begin(desk.journal(), opening(OWN))


def test_of_two_groups_that_saw_the_cluster_free_one_loses_and_is_told_who_won() -> None:
    desk = Desk()
    desk.remote.before_push.append(lambda: (lock.begin(desk.journal(), opening(SHARED)), None)[1])
    with pytest.raises(ClusterHeld, match=f"is held by {GROUP}"):
        lock.begin(desk.journal(BOB, WEST), opening(SHARED))
    assert str(WEST) not in desk.remote.journals


def test_a_claim_that_goes_while_it_is_judged_stale_is_looked_at_anew() -> None:
    desk = Desk()
    journal = begun(desk, SHARED)
    left = dict(desk.remote.claims)
    lock.release(journal)
    desk.remote.claims = left
    desk.remote.before_push.append(desk.remote.claims.clear)
    west = desk.journal(BOB, WEST)
    lock.begin(west, opening(SHARED))
    assert held(desk) == {SHARED: (str(WEST), west.lock_id)}


def test_a_push_that_arrived_unheard_has_the_cluster_and_is_not_made_again() -> None:
    desk = Desk()
    journal = begun(desk, OWN)
    desk.remote.lost_answers, desk.remote.dies_then = 1, True
    with pytest.raises(DependencyDown):
        journal.append(Entry(Kind.FACT), clusters=(SHARED,))
    desk.remote.down = False
    records = len(desk.remote.journals[str(GROUP)])
    journal.append(Entry(Kind.FACT), clusters=(SHARED,))
    assert held(desk)[SHARED] == (str(GROUP), journal.lock_id)
    assert len(desk.remote.journals[str(GROUP)]) == records
    lock.release(journal)
    assert desk.remote.claims == {}


def test_a_pin_that_is_no_uid_takes_no_lock() -> None:
    desk = Desk()
    with pytest.raises(UsageError, match="is no UID"):
        lock.begin(desk.journal(), opening("../../heads/main"))
    assert desk.remote.journals == {}
