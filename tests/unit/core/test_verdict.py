"""Three values, and the worst of several: nothing but openness all round opens."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from bennu.core.verdict import Answer, Verdict, failed, opened, shut, unknown, worst

KINDS = {"open": opened, "unknown": unknown, "shut": shut, "failed": failed}
RANK = list(KINDS)


def _kind(verdict: Verdict) -> str:
    return "failed" if verdict.failed else verdict.answer.value


def test_only_an_open_verdict_is_open() -> None:
    assert {name: make("why").is_open for name, make in KINDS.items()} == {"open": True, "unknown": False, "shut": False, "failed": False}


def test_failed_is_shut_and_says_that_waiting_does_not_help() -> None:
    assert failed("no").answer is Answer.SHUT
    assert [make("why").failed for make in (opened, unknown, shut)] == [False, False, False]


@pytest.mark.parametrize("kinds", list(product(KINDS, repeat=3)))
def test_the_worst_of_any_three_decides(kinds: tuple[str, ...]) -> None:
    found = worst(KINDS[kind](f"{kind} {place}") for place, kind in enumerate(kinds))
    assert _kind(found) == max(kinds, key=RANK.index)
    assert found.is_open is (set(kinds) == {"open"})


@pytest.mark.parametrize("order", list(permutations(KINDS)))
def test_their_order_does_not_matter(order: tuple[str, ...]) -> None:
    assert _kind(worst(KINDS[kind](kind) for kind in order)) == "failed"


def test_the_reasons_of_the_worst_kind_are_all_told_and_no_others() -> None:
    found = worst([opened("fine"), shut("one"), unknown("dark"), shut("two")])
    assert found.reason == "one; two"


def test_the_figures_of_all_are_kept_for_the_report() -> None:
    found = worst([opened("fine", ("a", "1")), failed("bad", ("b", "2"))])
    assert found.figures == (("a", "1"), ("b", "2"))


def test_the_worst_of_one_is_itself() -> None:
    assert worst([shut("why", ("a", "1"))]) == shut("why", ("a", "1"))


def test_nothing_at_all_does_not_open() -> None:
    with pytest.raises(ValueError, match="no verdict given"):
        worst([])
