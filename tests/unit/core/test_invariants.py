"""The four rules that nothing may break."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from bennu.core.clusters import Colour
from bennu.core.invariants import Master, at_once, blind_mirror, lag_threshold, single_master, split_brain_protection
from bennu.core.verdict import Verdict, failed, opened, shut, unknown
from bennu.errors import OperatorNeeded, ReplicationLagError, SplitBrainError


@pytest.mark.parametrize("flags", list(product([True, False], repeat=3)))
def test_at_most_one_cluster_of_a_group_is_master(flags: tuple[bool, ...]) -> None:
    masters = dict(zip(Colour, flags, strict=True))
    if sum(flags) <= 1:
        single_master(masters, "Redis roles")
        return
    with pytest.raises(SplitBrainError) as refused:
        single_master(masters, "Redis roles")
    assert "by Redis roles" in refused.value.message
    assert all((colour.value in refused.value.message) is is_master for colour, is_master in masters.items())
    assert refused.value.next_step


def test_two_masters_need_an_operator() -> None:
    assert issubclass(SplitBrainError, OperatorNeeded)
    assert SplitBrainError.exit_code == 7


def test_a_group_without_a_master_is_no_split_brain() -> None:
    single_master({}, "traffic-state in Git")


BLUE, GREEN = Master(Colour.BLUE, "redis-0", "p1", "h1", "", 3), Master(Colour.GREEN, "redis-0", "p2", "h2", "h1", 3)


def test_two_who_were_masters_in_both_readings_were_so_at_once() -> None:
    assert at_once([BLUE, GREEN], [BLUE, GREEN], "h1") == (BLUE, GREEN)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([BLUE], [BLUE, GREEN]),  # the second came between: one more reading tells
        ([BLUE, GREEN], [GREEN]),  # a hand-over lay between the two questions of the first reading
        ([BLUE, GREEN], [replace(BLUE, replid="h3"), GREEN]),  # fenced and made master again meanwhile
        ([BLUE, GREEN], [replace(BLUE, run_id="p9"), GREEN]),  # another process
        ([BLUE, replace(BLUE, member="10.0.0.1")], [BLUE, replace(BLUE, member="10.0.0.1")]),  # one process by two names
        ([], [BLUE, GREEN]),
    ],
)
def test_readings_that_do_not_prove_it_are_not_two_masters(before: list[Master], after: list[Master]) -> None:
    assert at_once(before, after, "h1") == ()


def test_a_master_without_a_key_counts_only_where_it_knows_the_history() -> None:
    fresh = replace(GREEN, keys=0, replid2="")
    assert at_once([BLUE, fresh], [BLUE, fresh], "h1") == ()
    known = replace(GREEN, keys=0)
    assert at_once([BLUE, known], [BLUE, known], "h1") == (BLUE, known)


@pytest.mark.parametrize("link", [shut("the gateway is down"), unknown("no sample yet"), failed("gone")])
def test_a_mirror_is_not_used_before_its_link_is_known_to_be_ready(link: Verdict) -> None:
    judged = blind_mirror(link)
    assert (judged.answer, judged.failed) == (link.answer, link.failed)
    assert judged.reason == f"the mirror must not be used yet: {link.reason}"


def test_a_mirror_of_a_ready_link_is_used() -> None:
    assert blind_mirror(opened("mirrored")) == opened("mirrored")


@pytest.mark.parametrize("lag", [0, 1, 1023, 1024])
def test_lag_up_to_the_threshold_is_allowed(lag: int) -> None:
    lag_threshold(lag, 1024)


@pytest.mark.parametrize("lag", [1025, 10**9, None])
def test_lag_above_the_threshold_or_unknown_blocks_the_switchover(lag: int | None) -> None:
    with pytest.raises(ReplicationLagError) as refused:
        lag_threshold(lag, 1024)
    assert refused.value.exit_code == 3
    assert ("unknown" if lag is None else str(lag)) in refused.value.message


DOWN = shut("the gateway is down")


@pytest.mark.parametrize("missed", [1, 2])
def test_a_link_that_misses_a_look_or_two_keeps_its_traffic(missed: int) -> None:
    assert split_brain_protection("the mesh link", DOWN, missed, 3) == opened(f"the mesh link missed {missed} of 3 looks")


@pytest.mark.parametrize("missed", [3, 4, 100])
@pytest.mark.parametrize("seen", [DOWN, unknown("the API does not answer")])
def test_a_link_that_is_missed_in_a_row_sends_the_traffic_back(missed: int, seen: Verdict) -> None:
    verdict = split_brain_protection("the mesh link", seen, missed, 3)
    assert verdict.failed
    assert verdict.reason == f"the mesh link: {seen.reason} ({missed} times in a row)"


def test_what_no_waiting_mends_is_not_waited_for() -> None:
    assert split_brain_protection("the source's data", failed("it has another history"), 1, 3).failed


def test_a_link_that_holds_holds() -> None:
    assert split_brain_protection("the mesh link", opened("ready"), 0, 3) == opened("ready")
