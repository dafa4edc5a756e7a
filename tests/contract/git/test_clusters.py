"""The contract of clusters' refs: moved by compare-and-swap, in the very push that moves the group's journal, or not at all. On real Git and in memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bennu.core.record import Kind
from bennu.errors import BennuError, ClusterHeld, DependencyDown, LockLost
from bennu.ports.repository import Change, Claim, Edit, Move, Repository
from tests.contract.git.grounds import GROUP, OTHER, Ground, ground, record
from tests.contract.git.remotes import Bare, repository

UID, ANOTHER = "0b3f6a1e-7c55-4c11-9f0e-6d1f7d4a0c11", "uid-green"
EDIT = Change((Edit("clusters/prod/us-east-1/new.yaml", "a: 1\n"),), "Pin\n\nBennu-Step: x\n")


def claim(cluster: str = UID, group: object = GROUP, lock: str = "lock-1") -> Claim:
    return Claim(cluster, group, lock, "ann@one", "2026-01-01T00:00:00.000+00:00")  # type: ignore[arg-type]


def taken(laptop: Repository, *moves: Move, change: Change | None = None) -> str:
    """A push of one record with *moves*; the journal's new tip."""
    laptop.fetch()
    return laptop.advance(GROUP, laptop.journal(GROUP).tip, [record(kind=Kind.LOCK)], change, moves=moves).tip


def test_a_cluster_is_taken_and_let_go_of_with_the_journal(place: Ground) -> None:
    ours, theirs = place.laptop(), place.laptop()
    assert theirs.claims() == {}
    tip = taken(ours, Move(UID, "", claim()), Move(ANOTHER, "", claim(ANOTHER)))
    assert place.journal_tip(GROUP) == tip
    found = theirs.claims()
    assert {cluster: one.claim for cluster, one in found.items()} == {UID: claim(), ANOTHER: claim(ANOTHER)}
    assert ours.claims() == found
    taken(ours, Move(UID, found[UID].tip, claim(lock="lock-2")), Move(ANOTHER, found[ANOTHER].tip, None))
    after = theirs.claims()
    assert {cluster: one.claim for cluster, one in after.items()} == {UID: claim(lock="lock-2")}
    taken(ours, Move(UID, after[UID].tip, None))
    assert theirs.claims() == {}


@pytest.mark.parametrize("move", [Move(UID, "", claim()), Move(UID, "a" * 40, claim()), Move(UID, "a" * 40, None)])
def test_a_ref_that_is_not_as_it_was_seen_stops_the_whole_push(place: Ground, move: Move) -> None:
    theirs, ours = place.laptop(), place.laptop()
    theirs.fetch()
    theirs.advance(OTHER, "", [record()], moves=[Move(UID, "", claim(group=OTHER))])
    commits, tip = place.commits(), place.journal_tip(GROUP)
    with pytest.raises(ClusterHeld, match=UID):
        taken(ours, move, change=EDIT)
    assert (place.commits(), place.journal_tip(GROUP)) == (commits, tip)
    assert {one.claim for one in ours.claims().values()} == {claim(group=OTHER)}
    taken(ours, change=EDIT)
    assert place.content(EDIT.edits[0].path) == "a: 1\n"


def test_a_lost_lock_takes_no_cluster(place: Ground) -> None:
    ours, theirs = place.laptop(), place.laptop()
    ours.fetch()
    seen = ours.journal(GROUP).tip
    taken(theirs)
    with pytest.raises(LockLost):
        ours.advance(GROUP, seen, [record()], moves=[Move(UID, "", claim())])
    assert theirs.claims() == {}


def test_the_commit_that_pins_a_cluster_takes_it(place: Ground) -> None:
    ours = place.laptop()
    taken(ours, Move(UID, "", claim()), change=EDIT)
    assert place.content(EDIT.edits[0].path) == "a: 1\n"
    assert [one.claim for one in place.laptop().claims().values()] == [claim()]


def test_a_colleagues_commit_does_not_stop_it(place: Ground) -> None:
    ours = place.laptop()
    ours.fetch()
    place.before_next_push(ours, lambda: place.colleague("Something else", {"docs/a.md": "a\n"}))
    ours.advance(GROUP, "", [record()], EDIT, moves=[Move(UID, "", claim())])
    assert [one.claim for one in place.laptop().claims().values()] == [claim()]


def test_a_push_whose_answer_is_lost_has_taken_it(place: Ground) -> None:
    ours = place.laptop()
    place.lose_answer()
    taken(ours, Move(UID, "", claim()))
    assert [one.claim for one in ours.claims().values()] == [claim()]


def test_while_the_remote_is_down_nobody_says_that_a_cluster_is_free(place: Ground) -> None:
    ours = place.laptop()
    taken(ours, Move(UID, "", claim()))
    place.down()
    with pytest.raises(DependencyDown):
        ours.claims()
    place.up()
    assert UID in ours.claims()


def test_whoever_reads_the_claims_sees_the_lock_that_they_name(place: Ground) -> None:
    ours, theirs = place.laptop(), place.laptop()
    theirs.fetch()
    lock = record(kind=Kind.LOCK)
    ours.fetch()
    ours.advance(GROUP, "", [lock], moves=[Move(UID, "", claim(lock=lock.nonce))])
    theirs.claims()
    assert [one.nonce for one in theirs.journal(GROUP).records] == [lock.nonce]


@pytest.mark.parametrize("name", ["", "../heads/main", "a/b", "-oProxyCommand=x", "a b", "a\nb", "a" * 64, "x.lock", "probe-1", "ü"])
def test_what_is_no_uid_is_no_ref(place: Ground, name: str) -> None:
    ours = place.laptop()
    with pytest.raises(BennuError, match="no UID"):
        taken(ours, Move(name, "", claim(name)))
    assert place.journal_tip(GROUP) == ""


def test_what_nobody_of_ours_wrote_is_seen_and_says_nothing(place: Ground) -> None:
    place.scribble(UID)
    found = place.laptop().claims()
    assert (list(found), found[UID].claim) == ([UID], None)
    ours = place.laptop()
    taken(ours, Move(UID, found[UID].tip, claim()))
    assert [one.claim for one in ours.claims().values()] == [claim()]


@pytest.mark.parametrize("kind", ["memory", "path", "http"])
def test_of_eight_groups_exactly_one_takes_a_cluster(kind: str, tmp_path: Path) -> None:
    from bennu.core.clusters import Group

    with ground(kind, tmp_path) as place:
        groups = [Group("prod", f"region-{number}") for number in range(8)]
        laptops = [place.laptop() for _ in groups]
        for laptop in laptops:
            laptop.fetch()
        barrier, won, lost = threading.Barrier(len(groups)), [], []

        def contend(group: Group, laptop: Repository) -> None:
            barrier.wait(30)
            try:
                laptop.advance(group, "", [record()], moves=[Move(UID, "", claim(group=group))])
                won.append(group)
            except ClusterHeld:
                lost.append(group)

        threads = [threading.Thread(target=contend, args=pair) for pair in zip(groups, laptops, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(won), len(lost)) == (1, 7)
        assert [one.claim.group for one in laptops[0].claims().values() if one.claim] == won
        assert [group for group in groups if place.journal_tip(group)] == won


def test_a_host_that_refuses_these_refs_alone_is_found_out_beforehand_and_named(bare: Bare, tmp_path: Path) -> None:
    bare.hook("update", 'case "$1" in refs/notes/bennu-clusters/*) echo "only Bennu journals here" >&2; exit 1;; esac')
    laptop = repository(tmp_path / "laptop", str(bare.path))
    laptop.fetch()
    words = laptop.probe_notes(GROUP)
    assert "refs/notes/bennu-clusters/*: [remote rejected] (hook declined)" in words
    assert "only Bennu journals here" in words
    assert bare.tip("refs/notes/") == ""
    with pytest.raises(BennuError, match=r"rejected by the host's rules: refs/notes/bennu-clusters/\*: .*hook declined"):
        taken(laptop, Move(UID, "", claim()))
    bare.unhook("update")
    assert laptop.probe_notes(GROUP) == ""
    assert bare.tip("refs/notes/") == ""
