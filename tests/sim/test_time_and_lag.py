"""The switchover when time passes or replication lags where it hurts most."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from tests.sim.pilot import Pilot, at_rest, entered, until
from tests.sim.seams import Killed, Taps
from tests.sim.test_systems_down import switchover_calls
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))


def goes_on_safely(world: Universe, taps: Taps, codes: tuple[int, ...] = (-1, 5)) -> int:
    """Through the switchover with *taps*, resumed where it stopped; how the first attempt ended."""
    pilot = Pilot(world, taps=taps)
    pilot.watch = until(State.PROMOTED)
    outcome = pilot.resume()
    assert outcome.code in codes, outcome
    assert (world.violations, len(world.writable()) <= 1) == ([], True)
    if not isinstance(outcome.error, Killed):
        second = Pilot(world)
        second.watch = until(State.PROMOTED)
        outcome_again = second.resume()
        assert outcome_again.standing.state is State.PROMOTED, outcome_again
    assert (world.violations, world.lost(), world.writable()) == ([], [], ["green"])
    assert world.master_in_git() is Colour.GREEN
    return outcome.code


@pytest.mark.deep
def test_a_laptop_may_sleep_for_an_hour_before_any_effect_of_the_switchover() -> None:
    broken = []
    for number, name in enumerate(switchover_calls()):
        if name.startswith("checkpoint"):
            continue
        world, taps = entered(State.SWITCHOVER_LOCKED, FAST), Taps()

        def sleep(call: str, world: Universe = world, taps: Taps = taps, number: int = number) -> None:
            if len(taps.calls) == number + 1:
                world.clock.sleep_laptop(3600)
                world.tick()

        taps.before = sleep
        try:
            goes_on_safely(world, taps)
        except AssertionError as error:
            broken.append(f"{number} {name}: {str(error)[:300]}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("call", ["redis.blue.pause", "redis.blue.fence"])
def test_a_link_that_stalls_in_the_pause_loses_nothing(call: str) -> None:
    world, stalls = entered(State.SWITCHOVER_LOCKED, FAST), [True]

    def stall(name: str) -> None:
        if name == call and stalls[0]:
            stalls[0] = False
            world.net.cut(world.servers[Colour.GREEN], world.servers[Colour.BLUE])
            world.clients_write()

    goes_on_safely(world, Taps(before=stall))


@pytest.mark.parametrize("call", ["redis.blue.fence", "redis.green.make_master"])
def test_a_pause_that_ran_out_before_the_next_command_loses_nothing(call: str) -> None:
    """The dead-man's switch lets clients write again, while the target does not hear of it."""
    world, late = entered(State.SWITCHOVER_LOCKED, FAST), [True]

    def overslept(name: str) -> None:
        if name == call and late[0]:
            late[0] = False
            world.net.cut(world.servers[Colour.GREEN], world.servers[Colour.BLUE])
            world.clock.pass_by(30)
            world.clients_write()

    goes_on_safely(world, Taps(before=overslept), codes=(-1, 5))


def test_a_stall_that_lasts_leaves_the_source_master_and_the_canary_to_be_run_again() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def stall(name: str) -> None:
        if name == "redis.blue.pause":
            world.fate.down.add(Colour.BLUE)
            world.tick()

    outcome = Pilot(world, taps=Taps(before=stall)).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY), outcome
    assert (world.writable(), world.violations) == (["blue"], [])
    assert world.runs_exclusive(Colour.BLUE)
    world.fate.down.clear()
    world.tick()
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("name", ["redis.blue.fence", "redis.green.make_master", "kubernetes.green.apply"])
def test_a_source_that_crashes_around_the_fence_is_never_a_second_master(name: str) -> None:
    world, crashes = entered(State.SWITCHOVER_LOCKED, FAST), [True]

    def crash(call: str) -> None:
        if call == name and crashes[0] and "redis.blue.fence" in taps.calls:
            crashes[0] = False
            world.servers[Colour.BLUE].crash()

    taps = Taps(after=crash)
    pilot = Pilot(world, taps=taps)
    pilot.watch = until(State.PROMOTED)
    outcome = pilot.resume()
    assert not crashes[0]
    assert (world.violations, len(world.writable()) <= 1) == ([], True), outcome
    if outcome.standing.state is State.PROMOTED:
        assert not world.lost()


@pytest.mark.parametrize(("missed", "given_up"), [(1, 0), (2, 0), (3, 1), (7, 2)])
def test_a_hand_over_whose_proof_was_missed_is_tried_again(missed: int, given_up: int) -> None:
    """Each fence that is taken back gives the source another replid: none of them may look like a source that lost its data."""
    world, left = entered(State.SWITCHOVER_LOCKED, FAST), [missed]

    def overslept(name: str) -> None:
        if name == "redis.blue.fence" and left[0]:
            left[0] -= 1
            world.net.cut(world.servers[Colour.GREEN], world.servers[Colour.BLUE])
            world.clock.pass_by(30)
            world.clients_write()

    for _ in range(given_up):
        outcome = Pilot(world, taps=Taps(before=overslept)).resume()
        assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    last = Pilot(world, taps=Taps(before=overslept)).resume()
    assert (last.error, left) == (None, [0]), last
    at_rest(world, Colour.GREEN)


def test_a_save_that_begins_after_the_pre_check_is_waited_for() -> None:
    """Redis saves when it likes; that is no reason to send users' traffic back."""
    world, begins = entered(State.SWITCHOVER_LOCKED, FAST), [True]

    def saves(name: str) -> None:
        knobs = world.servers[Colour.BLUE].knobs
        # The pre-check hurries Flux once in each cluster; the next one that is hurried is for the stop of what may run only once.
        if name == "kubernetes.blue.patch" and begins[0] and "kubernetes.green.patch" in pilot.taps.calls:
            begins[0], knobs.saving = False, True
        elif name == "redis.blue.kill_named":
            knobs.saving = False

    pilot = Pilot(world, taps=Taps(before=saves))
    pilot.watch = until(State.PROMOTED)
    outcome = pilot.resume()
    assert not begins[0]
    assert outcome.standing.state is State.PROMOTED, outcome
    assert (world.violations, world.lost(), world.writable()) == ([], [], ["green"])
