"""Which backend gets the next request: as many as its weight, in any stretch of requests, and none at weight zero."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bennu.lab.pods.ingress import Choice

LOCAL, MIRROR = "payment-service", "payment-service-cluster-green"
weights = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100), min_size=1)


def drawn(choice: Choice, asked: dict[str, int], times: int) -> Counter[str]:
    return Counter(choice.next(asked) for _ in range(times))


def test_ten_per_cent_is_every_tenth_request() -> None:
    choice = Choice()
    for _ in range(20):
        assert drawn(choice, {LOCAL: 90, MIRROR: 10}, 10) == {LOCAL: 9, MIRROR: 1}


@given(asked=weights)
def test_a_whole_turn_gives_each_backend_exactly_its_weight(asked: dict[str, int]) -> None:
    total = sum(asked.values())
    found = drawn(Choice(), asked, total)
    assert found == {name: weight for name, weight in asked.items() if weight}


@given(earlier=weights, steps=st.integers(0, 50), later=weights)
def test_a_backend_without_weight_gets_nothing_whatever_it_was_owed(earlier: dict[str, int], steps: int, later: dict[str, int]) -> None:
    choice = Choice()
    drawn(choice, earlier, steps)
    found = drawn(choice, later, 50)
    assert all(not name or later[name] > 0 for name in found)


def test_without_any_weight_nobody_is_chosen() -> None:
    assert Choice().next({}) == ""
    assert Choice().next({LOCAL: 0}) == ""
