"""A process that dies at any failpoint leaves a world from which another one goes on: same end, one master, nothing done twice, no acknowledged write lost.

Three go on from each: the same machine, another laptop that has the repository alone, and one that dies at a point of the same kind before the next goes on. A leg ends where the next state
begins, or with the run; there everything that decides how a rotation goes on must be as where nobody died.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import bennu.phases
from bennu.phases.base import Step
from tests.sim.effects import EFFECTS
from tests.sim.legs import LEGS
from tests.sim.points import At, Call, Failpoint, failpoints
from tests.sim.resumes import How, Leg, judged, undisturbed


def points(leg: Leg) -> list[Failpoint]:
    """One for each world that a failpoint of *leg* leaves."""
    return list({point.moment: point for point in reversed(failpoints(undisturbed(leg).recording.calls))}.values())[::-1]


def tried(leg: Leg, chosen: list[Failpoint], hows: list[How], begin: int = 0) -> list[str]:
    """What went wrong; *begin* is the first one's number."""
    broken = []
    for number, point in enumerate(chosen, begin):
        for how in hows:
            found = judged(undisturbed(leg).recording.worlds[point.moment], leg, point, how, number)
            if found:
                broken.append(f"{point} [{point.moment}], {how}:\n    " + "\n    ".join(found))
    return broken


# Steps that only a silent API or an earlier disaster brings about: in test_lost_before_the_promotion and test_disaster_judged, without a kill at each of their calls.
ELSEWHERE = {"PointerBack", "OwnWrites"}
# Acts on the leg past a broken link, inside the step that swaps the roles, which is the one that is recorded.
WRAPPED = {"HandBack"}
# Asked of the holder by whoever types a request, or only by tests and the lab; kept is only what a way back would lose, which is in test_not_attached and test_broken_way_back.
UNCALLED = {"post", "patch_status", "save_dump"}
# A few legs on which everything is met: making, switching, going back and taking down.
FEW = [leg for leg in LEGS if leg.name in ("forward, PROVISIONING", "forward, SWITCHOVER_LOCKED", "reverse")]


def order(effect: Call, found: list[Failpoint]) -> list[int]:
    """The moments of an effect's four points."""
    return [next(point.moment for point in found if point.effect is effect and point.at is at) for at in At]


def has_its_four(leg: Leg) -> None:
    recording = undisturbed(leg).recording
    assert [call.name for call in recording.calls] == recording.heard, "a write that was heard is in the list"
    found = failpoints(recording.calls)
    effects = [call for call in recording.calls if call.is_effect]
    assert len(found) == 4 * len(effects)
    for effect in effects:
        before, intended, after, done = order(effect, found)
        assert before <= intended < after <= done, effect
        # What only looks or waits may hurry Flux; what acts has said so first, and proved by it that the lock is held.
        assert effect.part != "act" or before < intended, f"{effect} was not announced"


@pytest.mark.parametrize("leg", FEW, ids=str)
def test_every_effect_has_its_four_points(leg: Leg) -> None:
    has_its_four(leg)


@pytest.mark.parametrize("leg", FEW, ids=str)
def test_some_failpoints_end_as_if_nobody_had_died(leg: Leg) -> None:
    chosen = points(leg)
    broken = []
    for number, point in enumerate(chosen[:: len(chosen) // 12]):
        broken += tried(leg, [point], [list(How)[number % 3]], number)
    assert not broken, "\n".join(broken)


@pytest.mark.deep
@pytest.mark.timeout(1200)
def test_every_effect_of_every_step_is_met_on_some_leg() -> None:
    ran: set[type[Step]] = set()
    called: set[str] = set()
    effects, places = 0, 0
    for leg in LEGS:
        has_its_four(leg)
        effects, places = effects + sum(call.is_effect for call in undisturbed(leg).recording.calls), places + len(points(leg))
        ran |= undisturbed(leg).recording.steps.ran
        called |= {call.name.split(".")[-1] for call in undisturbed(leg).recording.calls}
    assert {step.__name__ for step in concrete() - ran} == ELSEWHERE | WRAPPED
    assert EFFECTS - called == UNCALLED
    print(f"{len(LEGS)} legs, {effects} effects, {4 * effects} failpoints, {places} worlds, {3 * places} runs")
    assert (effects > 500, places > 1000) == (True, True)


def concrete() -> set[type[Step]]:
    """Every step of ``bennu.phases``."""
    modules = [importlib.import_module(f"bennu.phases.{found.name}") for found in pkgutil.iter_modules(bennu.phases.__path__)]
    found = {one for module in modules for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, Step) and not inspect.isabstract(one)}
    return {one for one in found if not any(other is not one and issubclass(other, one) for other in found) or "id" in vars(one)}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("leg", LEGS, ids=str)
@pytest.mark.parametrize("how", How)  # the one that varies first: a leg is recorded once for all three
def test_whoever_goes_on_from_a_failpoint_ends_as_if_nobody_had_died(leg: Leg, how: How) -> None:
    chosen = points(leg)
    broken = tried(leg, chosen, [how])
    assert not broken, "\n".join([f"{len(broken)} of {len(chosen)}", *broken])
