"""A target, or a pointer's API, that is lost before the promotion: the source goes on as it was, and what cannot be put back is said and done later."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.phases.kinds import CONFIGMAP, FLUX_RECONCILE, annotations_of
from bennu.ports.kubernetes import Ref
from tests.sim.pilot import Outcome, Pilot, at_rest
from tests.sim.seams import Killed, Taps
from tests.sim.test_second_masters import said
from tests.sim.test_section_errors import locked, silent
from tests.sim.universe import Universe

SOURCE_ALONE = {"payment-service": 100}


def at_once(call: str, strike: Callable[[], None]) -> Taps:
    """Taps by which something happens just before the first call of that name."""
    left = [True]

    def before(name: str) -> None:
        if name == call and left:
            left.clear()
            strike()

    return Taps(before=before)


def gone(world: Universe, *, api: bool) -> None:
    """The target's Redis answers no more; with *api* its cluster neither."""
    world.servers[Colour.GREEN].knobs.up = False
    if api:
        world.clusters[Colour.GREEN].up = False


def back(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.up = True
    world.clusters[Colour.GREEN].up = True


def held_off(world: Universe, colour: Colour) -> bool:
    live = world.clusters[colour].at(Ref(CONFIGMAP, "global-traffic-state", "payments"))
    return live is not None and annotations_of(live).get(FLUX_RECONCILE) == "disabled"


def as_before(world: Universe, outcome: Outcome) -> None:
    """Back in S5 at the source, which lacks nothing that it had."""
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert world.runs_exclusive(Colour.BLUE)
    assert world.pointer(Colour.BLUE)["MAINTENANCE_MODE"] == "false"
    assert not held_off(world, Colour.BLUE)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    assert (world.violations, world.lost()) == ([], [])


@pytest.mark.parametrize("api", [False, True], ids=["redis", "cluster"])
def test_a_target_that_is_lost_while_what_runs_only_once_stands_still_gives_all_back(api: bool) -> None:
    world = locked()
    pilot = Pilot(world)
    pilot.watch = lambda engine, progress: gone(world, api=api) if progress.step == "switchover-locked.stop-active-only" else None
    as_before(world, pilot.resume())
    back(world)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("api", [False, True], ids=["redis", "cluster"])
@pytest.mark.parametrize("call", ["kubernetes.green.apply", "redis.blue.pause", "redis.blue.fence"])
def test_a_target_that_is_lost_before_its_promotion_gives_all_back(call: str, api: bool) -> None:
    world = locked()
    as_before(world, Pilot(world, taps=at_once(call, lambda: gone(world, api=api))).resume())
    back(world)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_dead_holder_and_a_dead_target_leave_the_source_open() -> None:
    world = locked()

    def die(call: str) -> None:
        if call == "redis.blue.pause":
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(before=die)).resume().error, Killed)
    gone(world, api=True)
    as_before(world, Pilot(world).resume())


def test_a_frozen_target_behind_the_fence_gives_the_source_back_although_it_has_a_new_history() -> None:
    world = locked()
    target, source = world.servers[Colour.GREEN], world.servers[Colour.BLUE]

    def late() -> None:
        # It hears nothing of the last writes, and then answers no more: the fence is missed and taken back, and the next try cannot open a connection.
        world.net.cut(target, source)
        source.paused_until = 0.0

    taps = at_once("redis.blue.fence", late)
    taps.after = lambda call: setattr(target.knobs, "reachable", False) if call == "redis.blue.make_master" else None
    outcome = Pilot(world, taps=taps).resume()
    as_before(world, outcome)
    target.knobs.reachable = True
    world.net.heal(target, source)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


# The pointers between the announcement and the pause


def second_writes_fail(cluster: str, *, times: int) -> Taps:
    """Taps by which a pointer can be claimed, and then not be written, *times* times."""
    seen = [0]

    def strike(call: str) -> None:
        if call == f"kubernetes.{cluster}.apply":
            seen[0] += 1
            if 1 < seen[0] <= 1 + times:
                raise silent()

    return Taps(before=strike)


@pytest.mark.parametrize("cluster", ["blue", "green"])
def test_a_pointer_that_fails_in_the_announcement_leaves_no_maintenance_behind(cluster: str) -> None:
    world = locked()
    outcome = Pilot(world, taps=second_writes_fail(cluster, times=1)).resume()
    as_before(world, outcome)
    assert {world.pointer(colour)["MAINTENANCE_MODE"] for colour in (Colour.BLUE, Colour.GREEN)} == {"false"}
    assert not held_off(world, Colour.GREEN)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def said_maintenance(world: Universe, taps: Taps) -> list[str]:
    """What the pointers said at each call."""
    seen: list[str] = []
    before = taps.before

    def noted(call: str) -> None:
        seen.extend(world.pointer(colour)["MAINTENANCE_MODE"] for colour in (Colour.BLUE, Colour.GREEN))
        before(call)

    taps.before = noted
    return seen


def test_a_source_that_is_lost_at_the_pause_leaves_no_maintenance_behind() -> None:
    world = locked()
    taps = at_once("redis.blue.pause", lambda: setattr(world.servers[Colour.BLUE].knobs, "reachable", False))
    seen = said_maintenance(world, taps)
    outcome = Pilot(world, taps=taps).resume()
    assert "true" in seen
    assert outcome.code == 8, outcome
    assert {world.pointer(colour)["MAINTENANCE_MODE"] for colour in (Colour.BLUE, Colour.GREEN)} == {"false"}


def test_a_pointer_that_stays_unwritable_is_said_and_put_back_before_any_traffic_comes() -> None:
    world = locked()

    def strikes() -> None:
        gone(world, api=True)

    taps = at_once("redis.blue.pause", strikes)
    seen = said_maintenance(world, taps)
    outcome = Pilot(world, taps=taps).resume()
    as_before(world, outcome)
    assert "true" in seen
    assert any("the pointer of cluster-green may still say MAINTENANCE_MODE" in progress.text for progress in outcome.progress)
    assert (world.pointer(Colour.GREEN)["MAINTENANCE_MODE"], held_off(world, Colour.GREEN)) == ("true", True)
    back(world)
    moved: list[str] = []
    pilot = Pilot(world)
    pilot.watch = lambda engine, progress: (
        moved.append(world.pointer(Colour.GREEN)["MAINTENANCE_MODE"]) if progress.step.startswith("traffic-canary.weight") else None
    )
    assert pilot.resume().error is None
    assert set(moved) == {"false"}
    at_rest(world, Colour.GREEN)


def test_a_source_whose_api_stays_silent_says_that_it_is_writable_and_what_stays() -> None:
    world = locked()
    outcome = Pilot(world, taps=second_writes_fail("blue", times=99)).resume()
    assert (outcome.code, world.writable()) == (8, ["blue"]), outcome
    assert "the source is writable" in said(outcome).changed
    assert "MAINTENANCE_MODE" in said(outcome).changed
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)
