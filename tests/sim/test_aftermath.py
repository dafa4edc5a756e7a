"""After two masters were seen, no ending says that a side is writable which was fenced, and nothing goes on before somebody has decided."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import BOB, Pilot, at_rest, during, entered, gone_on, universe
from tests.sim.test_disaster import canary, declared, returned
from tests.sim.test_second_masters import said
from tests.sim.test_single_master import FAST, OUTSIDE, promoted_by_hand
from tests.sim.universe import Universe


def alarmed() -> Universe:
    """In the canary somebody promoted the target; the watch fenced the source, and the run ended by it."""
    world = entered(State.TRAFFIC_CANARY, FAST)
    pilot = Pilot(world)
    pilot.watch = during("traffic-canary.watch-10", lambda engine: promoted_by_hand(world, Colour.GREEN))
    assert pilot.resume().code == 7
    assert (world.servers[Colour.BLUE].state.master, world.writable()) == (PARKED, ["green"])
    return world


def mended(world: Universe) -> None:
    """An operator keeps the source: it is master again, and the target its replica."""
    world.servers[Colour.BLUE].follow(None)
    world.servers[Colour.GREEN].follow(world.servers[Colour.BLUE].address)


@pytest.mark.parametrize("wishes", [Wishes(auto_promote=True), Wishes(no_wait=True)])
def test_a_resume_after_the_alarm_says_who_accepts_writes_and_goes_nowhere(wishes: Wishes) -> None:
    world = alarmed()
    before = len(world.remote.history)
    outcome = Pilot(world, BOB).resume(wishes)
    assert outcome.code == 7, outcome
    assert said(outcome).message == "cluster-blue accepts no writes (it was fenced when two masters were seen)"
    assert said(outcome).changed == "nothing was changed; cluster-green is a master"
    assert len(world.remote.history) == before


def test_where_nobody_accepts_writes_a_resume_says_so() -> None:
    world = alarmed()
    world.servers[Colour.GREEN].follow(PARKED)
    outcome = Pilot(world).resume()
    assert (outcome.code, said(outcome).changed) == (7, "nothing was changed; nobody accepts writes"), outcome


def test_a_rollback_after_the_alarm_takes_nothing_down() -> None:
    world = alarmed()
    before = len(world.remote.history)
    assert Pilot(world).rollback().code == 7
    assert len(world.remote.history) == before
    assert world.clusters[Colour.GREEN].up


def test_what_a_dead_holder_fenced_is_not_called_writable() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    # The watch fenced the source, and the process died before it could write down why.
    promoted_by_hand(world, Colour.GREEN)
    world.servers[Colour.BLUE].follow(PARKED)
    outcome = Pilot(world).resume()
    assert outcome.code == 7, outcome
    assert "cluster-blue accepts no writes" in said(outcome).message
    assert "writable" not in said(outcome).changed


def test_once_an_operator_has_decided_the_rotation_goes_on() -> None:
    world = alarmed()
    mended(world)
    outcome = Pilot(world).resume(Wishes(no_wait=True))
    assert outcome.code == 10, outcome
    assert "accepts no writes" not in str(outcome.error)


def test_once_an_operator_has_decided_a_rollback_goes_through() -> None:
    world = alarmed()
    mended(world)
    given_up = [key for key in world.acknowledged if key not in world.servers[Colour.BLUE].state.keys]
    for key in given_up:
        del world.acknowledged[key]
    world.violations.clear()
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_a_server_that_cannot_be_asked_is_not_called_writable_either() -> None:
    world = alarmed()
    world.servers[Colour.BLUE].knobs.reachable = False
    outcome = Pilot(world).resume()
    assert outcome.code == 8, outcome
    assert "whether cluster-blue accepts writes cannot be read" in said(outcome).message


def test_a_pointer_that_was_taken_back_is_not_called_an_authority() -> None:
    world = entered(State.TRAFFIC_CANARY, OUTSIDE)

    def by_hand(engine: object) -> None:
        world.fate.frozen_flux.add(Colour.GREEN)
        world.clusters[Colour.GREEN].patch(Ref(CONFIGMAP, "global-traffic-state", "payments"), {"data": {"IS_WRITE_MASTER": "true"}})

    pilot = Pilot(world)
    pilot.watch = during("traffic-canary.watch-10", by_hand)
    assert pilot.resume().code == 7
    again = Pilot(world).resume()
    assert again.code == 7, again
    assert "cluster-blue accepts no writes" in said(again).message


def test_a_source_that_alone_holds_writes_is_not_taken_down_after_two_masters() -> None:
    world = entered(State.PROMOTED, FAST)
    blue, green = world.servers[Colour.BLUE], world.servers[Colour.GREEN]

    def opened_by_hand() -> None:
        promoted_by_hand(world, Colour.BLUE)
        blue.client_write("only-here", "1")

    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", lambda engine: opened_by_hand())
    assert pilot.resume().code == 7
    outcome = Pilot(world, BOB).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.DRAINING), outcome
    assert "REPLICAOF" in said(outcome).message
    assert "only-here" in blue.state.keys
    assert world.clusters[Colour.BLUE].up
    # An operator has saved what is to last: the source follows the target again, and may go.
    blue.follow(green.address)
    assert Pilot(world, BOB).resume().code == 0
    assert not world.clusters[Colour.BLUE].up


def given_up() -> Universe:
    """Green was promoted without blue, whose nodes and API stay silent. Nobody watches any more."""
    world = canary()
    assert declared(world).code == 0
    world.clock.wait(400.0)
    return world


def test_a_given_up_cluster_whose_redis_answers_as_a_master_is_not_taken_down_by_its_name() -> None:
    world = given_up()
    blue = world.servers[Colour.BLUE]
    blue.knobs.up = True
    outcome = Pilot(world).cleanup("blue", gone="cluster-blue")
    assert outcome.code == 5, outcome
    assert "redis-cli --rdb" in said(outcome).message
    assert any("/cluster-blue/" in path for path in world.tree)
    assert (blue.knobs.up, "last-words" in blue.state.keys) == (True, True)
    # Saved and scaled to 0, it may go.
    blue.knobs.up = False
    assert Pilot(world).resume().code == 0
    assert not any("/cluster-blue/" in path for path in world.tree)


def test_one_that_returns_as_a_master_at_the_last_moment_is_not_destroyed() -> None:
    world = given_up()
    blue, pilot = world.servers[Colour.BLUE], Pilot(world)

    def back(engine: Engine, progress: Progress) -> None:
        blue.knobs.up |= (progress.step, progress.mark) == ("draining.directory", Mark.DONE)

    pilot.watch = back
    outcome = pilot.cleanup("blue", gone="cluster-blue")
    assert outcome.code == 7, outcome
    assert "not taken down" in said(outcome).message
    assert blue.knobs.up


def kept_after_two_masters() -> Universe:
    """Blue was kept, and holds a write of its own from when somebody opened it in S7."""
    world = universe(FAST)
    pilot = Pilot(world)

    def opened_by_hand(engine: Engine) -> None:
        world.servers[Colour.BLUE].follow(None)
        world.servers[Colour.BLUE].client_write("last-words", "1")

    pilot.watch = during("promoted.ttl", opened_by_hand)
    assert pilot.start(Wishes(auto_promote=True), options=("keep-source",)).code == 7
    assert Pilot(world).resume().code == 0
    return world


def given_up_and_back() -> Universe:
    """Blue was given up, returned with its last words, and was parked by hand."""
    world = given_up()
    returned(world)
    world.servers[Colour.BLUE].follow(PARKED)
    world.violations.clear()
    return world


@pytest.mark.parametrize("left", [kept_after_two_masters, given_up_and_back])
def test_a_cleanup_keeps_what_only_the_doomed_cluster_holds_and_waits_for_a_word(left: Callable[[], Universe]) -> None:
    world = left()
    outcome = Pilot(world).cleanup("blue")
    assert outcome.code == 7, outcome
    assert "not taken down" in said(outcome).message
    assert "--accept-loss" in said(outcome).next_step
    kept = outcome.standing.facts["stray.kept"]
    assert ".old." in kept
    assert world.clusters[Colour.BLUE].up
    # Without the word it stays, whoever asks.
    assert gone_on(world).code == 7
    assert "last-words" in world.servers[Colour.BLUE].state.keys
    assert Pilot(world).resume(Wishes(accept_loss=True)).code == 0
    assert not any("/cluster-blue/" in path for path in world.tree)


def test_a_cluster_that_was_kept_and_follows_goes_without_a_word() -> None:
    world = universe(FAST)
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).code == 0
    assert Pilot(world).cleanup("blue").code == 0
