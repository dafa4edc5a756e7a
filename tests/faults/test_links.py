"""The replication link stalls, with no reset that would tell anybody, while the reverse one lives."""

from __future__ import annotations

import pytest

from tests.faults.stage import Case, sound
from tests.faults.tool import Stop

pytestmark = pytest.mark.faults


def behind(case: Case, *more: Stop) -> int:
    """Frozen between catch-up and fence for longer than the pause: the source goes on, and the target hears nothing of it. Woken, what it ends with."""
    tool = case.held(Stop("source.fence", signal="SIGSTOP"), *more)
    case.source.way.stall()
    case.freeze(tool)
    case.users_go_on()
    tool.wake()
    return tool.ended()


def test_a_fence_that_the_target_never_reaches_is_taken_back(case: Case) -> None:
    assert behind(case) == 5, case.tools[-1].story()
    case.users_go_on()
    assert case.named() is case.source
    case.source.way.flow()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("flows_first", [False, True], ids=["still-stalled", "flowing-again"])
def test_a_fence_that_nobody_took_back_is_decided_by_what_the_target_holds(case: Case, flows_first: bool) -> None:
    assert behind(case, Stop("source.make_master")) == -9, case.tools[-1].story()
    if flows_first:
        case.source.way.flow()
    tool = case.tool()
    # What waited in the stalled link may be all that the target lacked: then it has reached the fence's offset, and is promoted.
    assert tool.ended() in ((0, 5) if flows_first else (5,)), tool.story()
    case.users_go_on()
    assert flows_first or case.named() is case.source
    case.source.way.flow()
    case.finish()
    assert sound(case.judged(), "target")


@pytest.mark.parametrize("point", ["source.pause", "target.reaches", "source.fence"])
def test_a_link_that_stalls_in_the_pause(case: Case, point: str) -> None:
    tool = case.held(Stop(point, signal="SIGSTOP"))
    case.source.way.stall()
    tool.wake()
    # Where the target had all before the link stalled, the hand-over needs the link no more.
    assert tool.ended() in (0, 5), tool.story()
    case.users_go_on()
    case.source.way.flow()
    case.finish()
    assert sound(case.judged(), "target")
