"""The canary's verdict: only a measured failure fails, and only a measured success opens."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.core.canary import Sample, Thresholds, judged, thresholds, worst_app
from bennu.core.policy import LAB, SPEC
from bennu.core.verdict import Answer, Verdict

LIMITS = thresholds(SPEC)
GOOD = Sample("payments", requests=5000, failures=0, p99_ms=80, age_s=5, restarts=0)


def verdict(sample: Sample, limits: Thresholds = LIMITS) -> Verdict:
    return judged(sample, limits, SPEC.max_restarts)


def test_the_thresholds_are_the_specifications() -> None:
    assert Thresholds(min_success=0.999, max_p99_ms=200, min_requests=1000, max_age_s=60) == LIMITS
    assert thresholds(LAB).min_success == 0.999, "a rehearsal does not lower the criterion"


def test_a_healthy_window_opens_and_tells_its_figures() -> None:
    found = verdict(GOOD)
    assert found.is_open
    assert found.figures == (("payments.requests", "5000"), ("payments.success", "1.00000"), ("payments.p99_ms", "80.0"))


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (replace(GOOD, failures=5), "success rate 99.900%, above 99.9% is needed"),
        (replace(GOOD, failures=2500), "success rate 50.000%"),
        (replace(GOOD, failures=5000), "success rate 0.000%"),
        (replace(GOOD, failures=9000), "success rate 0.000%"),
        (replace(GOOD, p99_ms=200), "p99 latency 200 ms, below 200 ms is needed"),
        (replace(GOOD, p99_ms=inf), "p99 latency"),
        (replace(GOOD, restarts=3), "3 pod restarts, fewer than 3 are allowed"),
        (replace(GOOD, requests=None, failures=None, restarts=9), "9 pod restarts"),
        (replace(GOOD, requests=20, failures=5), "success rate 75.000%"),
    ],
)
def test_a_measured_failure_fails(sample: Sample, words: str) -> None:
    found = verdict(sample)
    assert found.failed
    assert found.answer is Answer.SHUT
    assert words in found.reason


@pytest.mark.parametrize(
    "sample",
    [
        replace(GOOD, failures=4),
        replace(GOOD, p99_ms=199.9),
        replace(GOOD, restarts=2),
        replace(GOOD, requests=1000),
        replace(GOOD, age_s=60),
        replace(GOOD, age_s=0),
    ],
)
def test_a_window_just_within_its_limits_opens(sample: Sample) -> None:
    assert verdict(sample).is_open


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (replace(GOOD, requests=None), "no series"),
        (replace(GOOD, failures=None), "no series"),
        (replace(GOOD, requests=nan), "no series"),
        (replace(GOOD, failures=nan), "no series"),
        (replace(GOOD, requests=inf), "no series"),
        (replace(GOOD, age_s=None), "too old (unknown"),
        (replace(GOOD, age_s=nan), "too old (unknown"),
        (replace(GOOD, age_s=60.1), "too old (60 s, at most 60 s)"),
        (replace(GOOD, age_s=3600, failures=5000), "too old"),
        (replace(GOOD, requests=0), "no requests"),
        (replace(GOOD, requests=0.4), "no requests"),
        (replace(GOOD, requests=999), "999 of 1000 requests needed"),
        (replace(GOOD, p99_ms=None), "no latency data"),
        (replace(GOOD, p99_ms=nan), "no latency data"),
        (replace(GOOD, restarts=None), "restarts of its pods cannot be counted"),
    ],
)
def test_what_was_not_measured_is_unknown_and_neither_opens_nor_fails(sample: Sample, words: str) -> None:
    found = verdict(sample)
    assert found.answer is Answer.UNKNOWN
    assert not found.failed
    assert words in found.reason


def test_one_stray_error_in_a_thin_window_holds_and_does_not_fail() -> None:
    found = verdict(replace(GOOD, requests=20, failures=1))
    assert found.answer is Answer.SHUT
    assert not found.failed
    assert "over only 20 requests" in found.reason


def test_a_failure_is_told_before_a_latency_that_is_missing() -> None:
    assert verdict(replace(GOOD, failures=50, p99_ms=None)).failed


def test_a_latency_of_a_thin_window_is_not_judged() -> None:
    assert verdict(replace(GOOD, requests=50, p99_ms=900)).answer is Answer.UNKNOWN


_NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 10_000))


@given(requests=_NUMBERS, failures=_NUMBERS, p99=_NUMBERS, age=_NUMBERS, restarts=st.one_of(st.none(), st.integers(0, 9)))
def test_it_opens_only_on_numbers_that_all_hold(
    requests: float | None, failures: float | None, p99: float | None, age: float | None, restarts: int | None
) -> None:
    found = verdict(Sample("payments", requests, failures, p99, age, restarts))
    if not found.is_open:
        return
    assert requests is not None and failures is not None and p99 is not None and age is not None and restarts is not None
    assert requests >= 1000
    assert 1 - failures / requests > 0.999 or failures < 1
    assert p99 < 200
    assert age <= 60
    assert restarts < 3


def test_the_worst_app_decides_for_all() -> None:
    quiet, bad = replace(GOOD, app="checkout", requests=3), replace(GOOD, app="refunds", failures=5000)
    limits = dict.fromkeys(("payments", "checkout", "refunds"), LIMITS)
    assert worst_app((GOOD,), limits, 3).is_open
    assert worst_app((GOOD, quiet), limits, 3).answer is Answer.UNKNOWN
    found = worst_app((GOOD, quiet, bad), limits, 3)
    assert found.failed
    assert found.reason.startswith("refunds: ")
    assert {name.split(".")[0] for name, _ in found.figures} == {"payments", "checkout", "refunds"}


def test_each_app_has_limits_of_its_own() -> None:
    slow = replace(GOOD, app="batch", p99_ms=900)
    limits = {"payments": LIMITS, "batch": replace(LIMITS, max_p99_ms=1800)}
    assert worst_app((GOOD, slow), limits, 3).is_open
