"""The lab's PromQL says what Prometheus would: of Bennu's own queries, and of what cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.lab.shared.promql import STALE_S, Query, QueryError, Value
from bennu.lab.shared.samples import Labels, Store

NOW = 1000.0
BUCKETS = "outbound_http_route_backend_response_duration_seconds_bucket"


def labels(**pairs: str) -> Labels:
    return tuple(sorted(pairs.items()))


def counting(store: Store, name: str, of: Labels, rate: float, since: float = 900.0, step: float = 0.25) -> None:
    """A counter that rises by *rate* a second from zero, scraped until NOW."""
    for tick in range(int((NOW - since) / step) + 1):
        store.add(name, of, since + tick * step, tick * step * rate)


def ask(store: Store, text: str, at: float = NOW) -> Value:
    return Query(text, at, store).result()


def one(store: Store, text: str, at: float = NOW) -> float:
    found = ask(store, text, at)
    if isinstance(found, float):
        return found
    (value,) = found.values()
    return value


def test_a_steady_counter_has_its_own_rate_and_an_increase_of_the_window() -> None:
    store = Store()
    counting(store, "requests", labels(cluster="blue"), rate=40)
    assert one(store, "rate(requests[10s])") == pytest.approx(40)
    assert one(store, "increase(requests[10s])") == pytest.approx(400)
    assert one(store, "increase(requests[2500ms])") == pytest.approx(100)
    assert one(store, "increase(requests[1m30s])") == pytest.approx(3600)


def test_a_restarted_target_loses_nothing_of_the_increase() -> None:
    store = Store()
    for at, value in ((990.0, 100.0), (995.0, 150.0), (1000.0, 30.0)):
        store.add("requests", (), at, value)
    # 50, then from zero to 30: 80 in the 10 s that were sampled, and the window is not longer.
    assert one(store, "increase(requests[10001ms])") == pytest.approx(80, rel=0.001)


def test_an_increase_is_stretched_to_the_edges_but_never_below_zero() -> None:
    store = Store()
    for at, value in ((994.0, 0.0), (996.0, 10.0), (998.0, 20.0)):
        store.add("requests", (), at, value)
    # By hand: 4 s sampled every 2 s; the end is 2 s away, less than 2.2, so all of it counts; before its first sample the counter was at zero already.
    assert one(store, "increase(requests[10s])") == pytest.approx(20 * (4 + 0 + 2) / 4)


def test_one_sample_is_no_increase() -> None:
    store = Store()
    store.add("requests", (), 999.0, 5.0)
    assert ask(store, "increase(requests[10s])") == {}
    assert ask(store, "sum(increase(requests[10s]))") == {}


def test_samples_outside_the_window_say_nothing_of_it() -> None:
    store = Store()
    counting(store, "requests", (), rate=10, since=900)
    assert ask(store, "rate(requests[10s])", at=1200.0) == {}


def test_a_series_is_stale_after_five_minutes_and_never_before_it_began() -> None:
    store = Store()
    store.add("gateway_alive", (), 500.0, 1.0)
    assert one(store, "min(gateway_alive)", at=500.0 + STALE_S) == 1
    assert ask(store, "min(gateway_alive)", at=500.1 + STALE_S) == {}
    assert ask(store, "gateway_alive", at=499.9) == {}


def test_a_series_that_its_target_ended_is_not_there_any_more() -> None:
    store = Store()
    store.add("gateway_alive", (), 500.0, 1.0)
    store.end("gateway_alive", (), 500.25)
    assert ask(store, "gateway_alive", at=501.0) == {}
    assert ask(store, "timestamp(gateway_alive)", at=501.0) == {}


def test_the_age_of_the_freshest_sample_is_told_by_the_server() -> None:
    store = Store()
    store.add("requests", labels(code="200"), 990.0, 1.0)
    store.add("requests", labels(code="500"), 997.5, 1.0)
    assert one(store, "time() - max(timestamp(requests))") == 2.5


def test_failures_are_a_regular_expression_that_must_match_whole() -> None:
    store = Store()
    for code in ("200", "500", "503", "1500"):
        store.add("requests", labels(http_status=code), NOW, 1.0)
    assert one(store, 'sum(requests{http_status=~"5.."})') == 2
    assert one(store, 'sum(requests{http_status!~"5..",http_status!="200"})') == 1


def test_a_label_that_is_not_there_is_an_empty_one() -> None:
    store = Store()
    store.add("requests", labels(a="x"), NOW, 1.0)
    assert one(store, 'sum(requests{b=""})') == 1
    assert ask(store, 'sum(requests{a=""})') == {}


@given(value=st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_any_value_can_be_selected_once_it_is_escaped(value: str) -> None:
    store = Store()
    store.add("requests", labels(client=value), NOW, 3.0)
    store.add("requests", labels(client=value + "x"), NOW, 4.0)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert one(store, f'sum(requests{{client="{escaped}"}})') == 3


def test_the_busiest_clients_are_named_and_quiet_ones_are_not_asked_for() -> None:
    store = Store()
    for number in range(7):
        counting(store, "apisix_http_status", labels(cluster="blue", client=f"c{number}", code="200"), rate=number)
    found = ask(store, 'topk(5, sum by (client) (rate(apisix_http_status{cluster="blue"}[60s])))')
    assert isinstance(found, dict)
    assert [dict(of)["client"] for of in found] == ["c6", "c5", "c4", "c3", "c2"]


def test_no_series_is_an_empty_answer_and_not_zero() -> None:
    for query in ("sum(nothing)", "rate(nothing[5m])", "time() - max(timestamp(nothing))", "histogram_quantile(0.99, sum by (le) (rate(nothing[5s])))"):
        assert ask(Store(), query) == {}


def test_nothing_divided_by_nothing_is_no_number() -> None:
    assert math.isnan(one(Store(), "0/0"))
    assert one(Store(), "-1/0") == -math.inf
    assert one(Store(), "2+3*(4-1)/2") == 6.5


def test_only_a_plain_selector_keeps_the_metrics_name() -> None:
    store = Store()
    store.add("up", labels(cluster="blue"), NOW, 1.0)
    assert ask(store, "up") == {(("__name__", "up"), ("cluster", "blue")): 1.0}
    assert ask(store, "up * 2") == {(("cluster", "blue"),): 2.0}
    assert ask(store, "sum(up) by (cluster)") == {(("cluster", "blue"),): 1.0}


def test_a_nan_among_numbers_is_passed_over_by_min_and_max() -> None:
    store = Store()
    for name, value in (("a", 0.0), ("b", 3.0)):
        store.add("x", labels(of=name), NOW, value)
    assert one(store, "max(x / x)") == 1
    assert one(store, "min(x / x)") == 1


def bucketed(rates: dict[str, float]) -> Store:
    store = Store()
    for bound, rate in rates.items():
        counting(store, BUCKETS, labels(cluster="blue", le=bound), rate)
    return store


def test_a_quantile_is_interpolated_within_its_bucket() -> None:
    store = bucketed({"0.1": 10, "0.2": 90, "0.5": 100, "+Inf": 100})
    # By hand: rank 99 of 100 lies 9/10 of the way through the bucket from 0.2 to 0.5.
    assert one(store, f"histogram_quantile(0.99, sum by (le) (rate({BUCKETS}[10s])))") == pytest.approx(0.2 + 0.3 * 9 / 10)
    assert one(store, f"histogram_quantile(0.05, sum by (le) (rate({BUCKETS}[10s])))") == pytest.approx(0.05)


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    store = bucketed({"0.1": 10, "0.2": 20, "+Inf": 100})
    assert one(store, f"histogram_quantile(0.99, sum by (le) (rate({BUCKETS}[10s])))") == 0.2


@pytest.mark.parametrize("rates", [{"0.1": 1.0, "0.2": 1.0}, {"+Inf": 1.0}, {"0.1": 0.0, "+Inf": 0.0}])
def test_a_histogram_without_end_or_without_requests_has_no_quantile(rates: dict[str, float]) -> None:
    assert math.isnan(one(bucketed(rates), f"histogram_quantile(0.99, sum by (le) (rate({BUCKETS}[10s])))"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sum(",
        "rate(x)",
        "rate(x[5])",
        "x[5m]",
        "x{a=b}",
        'x{a="b"',
        'x{a~"b"}',
        'x{a=~"("}',
        '{a="b"}',
        "topk(5 x)",
        "sum(1)",
        "histogram_quantile(x, 1)",
        "1 +",
        "x y",
        "avg(x)",
        "x offset 5m",
        "(" * 100_000,
        "💥",
    ],
    ids=lambda text: text[:20] or "empty",
)
def test_what_cannot_be_read_is_said_and_not_guessed(text: str) -> None:
    with pytest.raises(QueryError):
        ask(Store(), text)


@given(text=st.text(st.sampled_from('xrate(sum)[]{}=~!"5ms+-*/,. by le'), max_size=30))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    probe: Callable[[], Value] = Query(text, NOW, Store()).result
    try:
        probe()
    except QueryError:
        return
