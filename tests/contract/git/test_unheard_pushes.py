"""The engine's journal over real Git and over the one in memory, where a push went unanswered: the lock is proved, what arrived is found, and nothing is written twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.journal import Entry, Holder, Journal
from bennu.errors import NOTHING, DependencyDown, GateRefused, LockLost, StoppedSafe
from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, Ground
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.virtual_clock import VirtualClock

EDIT = Change((Edit("clusters/prod/us-east-1/cluster-blue/a.yaml", "a: 1\n"),), "Change a file\n")
STEP = Entry(Kind.DONE, step="a.step")


def journal(place: Ground, name: str = "ann@one") -> Journal:
    found = Journal(place.laptop(), MemoryCheckpoint(MemoryDisk()), VirtualClock(), GROUP, Holder(name, 1))
    found.refresh()
    return found


def begun(place: Ground) -> Journal:
    found = journal(place)
    found.append(Entry(Kind.LOCK))
    return found


def steps(place: Ground) -> list[str]:
    return [one.step for one in journal(place).records]


def unheard(place: Ground, act: Callable[[], object]) -> None:
    place.lose_answer(dies=True)
    with pytest.raises(DependencyDown):
        act()
    with pytest.raises(DependencyDown):
        act()
    place.up()


def test_a_commit_that_arrived_unheard_is_found_when_it_is_tried_again(place: Ground) -> None:
    mine, before = begun(place), place.commits()
    unheard(place, lambda: mine.append(STEP, change=EDIT))
    assert mine.append(STEP, change=EDIT)
    assert place.commits() == before + 1
    assert mine.append(Entry(Kind.DONE, step="another")) == ""
    assert steps(place) == ["", "a.step", "another"]


def test_one_that_arrived_unheard_stands_before_what_is_written_next(place: Ground) -> None:
    mine = begun(place)
    unheard(place, lambda: mine.append(STEP))
    mine.append(Entry(Kind.DONE, step="another"))
    assert steps(place) == ["", "a.step", "another"]
    assert [one.step for one in mine.records] == ["", "a.step", "another"]


def test_one_that_never_arrived_is_made_once(place: Ground) -> None:
    mine = begun(place)
    place.down()
    with pytest.raises(DependencyDown):
        mine.append(STEP)
    place.up()
    mine.append(STEP)
    assert steps(place) == ["", "a.step"]


def test_who_took_the_lock_meanwhile_keeps_it(place: Ground) -> None:
    mine, before = begun(place), place.commits()
    place.down()
    with pytest.raises(DependencyDown):
        mine.append(STEP, change=EDIT)
    place.up()
    journal(place, "bob@two").append(Entry(Kind.LOCK))
    with pytest.raises(LockLost, match="lost to bob@two"):
        mine.append(STEP, change=EDIT)
    with pytest.raises(LockLost):
        mine.append(Entry(Kind.HEARTBEAT))
    assert place.commits() == before


def test_a_push_that_the_hosts_rules_reject_says_what_stands_by_when_it_comes(place: Ground) -> None:
    place.refuse("GL-1: protected")
    with pytest.raises(GateRefused, match=r"rejected by the host's rules: .*GL-1: protected") as first:
        journal(place).append(Entry(Kind.LOCK))
    assert (first.value.code, first.value.changed) == (3, NOTHING)
    place.refuse("")
    mine = begun(place)
    mine.rotation = "prod-us-east-1-1"
    mine.append(Entry(Kind.BEGIN, data={"source": "blue", "target": "green"}, state=State.PROVISIONING))
    place.refuse("GL-1: protected")
    with pytest.raises(GateRefused, match="GL-1: protected") as early:
        mine.append(STEP, change=EDIT)
    assert (early.value.code, early.value.changed) == (3, "nothing but the journal, in which the rotation is open")
    place.refuse("")
    mine.append(Entry(Kind.DONE, step="provisioning.directory"))
    place.refuse("GL-1: protected")
    with pytest.raises(StoppedSafe, match="GL-1: protected") as late:
        mine.append(STEP, change=EDIT)
    assert late.value.code == 5
    assert "PROVISIONING" in late.value.changed
    assert "bennu rotate resume" in late.value.next_step
