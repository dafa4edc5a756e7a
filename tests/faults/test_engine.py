"""The engine's whole S6 on real servers: killed, taken over while it is frozen, and stopped by ^C, at the fence and at the promotion."""

from __future__ import annotations

import pytest

from bennu.core.states import State
from bennu.engine.run import Engine
from bennu.errors import DependencyDown, LockLost
from tests.faults.engine import Whole
from tests.faults.stage import Case, sound
from tests.sim.pilot import ANN, BOB, Outcome
from tests.sim.seams import Killed
from tests.sim.universe import Kit

pytestmark = pytest.mark.faults

WHOLE = Kit(weights=(10,))
UNSTOPPED = Kit(weights=(10,), active_only=False)  # no workload is stopped first: the hand-over is the phase's first effect
POINTS = pytest.mark.parametrize("point", ["redis.blue.pause", "redis.blue.fence", "redis.green.make_master", "redis.blue.attach"])


def killed(engine: Engine) -> None:
    raise Killed


def interrupted(engine: Engine) -> None:
    engine.lookout.stop.set(2)


@POINTS
def test_killed_and_resumed(case: Case, point: str) -> None:
    whole = Whole.begun(case, WHOLE)
    assert isinstance(whole.process(ANN, point, killed).error, Killed)
    whole.goes_on()
    case.users_go_on()
    assert sound(case.judged(), "target")


@POINTS
def test_frozen_while_a_colleague_takes_over_then_woken(case: Case, point: str) -> None:
    whole, bobs = Whole.begun(case, WHOLE), list[Outcome]()
    ann = whole.process(ANN, point, lambda engine: bobs.append(whole.process(BOB)))
    assert bobs[0].standing.state is State.PROMOTED, bobs[0]
    assert isinstance(ann.error, LockLost | DependencyDown), ann
    case.users_go_on()
    assert sound(case.judged(), "target")


@POINTS
def test_frozen_while_a_take_over_is_interrupted_then_woken(case: Case, point: str) -> None:
    whole, bobs = Whole.begun(case, UNSTOPPED), list[Outcome]()
    ann = whole.process(ANN, point, lambda engine: bobs.append(whole.process(BOB, stopped=True)))
    # Whatever Bob decided, he decided it alone, and left nobody behind a fence.
    assert isinstance(ann.error, LockLost | DependencyDown), ann
    case.users_go_on()
    if bobs[0].standing.state is not State.PROMOTED:
        whole.goes_on()
    assert sound(case.judged(), "target")


@POINTS
def test_stopped_by_a_signal_it_ends_what_it_has_begun(case: Case, point: str) -> None:
    whole = Whole.begun(case, WHOLE)
    outcome = whole.process(ANN, point, interrupted)
    assert outcome.standing.state in (State.PROMOTED, State.TRAFFIC_CANARY), outcome
    case.users_go_on()
    if outcome.standing.state is not State.PROMOTED:
        whole.goes_on()
    assert sound(case.judged(), "target")
