"""Users act in turn on a fixed grid, and nobody bursts after a pause."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.lab.traffic import PERIOD, USERS, Grid

times = st.floats(min_value=0, max_value=1e6, allow_nan=False)


def payments(user: int, until: float) -> list[float]:
    grid, now, found = Grid.of(user, 0.0), -1.0, []
    while now < until:
        now, pays = grid.following(now)
        if pays:
            found.append(now)
    return found


def test_of_all_users_together_a_payment_falls_due_every_16_ms() -> None:
    due = sorted(moment for user in range(USERS) for moment in payments(user, 3.0))
    assert [later - earlier for earlier, later in itertools.pairwise(due[:100])] == pytest.approx([2 * PERIOD / USERS] * 99)
    assert pytest.approx(0.0165) == 2 * PERIOD / USERS


def test_a_user_pays_at_every_other_point() -> None:
    grid, now, kinds = Grid.of(3, 0.0), 0.0, []
    for _ in range(6):
        now, pays = grid.following(now)
        kinds.append(pays)
    assert kinds in ([True, False] * 3, [False, True] * 3)


@given(user=st.integers(0, USERS - 1), origin=times, late=times)
def test_the_next_point_is_ahead_and_near_however_long_a_payment_took(user: int, origin: float, late: float) -> None:
    grid = Grid.of(user, origin)
    now = grid.first + late
    point, _ = grid.following(now)
    assert now < point <= now + PERIOD + 0.0011


@given(user=st.integers(0, USERS - 1), late=st.floats(min_value=0, max_value=100))
def test_what_a_pause_passed_over_is_not_made_up_for(user: int, late: float) -> None:
    grid = Grid.of(user, 0.0)
    first, _ = grid.following(late)
    second, _ = grid.following(first)
    assert second - first == pytest.approx(PERIOD, rel=1e-6)


def test_nobody_acts_before_its_own_first_point() -> None:
    point, pays = Grid.of(5, 100.0).following(0.0)
    assert (point, pays) == (100.0 + 5 * 2 * PERIOD / USERS, True)


@pytest.mark.parametrize("early", [0.0, 1e-9, 0.0009])
def test_a_timer_that_wakes_early_does_not_bring_the_same_point_again(early: float) -> None:
    grid = Grid.of(1, 0.0)
    point, pays = grid.following(7.0)
    following, pays_then = grid.following(point - early)
    assert following - point == pytest.approx(PERIOD)
    assert pays_then is not pays
