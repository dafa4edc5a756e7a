"""The log behind all watches: complete from any remembered version on, and honest about what it has forgotten."""

from __future__ import annotations

import asyncio

import pytest

from bennu.lab.kubeapi.changelog import Change, ChangeLog, Forgotten


def change(revision: int) -> Change:
    return Change(revision, "ADDED", {"metadata": {"name": str(revision)}}, None)


def filled(count: int, remembered: int = 100) -> ChangeLog:
    log = ChangeLog(10, remembered)
    for revision in range(11, 11 + count):
        log.append(change(revision))
    return log


def revisions(log: ChangeLog, after: int) -> list[int]:
    return [change.revision for change in log.after(after)]


def test_all_later_changes_are_told_in_order() -> None:
    assert revisions(filled(5), 10) == [11, 12, 13, 14, 15]
    assert revisions(filled(5), 13) == [14, 15]
    assert revisions(filled(5), 15) == []


def test_a_version_before_the_log_began_is_forgotten() -> None:
    with pytest.raises(Forgotten):
        filled(1).after(9)


def test_a_version_is_forgotten_exactly_when_a_change_after_it_is() -> None:
    log = filled(8, remembered=3)
    assert revisions(log, 15) == [16, 17, 18]
    with pytest.raises(Forgotten):
        log.after(14)


def test_the_bell_rings_for_whoever_took_it_before_the_change() -> None:
    async def story() -> None:
        log = filled(1)
        bell = log.bell
        log.append(change(12))
        await asyncio.wait_for(bell.wait(), 1)
        assert not log.bell.is_set()

    asyncio.run(story())
