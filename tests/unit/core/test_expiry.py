"""What ends before the switchover's window does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from bennu.core.expiry import Expiry, too_soon

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ending(what: str, **after: float) -> Expiry:
    return Expiry(what, NOW + timedelta(**after), "renew it")


def test_what_ends_before_the_window_is_found_and_what_ends_with_it_is_not() -> None:
    soon = ending("the token", seconds=119)
    assert too_soon([soon, ending("the certificate", seconds=120), ending("another", days=3)], NOW + timedelta(seconds=120)) == (soon,)


def test_one_thing_that_both_clusters_rest_on_is_told_once() -> None:
    assert len(too_soon([ending("the token", seconds=10), ending("the token", seconds=11)], NOW + timedelta(seconds=120))) == 1


def test_the_end_is_told_in_utc() -> None:
    elsewhere = Expiry("the token", datetime(2026, 1, 1, 14, 30, tzinfo=timezone(timedelta(hours=2))), "renew it")
    assert elsewhere.words() == "the token ends 2026-01-01 12:30:00Z, before the switchover's window does"
