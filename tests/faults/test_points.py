"""At every call of the hand-over Bennu's process is killed, frozen for longer than the pause, or frozen while a colleague takes over; whatever then runs again loses nothing."""

from __future__ import annotations

import pytest

from tests.faults.stage import Case, Stage, sound
from tests.faults.tool import Stop

pytestmark = pytest.mark.faults

# In the order of a hand-over that nothing happens to. From the promotion on three things go on at once: promotion, both pointers, and what follows them.
ALONE = (
    *("journal.advance#1", "journal.advance#2", "source.server.observe#1", "target.server.observe#1", "source.server.observe#2", "target.server.observe#2"),
    *("journal.advance#3", "source.observe#1", "target.observe#1", "journal.advance#4", "source.pointer.apply#1", "target.pointer.apply#1"),
    *("source.round_trip#1", "target.round_trip#1", "source.pause#1", "target.reaches#1", "target.anew#1", "source.fence#1", "target.reaches#2"),
)
AT_ONCE = ("target.make_master#1", "source.pointer.apply#2", "target.pointer.apply#2", "source.unpause#1")
AFTERWARDS = (
    *("source.observe#2", "target.observe#2", "source.attach#1", "source.cut_clients#1", "target.write_probe#1", "source.read_probe#1"),
    *("journal.advance#5", "journal.advance#6"),
)
POINTS = (*ALONE, *AT_ONCE, *AFTERWARDS)
# What changes a server, an object or the journal: here "just after" is a place of its own.
CHANGES = tuple(one for one in POINTS if not one.split("#")[0].endswith(("observe", "round_trip", "reaches", "anew", "read_probe")))


def stop(point: str, signal: str, *, after: bool = False) -> Stop:
    call, _, nth = point.partition("#")
    return Stop(call, int(nth), after, signal)


def test_the_points_are_what_a_hand_over_calls(stage: Stage) -> None:
    # A target that a busy machine keeps from catching up is tried again, and that is more calls.
    for _ in range(4):
        with stage.case() as case:
            tool = case.tool()
            assert tool.ended() == 0, tool.story()
            assert sound(case.judged(), "target")
        if not any("trying again" in line for line in tool.told):
            break
    called = [call for call in tool.calls if not call.startswith("source.read_probe#") or call.endswith("#1")]
    assert tuple(called[: len(ALONE)]) == ALONE
    assert sorted(called[len(ALONE) : -len(AFTERWARDS)]) == sorted(AT_ONCE)
    assert tuple(called[-len(AFTERWARDS) :]) == AFTERWARDS


@pytest.mark.parametrize("point", POINTS)
def test_killed_before_a_call_and_run_again(case: Case, point: str) -> None:
    killed(case, stop(point, "SIGKILL"))


@pytest.mark.parametrize("point", CHANGES)
def test_killed_after_a_change_and_run_again(case: Case, point: str) -> None:
    killed(case, stop(point, "SIGKILL", after=True))


def killed(case: Case, at: Stop) -> None:
    tool = case.tool(at)
    assert tool.ended() == -9, tool.story()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", POINTS)
def test_frozen_for_longer_than_the_pause(case: Case, point: str) -> None:
    tool = case.tool(stop(point, "SIGSTOP"))
    case.freeze(tool)
    tool.wake()
    assert tool.ended() in (0, 5, 8), tool.story()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", POINTS)
def test_frozen_while_a_colleague_takes_over_then_woken(case: Case, point: str) -> None:
    tool = case.tool(stop(point, "SIGSTOP"))
    assert tool.stopped(), tool.story()
    case.finish(holder="bob@there")
    tool.wake()
    assert tool.ended() == 4, tool.story()
    case.users_go_on()
    assert sound(case.judged(), "target")
