"""The way back past a broken reverse link: nothing is given up unless somebody says so by name, and then it is kept."""

from __future__ import annotations

import base64
import json

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import Direction, State
from bennu.errors import OperatorNeeded, RolledBack
from tests.sim.controllers_node import PARKED
from tests.sim.failpoints import left_behind
from tests.sim.pilot import ANN, BOB, Pilot, asked, at_rest, during, entered
from tests.sim.seams import Killed, Taps
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


def killed_at_each_effect(accept: bool) -> list[tuple[str, Universe]]:
    """The worlds that a way back leaves which is killed after any of its effects, once its direction is written down."""
    world, found = broken(quiet=not accept), list[tuple[str, Universe]]()

    def after(call: str) -> None:
        if call.startswith(("redis", "kubernetes", "repository")):
            found.append((call, left_behind(world)))

    assert Pilot(world, taps=Taps(after=after)).rollback(accept_loss=accept).code == 6
    assert len(found) > 20
    standings = [(call, copy, Pilot(copy).session.standing()) for call, copy in found]
    return [(call, copy) for call, copy, standing in standings if standing.open and standing.direction is not Direction.FORWARD]


@pytest.mark.parametrize("accept", [False, True])
def test_wherever_a_hand_back_is_killed_it_goes_on(accept: bool) -> None:
    faults = []
    for call, copy in killed_at_each_effect(accept):
        outcome = Pilot(copy).rollback(accept_loss=accept)
        if outcome.code != 6 or copy.writable() != ["blue"] or copy.violations:
            faults.append(f"after {call}: {outcome}, {copy.writable()}, {copy.violations}")
    assert not faults, faults[:3]


def test_wherever_a_hand_back_is_killed_a_plain_resume_inherits_no_acceptance() -> None:
    faults, refused = [], 0
    for call, copy in killed_at_each_effect(accept=True):
        # Once the old master is one again, the loss has happened, in a file: from there it only goes on.
        decided = copy.servers[Colour.BLUE].state.master is None
        outcome = Pilot(copy).resume()
        ended = (outcome.code, copy.writable(), copy.violations)
        refused += outcome.code == 7
        if ended != ((6, ["blue"], []) if decided else (7, ["green"], [])):
            faults.append(f"after {call}: {outcome}, {ended}")
        elif not decided:
            assert not only_blue_knows(copy)
            assert Pilot(copy).rollback(accept_loss=True).code == 6
    assert not faults, faults[:3]
    assert refused > 5


def only_blue_knows(world: Universe) -> list[str]:
    """Acknowledged writes that green lacks: none, as long as nothing was given up."""
    return [key for key in world.acknowledged if key not in world.servers[Colour.GREEN].state.keys]


def test_the_given_up_side_stays_fenced_and_is_never_attached() -> None:
    world, seen = broken(quiet=False), list[object]()
    pilot = Pilot(world)
    pilot.watch = during("rollback.ttl", lambda engine: seen.append(world.servers[Colour.GREEN].state.master))
    pilot.rollback(accept_loss=True)
    assert seen == [PARKED]
