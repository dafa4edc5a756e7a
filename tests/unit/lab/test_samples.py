"""What a scrape told, kept in time and forgotten in time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.lab.controllers.runtime import Registry
from bennu.lab.shared.samples import KEEP_S, Series, Store, parsed

LABELS = (("cluster", "blue"),)


def series(*points: tuple[float, float]) -> Series:
    made = Series()
    for at, value in points:
        made.add(at, value)
    return made


def test_a_moment_knows_nothing_of_what_came_later() -> None:
    one = series((10.0, 1.0), (20.0, 2.0), (30.0, 3.0))
    assert [one.at(moment) for moment in (9.9, 10.0, 29.9, 99.0)] == [None, (10.0, 1.0), (20.0, 2.0), (30.0, 3.0)]


def test_a_range_is_open_at_its_begin() -> None:
    assert series((10.0, 1.0), (20.0, 2.0), (30.0, 3.0)).between(10.0, 30.0) == [(20.0, 2.0), (30.0, 3.0)]


def test_an_ended_series_is_gone_at_once_and_may_come_back() -> None:
    store = Store()
    store.add("up", LABELS, 10.0, 1.0)
    store.end("up", LABELS, 11.0)
    ((_, one),) = store.named("up")
    assert (one.at(10.5), one.at(11.0)) == ((10.0, 1.0), None)
    store.add("up", LABELS, 12.0, 1.0)
    assert (one.at(11.5), one.at(12.0)) == (None, (12.0, 1.0))
    assert one.between(0.0, 20.0) == [(10.0, 1.0), (12.0, 1.0)]


def test_what_is_older_than_it_is_kept_goes_while_new_samples_come() -> None:
    one = Series()
    for tick in range(int(2 * KEEP_S)):
        one.add(float(tick), 0.0)
    assert KEEP_S <= len(one.times) <= KEEP_S * 1.5
    assert one.times[-1] == 2 * KEEP_S - 1


def test_a_series_that_nobody_tells_any_more_is_forgotten_whole() -> None:
    store = Store()
    store.add("old", LABELS, 0.0, 1.0)
    store.add("new", LABELS, KEEP_S, 1.0)
    store.forget(KEEP_S + 1)
    assert list(store.series) == ["new"]


@pytest.mark.parametrize("line", ["# HELP up x", "up", "up{a=} 1", "up nope", "up NaN", "9up 1", 'up{a="b"', ""], ids=lambda line: line or "empty")
def test_a_line_that_is_no_sample_is_passed_over(line: str) -> None:
    assert [name for name, _, _ in parsed(f"{line}\ngood 1", {})] in (["good"], ["up", "good"])


def test_a_sample_has_its_labels_and_the_scrapers() -> None:
    text = 'http_total{code="200",path="/a b"} 1.5e3 1700000000000\ninf{le="+Inf"} +Inf\n'
    assert list(parsed(text, {"cluster": "blue"})) == [
        ("http_total", (("cluster", "blue"), ("code", "200"), ("path", "/a b")), 1500.0),
        ("inf", (("cluster", "blue"), ("le", "+Inf")), math.inf),
    ]


@given(value=st.text(st.characters(exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", exclude_categories=["Cs"])), number=st.floats(allow_nan=False))
def test_what_a_registry_tells_is_read_as_it_was_meant(value: str, number: float) -> None:
    registry = Registry()
    registry.set("gateway_alive", number, {"target_cluster_name": value})
    assert list(parsed(registry.text(), {})) == [("gateway_alive", (("target_cluster_name", value),), number)]


def test_a_counter_above_a_million_keeps_its_last_digit() -> None:
    registry = Registry()
    registry.add("requests_total", 1_234_567)
    registry.add("requests_total")
    assert next(parsed(registry.text(), {}))[2] == 1_234_568
