"""What users saw between two moments: their waits, and how long nobody heard anything."""

from __future__ import annotations

from typing import Any

from bennu.lab.audit import Waits, waits


def told(*moments: float, ms: float = 5.0) -> list[dict[str, Any]]:
    return [{"id": str(t), "t": t, "ms": ms} for t in moments]


def test_the_longest_time_without_any_acknowledgement_is_found_in_between() -> None:
    assert waits(told(10.0, 10.1, 10.5, 10.6), 10.0, 10.6).longest_silence_ms == 400.0


def test_lines_need_not_be_in_order_since_users_write_side_by_side() -> None:
    assert waits(told(10.5, 10.0, 10.6, 10.1), 10.0, 10.6).longest_silence_ms == 400.0


def test_a_silence_that_began_before_counts_whole() -> None:
    assert waits(told(9.0, 10.5), 10.0, 10.5).longest_silence_ms == 1500.0


def test_a_silence_that_ends_afterwards_counts_whole() -> None:
    assert waits(told(10.0, 12.0), 10.0, 10.5).longest_silence_ms == 2000.0


def test_a_window_without_a_word_is_silence_from_end_to_end() -> None:
    assert waits([], 10.0, 13.0) == Waits(0, 0.0, 0.0, 3000.0)
    assert waits(told(9.5, 13.5), 10.0, 13.0) == Waits(0, 0.0, 0.0, 4000.0)


def test_waits_are_of_what_was_acknowledged_in_the_window() -> None:
    lines = [*told(9.9, ms=900.0), *told(10.0, 10.1, ms=4.0), *told(10.2, ms=250.0), *told(10.9, ms=800.0)]
    found = waits(lines, 10.0, 10.5)
    assert (found.writes, found.longest_wait_ms, found.median_wait_ms) == (3, 250.0, 4.0)
