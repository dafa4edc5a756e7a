"""Every failure inside the critical section meets the rule of the place where it strikes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import BennuError, DependencyDown, GateRefused
from tests.sim.pilot import Pilot, at_rest, entered
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))


def failing(at: str, error: Callable[[], Exception], *, times: int, after: str = "") -> Taps:
    """Taps by which the call named *at* fails, *times* times, once *after* was called."""
    left = [times]

    def strike(call: str) -> None:
        if call == at and left[0] and (not after or after in taps.calls):
            left[0] -= 1
            raise error()

    taps = Taps(before=strike)
    return taps


def refused() -> Exception:
    return GateRefused("Redis refuses: NOPERM")


def silent() -> Exception:
    return DependencyDown("the API does not answer")


def locked() -> Universe:
    return entered(State.SWITCHOVER_LOCKED, FAST)


@pytest.mark.parametrize("call", ["redis.blue.pause", "redis.blue.fence", "redis.green.make_master"])
def test_a_server_that_refuses_before_it_changed_gives_the_source_back(call: str) -> None:
    world = locked()
    outcome = Pilot(world, taps=failing(call, refused, times=1)).resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert "NOPERM" in str(outcome.error)
    assert world.pointer(Colour.BLUE)["IS_WRITE_MASTER"] == "true"
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_no_thread_is_started_while_writers_wait() -> None:
    world, there, newcomers = locked(), list[threading.Thread](), list[str]()

    def look(call: str) -> None:
        if call == "redis.blue.pause":
            there.extend(threading.enumerate())
        elif there and "redis.blue.unpause" not in taps.calls[:-1] and threading.current_thread() not in there:
            newcomers.append(call)

    taps = Taps(before=look)
    assert Pilot(world, taps=taps).resume().error is None
    assert taps.calls.count("redis.blue.unpause") == 1
    assert there
    assert not newcomers


@pytest.mark.parametrize("cluster", ["blue", "green"])
def test_a_pointer_that_cannot_be_written_for_a_moment_is_written_again(cluster: str) -> None:
    world = locked()
    outcome = Pilot(world, taps=failing(f"kubernetes.{cluster}.apply", silent, times=2, after="redis.blue.fence")).resume()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)


def test_a_pointer_that_stays_unwritable_says_that_the_target_is_master_and_a_resume_finishes() -> None:
    world = locked()
    outcome = Pilot(world, taps=failing("kubernetes.green.apply", silent, times=99, after="redis.blue.fence")).resume()
    assert (outcome.code, world.writable()) == (8, ["green"]), outcome
    assert isinstance(outcome.error, BennuError)
    assert "the target is master" in outcome.error.changed
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_refusal_after_the_promotion_stops_resumably_and_never_claims_that_nothing_changed() -> None:
    world = locked()
    outcome = Pilot(world, taps=failing("redis.blue.attach", refused, times=1)).resume()
    assert (outcome.code, world.writable()) == (5, ["green"]), outcome
    assert isinstance(outcome.error, BennuError)
    assert "the target is master" in outcome.error.changed
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def dying(world: Universe, before: str) -> Taps:
    """Taps by which the target dies just before a call."""

    def strike(call: str) -> None:
        if call == before:
            world.servers[Colour.GREEN].knobs.up = False

    return Taps(before=strike)


def test_a_target_that_dies_in_the_pause_leaves_the_source_open() -> None:
    world = locked()
    outcome = Pilot(world, taps=dying(world, "redis.blue.pause")).resume()
    assert (outcome.code, world.writable()) == (5, ["blue"]), outcome
    assert world.pointer(Colour.BLUE)["IS_WRITE_MASTER"] == "true"
    world.servers[Colour.GREEN].knobs.up = True


def test_a_target_that_dies_behind_the_fence_gives_the_source_back_while_nobody_else_can_have_decided() -> None:
    world = locked()
    outcome = Pilot(world, taps=dying(world, "redis.blue.fence")).resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert world.pointer(Colour.BLUE)["IS_WRITE_MASTER"] == "true"
    world.servers[Colour.GREEN].knobs.up = True
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_target_that_dies_once_its_promotion_went_out_is_never_decided_without() -> None:
    world = locked()
    outcome = Pilot(world, taps=dying(world, "redis.green.make_master")).resume()
    assert (outcome.code, world.writable()) == (8, []), outcome
    world.servers[Colour.GREEN].knobs.up = True
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_new_master_that_is_out_of_memory_is_an_operators_matter_and_says_what_stands() -> None:
    world = locked()
    outcome = Pilot(world, taps=failing("redis.green.write_probe", refused, times=1)).resume()
    assert (outcome.code, world.writable()) == (7, ["green"]), outcome
    assert isinstance(outcome.error, BennuError)
    assert "the target is master" in outcome.error.changed
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)
