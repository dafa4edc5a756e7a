"""The resume table: each row of the fault catalogue, and the ways to disaster that its rules close."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.switchover import (
    Intent,
    Server,
    Todo,
    decide,
    fence_suffices,
    may_attach,
    stray_bytes,
)

INTENT = Intent("A", "run-s", "run-t")
OPEN = Server(is_master=True, link_up=False, run_id="run-s", replid="A", replid2="", offset=100, second_offset=-1)
FENCED = replace(OPEN, is_master=False)
REPLICA = Server(is_master=False, link_up=True, run_id="run-t", replid="A", replid2="", offset=100, second_offset=-1)
PROMOTED = replace(REPLICA, is_master=True, link_up=False, replid="B", replid2="A", second_offset=101, offset=100)


def todo(source: Server | None, target: Server | None, *, named: bool = False, intent: Intent | None = INTENT) -> Todo:
    return decide(source, target, intent, named).todo


def test_an_open_master_with_its_replica_starts_again() -> None:
    assert todo(OPEN, REPLICA) is Todo.RETRY


def test_a_fenced_source_whose_offset_the_target_reached_means_promote() -> None:
    assert todo(FENCED, REPLICA) is Todo.PROMOTE
    assert todo(FENCED, replace(REPLICA, offset=140)) is Todo.PROMOTE


def test_a_fenced_source_whose_offset_the_target_missed_is_made_master_again() -> None:
    assert todo(FENCED, replace(REPLICA, offset=99)) is Todo.UNFENCE


def test_a_promoted_target_is_finished_whatever_the_pointer_says() -> None:
    assert todo(FENCED, PROMOTED) is Todo.FINISH
    assert todo(FENCED, PROMOTED, named=True) is Todo.FINISH


def test_two_masters_fence_the_source_first() -> None:
    assert todo(OPEN, PROMOTED) is Todo.FENCE_SOURCE


def test_a_target_that_came_back_as_replica_after_its_promotion_does_not_reopen_the_source() -> None:
    # Measured: roles alone said "not promoted yet", and 300 of 300 acknowledged writes were destroyed.
    restarted = replace(PROMOTED, is_master=False, run_id="run-t2")
    assert todo(FENCED, restarted, named=True) is not Todo.UNFENCE
    assert todo(replace(OPEN, replid="A"), replace(restarted, link_up=False), named=True) is Todo.OPERATOR


def test_a_target_with_a_replid_of_its_own_is_promoted_again_only_with_all_that_it_had() -> None:
    assert todo(FENCED, replace(PROMOTED, is_master=False)) is Todo.PROMOTE
    assert todo(FENCED, replace(PROMOTED, is_master=False, offset=99)) is Todo.OPERATOR


def test_a_target_that_follows_an_unparked_source_has_no_replid_of_its_own() -> None:
    source = replace(FENCED, replid="C", replid2="A")
    target = replace(REPLICA, replid="C", replid2="A", second_offset=101)
    assert todo(source, target) is Todo.UNFENCE


def test_a_source_that_restarted_and_forgot_its_history_does_not_make_the_targets_one_a_promotions() -> None:
    # The target may have inherited it from a fence that was taken back, and lack what the source acknowledged since.
    forgotten = replace(FENCED, run_id="run-s2", replid="C", offset=0)
    assert todo(forgotten, replace(PROMOTED, is_master=False)) is Todo.OPERATOR
    # Under the intent's history it was never anything but fenced.
    assert todo(replace(FENCED, run_id="run-s2"), replace(PROMOTED, is_master=False)) is Todo.PROMOTE


def test_a_target_restarted_unnamed_and_behind_is_an_operators_matter() -> None:
    assert todo(FENCED, replace(REPLICA, run_id="run-t2", offset=100)) is Todo.OPERATOR


def test_a_source_that_restarted_open_before_any_promotion_goes_back_to_the_canary() -> None:
    assert todo(replace(OPEN, run_id="run-s2", replid="Z"), REPLICA) is Todo.RETRY


def test_a_source_that_restarted_while_fenced_is_compared_only_within_one_history() -> None:
    restarted = replace(FENCED, run_id="run-s2")
    assert todo(restarted, REPLICA) is Todo.UNFENCE
    assert todo(replace(restarted, offset=10), REPLICA) is Todo.PROMOTE
    assert todo(replace(restarted, replid="random", offset=0), REPLICA) is Todo.OPERATOR


def test_unrelated_histories_are_never_compared_by_offset() -> None:
    assert todo(replace(FENCED, replid="X"), replace(REPLICA, replid="Y")) is Todo.DIVERGENT


def test_what_cannot_be_read_decides_nothing() -> None:
    assert todo(None, None) is Todo.UNREACHABLE
    assert todo(FENCED, None) is Todo.UNREACHABLE
    assert todo(OPEN, None, named=True) is Todo.UNREACHABLE


def test_an_open_source_with_a_dead_target_goes_on_alone_only_under_the_announced_history() -> None:
    assert todo(OPEN, None) is Todo.RETRY
    assert todo(replace(OPEN, replid="C"), None) is Todo.UNREACHABLE
    # Known where the fence was taken back before any promotion was sent.
    assert todo(replace(OPEN, replid="C"), None, intent=replace(INTENT, withdrawn="C")) is Todo.RETRY
    assert todo(replace(FENCED, replid="C"), None, intent=replace(INTENT, withdrawn="C")) is Todo.UNREACHABLE


def test_a_dead_source_is_finished_by_a_promoted_target_and_by_no_other() -> None:
    assert todo(None, PROMOTED) is Todo.FINISH
    assert todo(None, REPLICA) is Todo.OPERATOR


def test_without_an_intent_only_an_open_source_goes_on() -> None:
    assert todo(OPEN, REPLICA, intent=None) is Todo.RETRY
    assert todo(FENCED, REPLICA, intent=None) is Todo.OPERATOR
    assert todo(None, REPLICA, intent=None) is Todo.UNREACHABLE


def test_the_proved_offset_is_compared_as_at_least_never_as_equal() -> None:
    assert fence_suffices(100, 100)
    assert fence_suffices(114, 100)
    assert not fence_suffices(99, 100)


@pytest.mark.parametrize(("offset", "stray"), [(100, 0), (101, 1), (150, 50)])
def test_stray_bytes_are_exact_after_a_promotion(offset: int, stray: int) -> None:
    assert stray_bytes(replace(FENCED, offset=offset), PROMOTED) == stray


@pytest.mark.parametrize(("offset", "stray"), [(1000, 0), (1040, 40)])
def test_what_a_promoted_server_wrote_since_is_its_own(offset: int, stray: int) -> None:
    old = replace(FENCED, offset=1000)
    new = replace(old, is_master=True, replid="N", replid2=old.replid, second_offset=1001, offset=offset)
    assert stray_bytes(new, old) == stray
    # The old one stopped short of the fork: what it lacks of the common history counts as well.
    assert stray_bytes(new, replace(old, offset=990)) == stray + 10
    # Both were promoted out of one history.
    assert stray_bytes(new, replace(new, replid="M", second_offset=981)) == stray + 20


def test_stray_bytes_of_unrelated_histories_are_unknown() -> None:
    assert stray_bytes(replace(FENCED, replid="X"), PROMOTED) is None


def test_a_source_is_attached_only_where_no_byte_of_it_is_lost() -> None:
    assert may_attach(FENCED, PROMOTED, source_restarted=False)
    assert not may_attach(replace(FENCED, offset=101), PROMOTED, source_restarted=False)
    assert not may_attach(replace(FENCED, replid="X"), PROMOTED, source_restarted=False)
    assert may_attach(replace(FENCED, replid="X"), PROMOTED, source_restarted=True)
    assert not may_attach(replace(OPEN, replid="X"), PROMOTED, source_restarted=True)
