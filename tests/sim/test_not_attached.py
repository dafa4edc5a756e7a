"""An old master that may hold writes of its own is attached by nobody but an operator who was shown them, and then they are in a file."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.turns import Wishes
from tests.sim.controllers_node import PARKED
from tests.sim.failpoints import left_behind
from tests.sim.pilot import ANN, AUTO, BOB, Outcome, Pilot, at_rest, entered, fresh_take
from tests.sim.seams import Killed, Taps
from tests.sim.test_second_masters import FAST, promoted_behind_our_back, said
from tests.sim.test_section_errors import locked
from tests.sim.universe import Universe

GIVEN_UP = Wishes(auto_promote=True, accept_loss=True)
STRAY = "order-only-blue"


def with_stray_writes(wishes: Wishes = AUTO) -> tuple[Universe, Outcome]:
    """The source turns out to hold a write that the target never got, when the target is master already."""
    world = locked()

    def written(call: str) -> None:
        source = world.servers[Colour.BLUE]
        if call == "redis.green.make_master" and STRAY not in source.state.keys:
            source.state = replace(source.state, offset=source.state.offset + 55, data=(*source.state.data, (STRAY, "paid")))

    return world, Pilot(world, taps=Taps(after=written)).resume(wishes)


def with_a_restarted_target() -> tuple[Universe, Outcome]:
    """The target restarts right after its promotion: it has all its data, and a history that nobody can compare."""
    world, left = locked(), [True]

    def restarts(call: str) -> None:
        if call == "redis.green.make_master" and left:
            left.clear()
            world.servers[Colour.GREEN].crash()

    return world, Pilot(world, taps=Taps(after=restarts)).resume()


def keys_in(body: bytes) -> dict[str, str]:
    found = [json.loads(line) for line in body.splitlines()[1:]]
    return {base64.b64decode(one["key"]).decode(): base64.b64decode(one["dump"]).decode() for one in found}


def files(world: Universe, when: str) -> list[bytes]:
    return [body for name, body in world.disk(ANN.name).dumps.items() if f".{when}." in name]


def test_the_refusal_has_kept_both_sides_and_says_the_next_command() -> None:
    world, outcome = with_stray_writes()
    assert outcome.code == 7, outcome
    error = said(outcome)
    assert "55 bytes of replication stream: 1 keys that only it has" in error.message
    assert "not attached" in error.message
    assert "both sides are kept in memory:" in error.changed
    assert "bennu rotate resume --accept-loss" in error.next_step
    assert (world.writable(), world.pointer(Colour.BLUE)["IS_WRITE_MASTER"]) == (["green"], "false")
    (old,), (new,) = files(world, "old"), files(world, "new")
    assert keys_in(old)[STRAY] == "paid"
    assert STRAY not in keys_in(new)
    assert STRAY not in outcome.standing.facts["stray.kept"] + outcome.standing.facts["stray.found"] + outcome.standing.reason
    assert any(STRAY in progress.text for progress in outcome.progress)


def test_histories_that_are_not_related_are_the_same_case_with_an_unknown_number() -> None:
    world, outcome = with_a_restarted_target()
    assert outcome.code == 7, outcome
    assert "an unknown number of bytes: 0 keys that only it has" in said(outcome).message
    assert Pilot(world).resume().code == 7
    assert Pilot(world).resume(GIVEN_UP).error is None
    at_rest(world, Colour.GREEN)


def test_a_plain_resume_refuses_with_the_same_words_and_keeps_nothing_twice() -> None:
    world, first = with_stray_writes()
    before = dict(world.disk(ANN.name).dumps)
    again, elsewhere = Pilot(world).resume(), Pilot(world, BOB).resume()
    for outcome in (again, elsewhere):
        assert outcome.code == 7, outcome
        words = said(outcome)
        assert (words.message, words.changed, words.next_step) == (said(first).message, said(first).changed, said(first).next_step)
    assert world.disk(ANN.name).dumps == before
    assert world.disk(BOB.name).dumps == {}
    assert STRAY in world.servers[Colour.BLUE].state.keys


def test_an_accepted_loss_attaches_the_old_master_and_its_last_state_is_in_a_file() -> None:
    world, _ = with_stray_writes()
    outcome = Pilot(world).resume(GIVEN_UP)
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)
    assert STRAY not in world.servers[Colour.GREEN].state.keys
    (last,) = files(world, "given-up")
    assert keys_in(last)[STRAY] == "paid"
    assert "given-up" in outcome.standing.facts["stray.given-up"]
    assert outcome.standing.facts["stray.kept"] == ""


def test_the_machine_that_throws_the_writes_away_keeps_them_itself() -> None:
    world, _ = with_stray_writes()
    assert fresh_take(world, BOB, GIVEN_UP).error is None
    (body,) = world.disk(BOB.name).dumps.values()
    assert keys_in(body)[STRAY] == "paid"


def test_what_nobody_has_been_shown_cannot_be_accepted() -> None:
    world, outcome = with_stray_writes(GIVEN_UP)
    assert outcome.code == 7, outcome
    assert STRAY in world.servers[Colour.BLUE].state.keys
    assert Pilot(world).resume(GIVEN_UP).error is None


def test_an_acceptance_dies_with_the_command_that_gave_it() -> None:
    world, _ = with_stray_writes()

    def die(call: str) -> None:
        if call == "redis.blue.attach":
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(before=die)).resume(GIVEN_UP).error, Killed)
    assert Pilot(world).resume().code == 7
    assert STRAY in world.servers[Colour.BLUE].state.keys
    assert Pilot(world).resume(GIVEN_UP).error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("history_kept", [True, False])
def test_a_restart_of_the_old_master_excuses_no_write_of_its_own(history_kept: bool) -> None:
    world, _ = with_stray_writes()
    world.servers[Colour.BLUE].crash(history_kept=history_kept)
    assert Pilot(world).resume().code == 7
    assert STRAY in world.servers[Colour.BLUE].state.keys


def test_what_changed_since_it_was_shown_is_shown_again_before_it_is_given_up() -> None:
    world, _ = with_stray_writes()
    world.servers[Colour.BLUE].crash()
    world.clock.wait(2)
    assert Pilot(world).resume(GIVEN_UP).code == 7
    assert len(files(world, "old")) == 2
    assert Pilot(world).resume(GIVEN_UP).error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("wishes", [AUTO, GIVEN_UP])
def test_a_disk_that_keeps_nothing_lets_nothing_be_given_up(wishes: Wishes) -> None:
    world, _ = with_stray_writes()
    if wishes is AUTO:
        # Not what was shown any more, so that it is to be kept anew.
        world.servers[Colour.BLUE].crash()

    def fill(call: str) -> None:
        if call == "repository.advance":  # the lock's: before that, a full disk stops him at once
            world.disk(BOB.name).full = True

    outcome = Pilot(world, BOB, taps=Taps(after=fill)).resume(wishes)
    assert outcome.code == 7, outcome
    assert "No space left" in str(outcome.error) + said(outcome).changed
    assert STRAY in world.servers[Colour.BLUE].state.keys


def test_an_old_master_that_an_operator_attached_by_hand_is_finished_with() -> None:
    world, _ = with_stray_writes()
    world.servers[Colour.BLUE].follow(world.servers[Colour.GREEN].address)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_after_two_masters_the_way_out_is_the_same_and_nobody_is_sent_there_before() -> None:
    world, _ = promoted_behind_our_back()
    assert keys_in(files(world, "old")[0])[STRAY] == "paid"
    for _ in range(2):
        again = Pilot(world).resume()
        assert again.code == 7
        assert "both servers were masters" in said(again).message
        assert "bennu rotate resume --accept-loss" in said(again).next_step
    assert len(files(world, "old")) == 1
    assert world.pointer(Colour.GREEN)["IS_WRITE_MASTER"] == "false"
    assert Pilot(world).resume(GIVEN_UP).error is None
    assert (world.writable(), world.master_in_git()) == (["green"], Colour.GREEN)
    # What is lost is what was given up, all of it in the file.
    assert STRAY in world.lost()
    assert set(world.lost()) <= set(keys_in(files(world, "given-up")[0]))


def test_a_target_that_is_no_master_any_more_is_given_nothing() -> None:
    world, _ = with_stray_writes()

    def demoted(call: str) -> None:
        if call == "kubernetes.green.apply":
            world.servers[Colour.GREEN].follow(PARKED)

    outcome = Pilot(world, taps=Taps(after=demoted)).resume(GIVEN_UP)
    assert outcome.code == 7, outcome
    assert outcome.standing.state is State.SWITCHOVER_LOCKED
    assert STRAY in world.servers[Colour.BLUE].state.keys


def test_an_old_master_that_somebody_opens_while_it_is_kept_is_not_attached() -> None:
    world, _ = with_stray_writes()

    def opened(call: str) -> None:
        source = world.servers[Colour.BLUE]
        if call == "checkpoint.save_dump" and STRAY in source.state.keys and source.state.master is not None:
            source.follow(None)
            source.client_write("order-after-it", "paid")

    outcome = Pilot(world, taps=Taps(after=opened)).resume(GIVEN_UP)
    assert outcome.code == 7, outcome
    assert "order-after-it" in world.servers[Colour.BLUE].state.keys


def test_wherever_an_accepted_attach_is_killed_the_writes_are_on_the_server_or_in_its_last_file() -> None:
    world, _ = with_stray_writes()
    found: list[tuple[str, Universe]] = []

    def after(call: str) -> None:
        if not found or found[-1][0] != "redis.blue.attach":
            found.append((call, left_behind(world)))

    assert Pilot(world, taps=Taps(after=after)).resume(GIVEN_UP).error is None
    assert found[-1][0] == "redis.blue.attach"
    faults = []
    for call, copy in found:
        attached = STRAY not in copy.servers[Colour.BLUE].state.keys
        in_file = [STRAY in keys_in(body) for body in files(copy, "given-up")]
        plain = Pilot(copy).resume()
        if (attached and not any(in_file)) or plain.code != (0 if attached else 7):
            faults.append(f"after {call}: {plain}, {in_file}")
        elif not attached and Pilot(copy).resume(GIVEN_UP).error is not None:
            faults.append(f"after {call}: not finished")
    assert not faults, faults[:3]


def test_on_the_way_back_it_is_the_same_with_the_roles_swapped() -> None:
    world = entered(State.PROMOTED, FAST)

    def written(call: str) -> None:
        green = world.servers[Colour.GREEN]
        if call == "redis.blue.make_master" and STRAY not in green.state.keys:
            green.state = replace(green.state, offset=green.state.offset + 55, data=(*green.state.data, (STRAY, "paid")))

    outcome = Pilot(world, taps=Taps(after=written)).rollback(accept_loss=True)
    assert outcome.code == 7, outcome
    assert "bennu rotate resume --accept-loss" in said(outcome).next_step
    assert Pilot(world).resume().code == 7
    assert STRAY in world.servers[Colour.GREEN].state.keys
    assert Pilot(world).resume(GIVEN_UP).code == 6
    assert keys_in(files(world, "given-up")[0])[STRAY] == "paid"
    at_rest(world, Colour.BLUE)
