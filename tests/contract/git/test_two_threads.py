"""A run and its heartbeat, two threads with one pen: every record arrives once, in one chain, and what is read meanwhile is of one moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from bennu.core.record import Kind
from bennu.engine.journal import Entry, Holder, Journal
from bennu.errors import LockLost
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, Ground
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.virtual_clock import VirtualClock

PATH = "clusters/prod/us-east-1/cluster-blue/a.yaml"
COMMITS = 12


def pen(place: Ground) -> Journal:
    found = Journal(place.laptop(), MemoryCheckpoint(MemoryDisk()), VirtualClock(), GROUP, Holder("ann@one", 1))
    found.refresh()
    found.append(Entry(Kind.LOCK))
    lock = found.standing.lock
    found.lock_id = lock.id if lock else ""
    return found


def test_records_of_two_threads_are_one_chain_and_reads_never_go_back(place: Ground) -> None:
    mine, over = pen(place), Event()
    repository = mine._repository

    def beats() -> int:
        count = 0
        while not over.is_set():
            count += mine.beside(Entry(Kind.HEARTBEAT), limit_s=10)
        return count

    def reads() -> list[int]:
        seen = []
        while not over.is_set():
            repository.fetch()
            seen.append(int((repository.read(PATH) or "a: 0").removeprefix("a: ")))
        return seen

    with ThreadPoolExecutor(2) as threads:
        beating, reading = threads.submit(beats), threads.submit(reads)
        try:
            for number in range(1, COMMITS + 1):
                mine.append(Entry(Kind.DONE, step=f"s{number}"), change=Change((Edit(PATH, f"a: {number}\n"),), f"Step {number}\n"))
                assert repository.read(PATH) == f"a: {number}\n"
        finally:
            over.set()
    records = pen(place).records
    assert [one.step for one in records if one.kind is Kind.DONE] == [f"s{number}" for number in range(1, COMMITS + 1)]
    assert sum(one.kind is Kind.HEARTBEAT for one in records) == beating.result() > 0
    assert len({one.nonce for one in records}) == len(records)
    assert reading.result() == sorted(reading.result())


def test_no_heartbeat_is_written_without_the_lock_or_where_quiet_is_wanted(place: Ground) -> None:
    mine = pen(place)
    with mine.undisturbed():
        assert not mine.beside(Entry(Kind.HEARTBEAT), limit_s=10)
        mine.append(Entry(Kind.INTENT, step="the run itself"))
    assert mine.beside(Entry(Kind.HEARTBEAT), limit_s=10)
    mine.append(Entry(Kind.RELEASE))
    assert not mine.beside(Entry(Kind.HEARTBEAT), limit_s=10)


def test_quiet_begins_when_a_push_that_is_under_way_has_ended(place: Ground) -> None:
    mine, pushing, wanted, order = pen(place), Event(), Event(), list[str]()

    def under_way() -> None:
        pushing.set()
        wanted.wait(10)
        order.append("pushed")

    place.before_next_push(mine._repository, under_way)
    with ThreadPoolExecutor(2) as threads:
        beating = threads.submit(lambda: mine.beside(Entry(Kind.HEARTBEAT), limit_s=60))
        pushing.wait(10)

        def quiet() -> None:
            wanted.set()
            with mine.undisturbed():
                order.append("quiet")

        threads.submit(quiet).result(30)
        assert beating.result(30)
    assert order == ["pushed", "quiet"]


def test_a_thread_whose_lock_was_taken_over_is_told_by_whom(place: Ground) -> None:
    mine = pen(place)
    mine.epoch = 1
    theirs = Journal(place.laptop(), MemoryCheckpoint(MemoryDisk()), VirtualClock(), GROUP, Holder("bob@two", 2, "cafe"))
    theirs.refresh()
    theirs.epoch = 2
    theirs.append(Entry(Kind.LOCK, data={"over": mine.lock_id, "machine": "cafe"}))
    with pytest.raises(LockLost, match=r"taken over by bob@two \(machine cafe\) at 2026-01-01T00:00:00.* epoch 2\)"):
        mine.beside(Entry(Kind.HEARTBEAT), limit_s=10)
