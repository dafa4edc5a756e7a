"""The way back past a broken reverse link: nothing is given up unless somebody says so by name, and then it is kept."""

from __future__ import annotations

import base64
import json

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import Direction, State
from bennu.errors import OperatorNeeded, RolledBack
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import ANN, BOB, Pilot, asked, at_rest, during, entered
from tests.sim.seams import Killed, Taps
from tests.sim.test_kills import left_behind
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))


def broken(*, quiet: bool) -> Universe:
    """Promoted, and then the old master lost sight of the new one. *quiet*: nobody writes."""
    world = entered(State.PROMOTED, FAST)
    if quiet:
        world.clients_write = lambda: None  # type: ignore[method-assign]
    world.fate.down.add(Colour.GREEN)
    world.tick()
    assert not world.servers[Colour.BLUE].state.synced
    return world


def only_green(world: Universe) -> set[str]:
    return set(world.servers[Colour.GREEN].state.keys) - set(world.servers[Colour.BLUE].state.keys)


def test_a_loss_is_refused_with_both_sides_kept_and_nothing_changed() -> None:
    world = broken(quiet=False)
    world.servers[Colour.GREEN].client_write("order-4711", "paid")
    before = world.remote.history[-1]
    outcome = Pilot(world, ANN).rollback()
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert outcome.code == 7
    assert "bytes of replication stream that only cluster-green has" in outcome.error.message
    assert "--accept-loss" in outcome.error.next_step
    assert (outcome.standing.state, outcome.standing.direction) == (State.PROMOTED, Direction.FORWARD)
    assert world.remote.history[-1] is before
    assert (world.writable(), world.master_in_git()) == (["green"], Colour.GREEN)
    dumps = world.disk(ANN.name).dumps
    assert {name.split(".")[1] for name in dumps} == {"blue", "green"}
    lines = [json.loads(line) for name, body in dumps.items() if ".green." in name for line in body.splitlines()]
    assert lines[0]["format"] == "bennu-redis-export-1"
    kept = {base64.b64decode(line["key"]): base64.b64decode(line["dump"]) for line in lines[1:]}
    assert kept[b"order-4711"] == b"paid"
    # It goes on where it stood, and with a mended link goes back without loss.
    world.fate.down.clear()
    world.tick()
    assert Pilot(world, BOB).rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_without_divergence_the_authority_goes_back() -> None:
    world = broken(quiet=True)
    outcome = Pilot(world).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    at_rest(world, Colour.BLUE)
    assert world.disk(ANN.name).dumps == {}


def test_an_accepted_loss_goes_back_and_what_was_given_up_is_kept() -> None:
    world = broken(quiet=False)
    green = world.servers[Colour.GREEN]
    outcome = Pilot(world).rollback(accept_loss=True)
    assert isinstance(outcome.error, RolledBack), outcome
    assert world.violations == []
    assert (world.writable(), world.master_in_git()) == (["blue"], Colour.BLUE)
    (last,) = [body for name, body in world.disk(ANN.name).dumps.items() if "given-up" in name]
    kept = {base64.b64decode(json.loads(line)["key"]).decode() for line in last.splitlines()[1:]}
    assert kept == set(green.state.keys)
    assert only_green(world) & set(world.acknowledged)
    assert set(world.lost()) == only_green(world) & set(world.acknowledged)


def test_a_request_carries_the_acceptance_to_the_holder() -> None:
    world = broken(quiet=False)
    asked(world, "rollback", data={"accept-loss": "true"})
    assert Pilot(world).resume().code == 6
    assert world.writable() == ["blue"]


def test_an_acceptance_is_for_one_way_back_only() -> None:
    world = broken(quiet=False)

    def die(call: str) -> None:
        if call == "checkpoint.save_dump":
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(before=die)).rollback(accept_loss=True).error, Killed)
    again = Pilot(world, ANN)
    world.disk(ANN.name).locks.clear()
    assert again.rollback().code == 7
    assert world.writable() == ["green"]


def test_a_write_between_the_look_and_the_fence_is_not_lost() -> None:
    world = broken(quiet=True)

    def written(call: str) -> None:
        if call == "redis.green.fence":
            world.servers[Colour.GREEN].client_write("late", "1")

    outcome = Pilot(world, taps=Taps(before=written)).rollback()
    assert outcome.code == 7, outcome
    assert (world.writable(), world.master_in_git()) == (["green"], Colour.GREEN)
    assert world.violations == []
    assert Pilot(world).rollback(accept_loss=True).code == 6
    assert world.writable() == ["blue"]


def test_a_link_that_is_down_for_a_moment_costs_nothing() -> None:
    world = broken(quiet=False)
    world.clock.after(1.5, world.fate.down.clear)
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


@pytest.mark.parametrize("accept", [False, True])
def test_wherever_a_hand_back_is_killed_it_goes_on(accept: bool) -> None:
    world, found = broken(quiet=not accept), list[tuple[str, Universe]]()

    def after(call: str) -> None:
        if call.startswith(("redis", "kubernetes", "repository")):
            found.append((call, left_behind(world)))

    assert Pilot(world, taps=Taps(after=after)).rollback(accept_loss=accept).code == 6
    assert len(found) > 20
    faults = []
    for call, copy in found:
        pilot = Pilot(copy)
        standing = pilot.session.standing()
        if not standing.open or standing.direction is Direction.FORWARD:
            continue
        outcome = pilot.resume()
        if outcome.code != 6 or copy.writable() != ["blue"] or copy.violations:
            faults.append(f"after {call}: {outcome}, {copy.writable()}, {copy.violations}")
    assert not faults, faults[:3]


def test_the_given_up_side_stays_fenced_and_is_never_attached() -> None:
    world, seen = broken(quiet=False), list[object]()
    pilot = Pilot(world)
    pilot.watch = during("rollback.ttl", lambda engine: seen.append(world.servers[Colour.GREEN].state.master))
    pilot.rollback(accept_loss=True)
    assert seen == [PARKED]
