"""The specification's numbers, and what may be put in their place."""

from __future__ import annotations

import dataclasses
from math import inf, nan

import pytest

from bennu.core.policy import LAB, NUMBERS, SPEC, Policy, named, overridden
from bennu.errors import UsageError


def test_the_specifications_numbers_are_its_own() -> None:
    assert SPEC.max_lag_bytes == 1024
    assert SPEC.lag_soak_s == 60
    assert SPEC.canary_weights == (10, 20, 50, 90)
    assert (SPEC.min_success, SPEC.max_p99_ms, SPEC.max_restarts, SPEC.restart_window_s) == (0.999, 200, 3, 300)
    assert SPEC.switchover_timeout_s == 120
    assert SPEC.dns_ttl_s == 300


def test_a_rehearsal_changes_times_sample_counts_and_the_latency_that_a_laptop_makes() -> None:
    changed = {field.name for field in dataclasses.fields(Policy) if getattr(LAB, field.name) != getattr(SPEC, field.name)}
    assert {name for name in changed if not name.endswith("_s")} == {"name", "min_requests", "max_p99_ms"}
    for name in ("max_lag_bytes", "canary_weights", "min_success", "max_restarts", "pause_ms", "catch_up_share", "residual_rps", "link_failures"):
        assert getattr(LAB, name) == getattr(SPEC, name)


def test_a_rehearsal_never_waits_longer_than_the_real_thing() -> None:
    assert all(getattr(LAB, name) <= getattr(SPEC, name) for name in NUMBERS if name.endswith("_s"))


def test_a_policy_is_found_by_its_name() -> None:
    assert named("spec") is SPEC
    assert named("lab") is LAB
    with pytest.raises(UsageError) as refused:
        named("fast")
    assert refused.value.next_step == "choose one of spec, lab"


def test_every_number_can_be_overridden_and_nothing_else_can() -> None:
    assert set(NUMBERS) == {field.name for field in dataclasses.fields(Policy)} - {"name", "canary_weights"}
    for name in NUMBERS:
        changed = overridden(SPEC, {name: 1})
        assert getattr(changed, name) == 1
        assert dataclasses.replace(changed, **{name: getattr(SPEC, name)}) == SPEC


def test_a_number_with_a_fraction_keeps_it() -> None:
    # The defaults are written without one (60, 1800): that does not make them whole numbers.
    assert overridden(LAB, {"lag_soak_s": 0.5, "max_p99_ms": 150.5, "drain_window_s": 0.25}) == dataclasses.replace(
        LAB, lag_soak_s=0.5, max_p99_ms=150.5, drain_window_s=0.25
    )


def test_a_count_stays_a_whole_number() -> None:
    changed = overridden(SPEC, {"max_restarts": 5.0})
    assert changed.max_restarts == 5
    assert isinstance(changed.max_restarts, int)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_restarts", 2.5),
        ("max_restarts", 0),
        ("poll_s", 0),
        ("poll_s", -1),
        ("lag_soak_s", nan),
        ("lag_soak_s", inf),
        ("min_success", 99.9),
        ("min_success", 0),
        ("catch_up_share", 1.1),
        ("residual_rps", -0.1),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        overridden(SPEC, {name: value})


def test_no_residual_traffic_at_all_can_be_asked_for() -> None:
    assert overridden(SPEC, {"residual_rps": 0}).residual_rps == 0


@pytest.mark.parametrize("name", ["lag_soak", "name", "canary_weights", "", "__class__"])
def test_a_name_that_is_no_number_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        overridden(SPEC, {name: 1})
    assert "lag_soak_s" in refused.value.next_step


def test_a_misspelt_number_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError) as refused:
        overridden(SPEC, {"pause_budget": 1})
    assert refused.value.next_step.startswith("did you mean pause_budget_ms?")
