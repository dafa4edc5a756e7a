"""How long a hand-over will hold writes back, from the ways there and back."""

from __future__ import annotations

import pytest

from bennu.core.pause import SERVERS_MS, Prediction, RoundTrips, dead_mans_switch_ms, measured, predicted


def test_on_no_distance_only_the_servers_work_counts() -> None:
    assert predicted(RoundTrips(0, 0, 0)).total == SERVERS_MS


def test_equal_ways_cost_two_round_trips_and_a_pointer_write_behind_the_promotion() -> None:
    found = predicted(RoundTrips(20, 20, 0))
    assert (found.redis - SERVERS_MS, found.pointer) == (40, 0)
    assert predicted(RoundTrips(20, 20, 25)).pointer == 25


def test_a_long_way_to_the_target_is_waited_for_at_each_proof() -> None:
    near, far = predicted(RoundTrips(2, 2, 0)).redis, predicted(RoundTrips(2, 100, 0)).redis
    assert far - near > 100


def test_the_slowest_app_is_named() -> None:
    found = predicted(RoundTrips(1, 1, 1), apps=60_000, slowest="payment-service")
    assert found.total == pytest.approx(60_000 + found.redis + found.pointer)
    assert "payment-service 60000 ms" in found.words()


def test_apps_that_are_told_of_the_pause_stop_before_it() -> None:
    trips = RoundTrips(2, 2, 7)
    assert predicted(trips, announces=True).total == pytest.approx(predicted(trips).total + 7)
    assert "announcement 7 ms" in predicted(trips, announces=True).words()
    assert measured(trips, began=5.010, accepts=5.020, told=5.020, announced=5.0) == pytest.approx(19)


@pytest.mark.parametrize("trips", [RoundTrips(1, 1, 1), RoundTrips(20, 1, 5), RoundTrips(1, 20, 5), RoundTrips(200, 200, 400)])
def test_a_longer_way_never_shortens_the_pause(trips: RoundTrips) -> None:
    total = predicted(trips).total
    assert predicted(RoundTrips(trips.source + 10, trips.target, trips.pointer)).total >= total
    assert predicted(RoundTrips(trips.source, trips.target + 10, trips.pointer)).total >= total
    assert predicted(RoundTrips(trips.source, trips.target, trips.pointer + 10)).total >= total


def test_what_is_measured_is_the_clients_pause_and_not_the_tools() -> None:
    """The pause takes half a way to arrive, and the promotion holds half a way before its answer is here."""
    assert measured(RoundTrips(20, 20, 0), began=5.0, accepts=5.060, told=5.050) == pytest.approx(40)


def test_the_last_to_let_the_clients_go_ends_the_pause() -> None:
    assert measured(RoundTrips(2, 2, 0), began=5.0, accepts=5.010, told=5.100) == pytest.approx(98)


@pytest.mark.parametrize(("redis", "expected"), [(4, 500), (250, 500), (400, 800), (1900, 2000)])
def test_the_dead_mans_switch_outlasts_a_long_way_but_never_the_budget(redis: float, expected: int) -> None:
    assert dead_mans_switch_ms(Prediction(redis, 0), 500, 2000) == expected


def test_a_budget_below_the_switch_shortens_it() -> None:
    assert dead_mans_switch_ms(Prediction(4, 0), 500, 300) == 300
