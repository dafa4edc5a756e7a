"""The resume table over every combination of what two servers, an intent and a pointer can say: no row gives a write away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest

from bennu.core.switchover import Decision, Intent, Server, Todo, decide, may_attach, stray_bytes

INTENT = Intent("A", "run-s", "run-t")
SOURCES = [
    Server(is_master, link_up=False, run_id=run, replid=replid, replid2=replid2, offset=offset, second_offset=101 if replid2 else -1)
    for is_master, run, (replid, replid2), offset in product(
        (True, False), ("run-s", "run-s2"), (("A", ""), ("C", "A"), ("B", "A"), ("X", "")), (0, 90, 100, 110)
    )
]
TARGETS = [
    Server(is_master, link_up=link, run_id=run, replid=replid, replid2=replid2, offset=offset, second_offset=101 if replid2 else -1)
    for is_master, link, run, (replid, replid2), offset in product(
        (True, False), (True, False), ("run-t", "run-t2"), (("A", ""), ("B", "A"), ("C", "A"), ("Y", "")), (0, 90, 100, 110)
    )
]


def _rows() -> Iterator[tuple[Server, Server, bool, Decision]]:
    for source, target, named in product(SOURCES, TARGETS, (True, False)):
        yield source, target, named, decide(source, target, INTENT, named)


ROWS = list(_rows())


def _restarted(target: Server) -> bool:
    return target.run_id != INTENT.target_run_id


def test_every_decision_but_the_unreachable_one_is_reached() -> None:
    told = Counter(decision.todo for *_, decision in ROWS)
    assert set(told) == set(Todo) - {Todo.UNREACHABLE}
    assert all(decision.why for *_, decision in ROWS)


def test_a_target_is_promoted_only_while_it_is_a_replica_of_a_fenced_source() -> None:
    assert all(not source.is_master and not target.is_master for source, target, _, d in ROWS if d.todo is Todo.PROMOTE)


def test_a_target_is_promoted_only_with_all_that_the_source_ever_acknowledged_or_that_it_had_itself() -> None:
    for source, target, _, decision in ROWS:
        if decision.todo is not Todo.PROMOTE:
            continue
        own = target.replid not in (INTENT.replid, source.replid) and target.replid2 == INTENT.replid
        if own:
            assert target.offset >= target.second_offset - 1
        else:
            assert target.replid == source.replid
            assert target.offset >= source.offset


def test_a_source_is_made_master_again_only_where_nobody_can_have_written_to_the_target() -> None:
    for source, target, named, decision in ROWS:
        if decision.todo is Todo.UNFENCE:
            assert not source.is_master
            assert not target.is_master
            assert not named
            assert not _restarted(target)
            assert target.replid == source.replid or target.replid2 != INTENT.replid


def test_a_source_that_lost_its_fence_goes_on_only_where_the_target_was_not_promoted() -> None:
    for source, target, named, decision in ROWS:
        if decision.todo is Todo.RETRY:
            assert source.is_master
            assert not target.is_master
            follows = target.replid == source.replid and target.link_up
            assert follows or not named


def test_two_masters_never_stay_two() -> None:
    for source, target, _, decision in ROWS:
        if source.is_master and target.is_master:
            assert decision.todo in (Todo.FENCE_SOURCE, Todo.DIVERGENT)


def test_a_switchover_is_finished_only_for_a_target_that_is_master_alone() -> None:
    assert all(target.is_master and not source.is_master for source, target, _, d in ROWS if d.todo is Todo.FINISH)


def test_nobody_writable_is_never_left_as_it_is() -> None:
    # Parked source, replica target: every row leads on, or to a human; none "retries" as if a master were there.
    left = {d.todo for source, target, _, d in ROWS if not source.is_master and not target.is_master}
    assert left == {Todo.PROMOTE, Todo.UNFENCE, Todo.OPERATOR, Todo.DIVERGENT}


def test_a_pointer_that_names_the_target_rules_the_way_back_out() -> None:
    assert not any(d.todo is Todo.UNFENCE for _, _, named, d in ROWS if named)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("target", TARGETS)
def test_a_source_that_cannot_be_read_is_never_unfenced_and_no_replica_is_promoted_for_it(target: Server, named: bool) -> None:
    assert decide(None, target, INTENT, named).todo is (Todo.FINISH if target.is_master else Todo.OPERATOR)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_a_target_that_cannot_be_read_decides_nothing_unless_the_source_is_master_as_announced(source: Server, named: bool) -> None:
    alone = source.is_master and not named and source.replid == INTENT.replid
    assert decide(source, None, INTENT, named).todo is (Todo.RETRY if alone else Todo.UNREACHABLE)


@pytest.mark.parametrize("named", [True, False])
def test_without_an_announcement_nothing_is_promoted_unfenced_or_fenced(named: bool) -> None:
    for source, target in product([None, *SOURCES], [None, *TARGETS]):
        found = decide(source, target, None, named).todo
        assert found in (Todo.RETRY, Todo.OPERATOR, Todo.UNREACHABLE)
        if found is Todo.RETRY:
            assert source is not None
            assert source.is_master
            assert not named
            assert target is None or not target.is_master


def test_no_attachment_destroys_a_byte_that_only_the_source_holds() -> None:
    for source, target in product(SOURCES, TARGETS):
        if may_attach(source, target, source_restarted=False) and source.replid != target.replid:
            assert stray_bytes(source, target) == 0


def test_the_first_byte_beyond_the_switch_is_where_attaching_ends() -> None:
    promoted = Server(True, False, "run-t", "B", "A", 100, 101)
    fenced = Server(False, False, "run-s", "A", "", 100, -1)
    for offset in range(95, 106):
        source = replace(fenced, offset=offset)
        assert may_attach(source, promoted, source_restarted=False) is (stray_bytes(source, promoted) == 0)
