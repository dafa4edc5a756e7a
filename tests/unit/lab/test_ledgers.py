"""What the ledgers prove: lost writes, and processes of two clusters that ran at the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.lab import ledgers


def line(cluster: str, pid: int, t: float, event: str = "tick") -> dict[str, Any]:
    return {"cluster": cluster, "pid": pid, "t": t, "event": event}


def test_a_last_line_that_a_crash_cut_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "writes.jsonl").write_text('{"id": "a", "t": 1}\n{"id": "b", "t"')
    assert ledgers.read(tmp_path / "writes.jsonl") == [{"id": "a", "t": 1}]


def test_a_ledger_that_nobody_began_is_empty(tmp_path: Path) -> None:
    assert ledgers.read(tmp_path / "writes.jsonl") == []


@given(acknowledged=st.lists(st.text(max_size=3), unique=True), present=st.sets(st.text(max_size=3)))
def test_lost_is_what_was_acknowledged_and_is_not_there(acknowledged: list[str], present: set[str]) -> None:
    found = ledgers.lost(acknowledged, present)
    assert set(found) == set(acknowledged) - present
    assert found == [one for one in acknowledged if one in found]


def test_processes_of_two_clusters_at_once_are_an_overlap_of_so_many_seconds() -> None:
    told = [line("blue", 1, 0.0, "start"), line("green", 2, 3.0, "start"), line("blue", 1, 5.0, "stop"), line("green", 2, 9.0, "stop")]
    assert ledgers.overlaps(told) == [("blue", "green", 2.0)]


def test_a_short_run_inside_a_long_one_lasts_as_long_as_itself() -> None:
    told = [line("blue", 1, 0.0, "start"), line("green", 2, 3.0, "start"), line("green", 2, 3.5, "stop"), line("blue", 1, 60.0, "stop")]
    assert ledgers.overlaps(told) == [("blue", "green", 0.5)]


@pytest.mark.parametrize("begin", [5.0, 5.1])
def test_one_after_the_other_is_none(begin: float) -> None:
    told = [line("blue", 1, 0.0, "start"), line("blue", 1, 5.0, "stop"), line("green", 1, begin, "start"), line("green", 1, 9.0, "stop")]
    assert ledgers.overlaps(told) == []


def test_two_processes_of_one_cluster_are_its_own_business() -> None:
    assert ledgers.overlaps([line("blue", 1, 0.0), line("blue", 2, 1.0), line("blue", 1, 2.0), line("blue", 2, 3.0)]) == []


def test_a_process_that_was_killed_ended_at_its_last_word() -> None:
    told = [line("blue", 1, 0.0, "start"), line("blue", 1, 2.0), line("green", 2, 2.5, "start"), line("green", 2, 4.0)]
    assert ledgers.overlaps(told) == []


def test_a_pid_that_comes_again_is_another_process() -> None:
    told = [
        *(line("blue", 7, 0.0, "start"), line("blue", 7, 1.0, "stop")),
        *(line("green", 9, 2.0, "start"), line("green", 9, 3.0, "stop")),
        *(line("blue", 7, 4.0, "start"), line("blue", 7, 5.0, "stop")),
    ]
    assert ledgers.intervals(told) == [("blue", 0.0, 1.0), ("green", 2.0, 3.0), ("blue", 4.0, 5.0)]
    assert ledgers.overlaps(told) == []
