"""Whether Flux is fast enough for S6, from what was measured."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bennu.core.flux_pace import Sample, fast_enough, longest_s, p95


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [([3.0], 3.0), ([1.0, 9.0, 2.0], 9.0), ([float(n) for n in range(1, 21)], 19.0), ([float(n) for n in range(1, 101)], 95.0)],
)
def test_the_percentile_is_the_nearest_rank_and_of_few_samples_the_slowest(seconds: list[float], expected: float) -> None:
    assert p95(seconds) == expected


def test_what_one_reconcile_may_take_is_its_share_of_the_whole() -> None:
    assert longest_s(3, 120) == 40
    assert fast_enough("cluster-blue", [40.0], 3, 120).is_open
    assert fast_enough("cluster-blue", [40.1], 1, 120).is_open
    slow = fast_enough("cluster-blue", [1.0, 40.1], 3, 120)
    assert slow.failed
    for words in ("Flux of cluster-blue", "40.1 s (p95 of 2 measured)", "at most 40 s", "3 commits", "120 s in all", "switchover_timeout_s"):
        assert words in slow.reason


def test_nothing_measured_opens_nothing_and_fails_nothing() -> None:
    found = fast_enough("cluster-blue", [], 3, 120)
    assert not found.is_open
    assert not found.failed


def test_one_slow_answer_among_many_quick_ones_is_forgiven() -> None:
    assert fast_enough("cluster-blue", [1.0] * 39 + [300.0], 3, 120).is_open
    assert not fast_enough("cluster-blue", [1.0] * 3 + [300.0], 3, 120).is_open


def test_a_sample_is_read_back_from_the_journal_and_what_is_none_is_none() -> None:
    sample = Sample(3.25, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert Sample.parse(sample.text()) == sample
    assert Sample.parse("soon@yesterday") is None
    assert Sample.parse("") is None
