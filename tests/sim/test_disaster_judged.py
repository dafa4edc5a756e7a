"""What is asked before a source is given up, where the target is a master already, is silent, or the source is about to be destroyed."""

from __future__ import annotations

import re

import pytest

from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from bennu.engine.turns import Wishes
from bennu.errors import BennuError, GateRefused, OperatorNeeded, RolledBack
from tests.sim.memory_redis import MemoryRedis
from tests.sim.pilot import BOB, Pilot, at_rest, during, entered, gone_on, universe
from tests.sim.seams import Killed, Taps
from tests.sim.test_disaster import BLUE, FAST, GREEN, burnt, canary, dead, declared, ended_at_green, returned
from tests.sim.universe import Universe


def kept_and_dead() -> Universe:
    """Green was rotated to and burnt down; blue was kept, and has not had the last words."""
    world = universe(FAST)
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).code == 0
    green = world.servers[GREEN]
    world.net.cut(world.servers[BLUE], green)
    green.client_write("last-words", "1")
    world.acknowledged["last-words"] = "green"
    return burnt(world, GREEN)


def opened_by_hand(server: MemoryRedis) -> None:
    server.follow(None)
    server.written_master = None


WORDS = Wishes(dr=True, accept_loss=True, gone="cluster-green")


def test_a_kept_cluster_that_is_a_master_by_another_hand_takes_nothing_over() -> None:
    world = kept_and_dead()
    opened_by_hand(world.servers[BLUE])
    pilot = Pilot(world, BOB)
    rotation = pilot.session.warm_beside("")
    for given in (Wishes(dr=True), WORDS):
        with pytest.raises(GateRefused, match="somebody else's hand"):
            pilot.session.judge_disaster(rotation, {}, given)
    assert pilot.begun(rotation, WORDS).code == 3
    assert world.master_in_git() is GREEN


def test_an_empty_target_that_is_a_master_takes_nothing_over() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    opened_by_hand(world.servers[GREEN])
    dead(world)
    outcome = declared(world)
    assert isinstance(outcome.error, GateRefused), outcome
    assert re.search("no key|never noted", outcome.error.message)
    assert world.master_in_git() is BLUE


def test_a_replica_that_somebody_made_the_master_is_agreed_to_like_any_other() -> None:
    world = canary()
    opened_by_hand(world.servers[GREEN])
    for lacking in ({"accept_loss": False}, {"gone": ""}):
        outcome = declared(world, **lacking)
        assert isinstance(outcome.error, OperatorNeeded), outcome
        assert "somebody else's hand" in outcome.error.message
    assert declared(world).code == 0
    ended_at_green(world)


def test_a_target_of_another_history_that_is_a_master_takes_nothing_over() -> None:
    world = canary()
    green = world.servers[GREEN]
    green.crash(kept=False)
    opened_by_hand(green)
    green.client_write("other", "1")
    outcome = declared(world)
    assert isinstance(outcome.error, GateRefused), outcome
    assert "history is not that of the source" in outcome.error.message


def test_a_new_master_that_restarted_since_is_agreed_to_by_name() -> None:
    world = burnt(entered(State.PROMOTED, FAST), BLUE)
    assert declared(world.copy(), accept_loss=False, gone="").code == 0
    green = world.servers[GREEN]
    green.crash(kept=True)
    outcome = declared(world, accept_loss=False)
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert "has restarted" in outcome.error.message
    assert declared(world).code == 0


def test_in_s8_the_source_is_destroyed_only_once_nothing_can_write_there() -> None:
    world = entered(State.DRAINING, FAST)
    world.clusters[BLUE].up = False
    world.servers[BLUE].knobs.reachable = False
    outcome = declared(world, accept_loss=False, gone="")
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert "--gone cluster-blue" in outcome.error.next_step
    assert any("/cluster-blue/" in path for path in world.tree)
    assert declared(world, accept_loss=False).code == 0
    assert not any("/cluster-blue/" in path for path in world.tree)


def test_in_s8_a_source_whose_redis_alone_is_dead_is_taken_down_by_its_name() -> None:
    world = entered(State.DRAINING, FAST)
    world.servers[BLUE].knobs.up = False
    assert gone_on(world).code == 5
    asked = declared(world, accept_loss=False, gone="")
    assert isinstance(asked.error, OperatorNeeded), asked
    assert "--gone cluster-blue" in asked.error.next_step
    assert any("/cluster-blue/" in path for path in world.tree)
    assert declared(world, accept_loss=False).code == 0
    at_rest(world, GREEN)


def test_in_s8_a_redis_that_refuses_bennu_is_not_taken_for_dead() -> None:
    world = entered(State.DRAINING, FAST)
    world.servers[BLUE].knobs.refuses = True
    assert declared(world, accept_loss=False).code == 3
    dying = world.copy()
    dying.servers[BLUE].knobs.up = False
    pilot = Pilot(dying)

    def returns(engine: object, progress: Progress) -> None:
        if progress.mark is Mark.BEGIN and progress.step == "draining.refusals":
            dying.servers[BLUE].knobs.up = True

    pilot.watch = returns
    outcome = pilot.resume(Wishes(dr=True, gone="cluster-blue"))
    assert outcome.code == 5, outcome
    assert "if only with a refusal" in str(outcome.error)
    assert any("/cluster-blue/" in path for path in dying.tree)


def test_start_dr_without_the_words_names_itself_as_the_next_command() -> None:
    world = kept_and_dead()
    pilot = Pilot(world, BOB)
    rotation = pilot.session.warm_beside("")
    with pytest.raises(OperatorNeeded) as asked:
        pilot.session.judge_disaster(rotation, {}, Wishes(dr=True))
    assert "'bennu rotate start --dr --to blue --accept-loss --gone cluster-green'" in asked.value.next_step
    assert "promote" not in asked.value.next_step


def test_flux_of_a_given_up_source_that_still_listens_is_hurried() -> None:
    world, taps = entered(State.TRAFFIC_CANARY, FAST), Taps()
    world.servers[BLUE].knobs.up = False
    world.net.settle()
    assert declared(world, taps=taps).code == 0
    assert "kubernetes.blue.patch" in taps.calls


def test_after_two_masters_the_sources_own_writes_are_given_up_by_name_or_kept() -> None:
    world = entered(State.PROMOTED, FAST)
    blue = world.servers[BLUE]

    def open_blue(engine: object) -> None:
        blue.follow(None)
        blue.client_write("only-blue", "1")

    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", open_blue)
    assert pilot.resume().code == 7
    assert gone_on(world).standing.state is State.DRAINING
    world.clusters[BLUE].up = False
    blue.knobs.reachable = False
    for lacking in ({"accept_loss": False, "gone": ""}, {"accept_loss": False}):
        outcome = declared(world, **lacking)
        assert isinstance(outcome.error, OperatorNeeded), outcome
        assert "may hold writes" in outcome.error.message
        assert "--accept-loss" in outcome.error.next_step
    assert any("/cluster-blue/" in path for path in world.tree)
    assert world.provisioner.knows(Pilot(world).session.world(pilot.session.idle()).order(BLUE))


@pytest.mark.parametrize("state", [State.PROMOTED, State.DRAINING])
def test_where_the_new_master_dies_the_way_by_hand_is_named(state: State) -> None:
    world = burnt(entered(state, FAST), GREEN)
    outcome = declared(world)
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert "cluster-green, the write master, does not answer" in outcome.error.message
    assert "docs/disaster.md" in outcome.error.next_step
    assert any("/cluster-blue/" in path for path in world.tree)


def killed_at_the_beginning() -> Universe:
    """A ``start --dr`` that opened its rotation, and died before it went on without the source."""
    world = kept_and_dead()

    def after(call: str) -> None:
        standing = Pilot(world).session.standing()
        if call.startswith("repository") and standing.begun and not standing.ended:
            raise Killed

    pilot = Pilot(world, BOB, taps=Taps(after=after))
    assert isinstance(pilot.begun(pilot.session.warm_beside(""), WORDS).error, Killed)
    assert Pilot(world).session.standing().state is State.IDLE_STABLE
    world.disk(BOB.name).locks.clear()
    return world


def test_a_start_that_was_killed_is_none_for_a_resume_to_take_for_an_ordinary_one() -> None:
    world = killed_at_the_beginning()
    outcome = Pilot(world, BOB).resume()
    assert isinstance(outcome.error, OperatorNeeded), outcome
    assert "bennu rotate promote --dr --accept-loss --gone cluster-green" in outcome.error.next_step
    assert outcome.standing.state is State.IDLE_STABLE
    assert world.clusters[BLUE].up
    session = Pilot(world, BOB).session
    session.refuse_disaster(session.standing())
    assert Pilot(world, BOB).resume(WORDS).code == 0
    assert world.writable() == ["blue"]
    assert world.master_in_git() is BLUE


def test_a_start_that_was_killed_begins_anew_by_the_same_command() -> None:
    world = killed_at_the_beginning()
    assert Pilot(world, BOB).resume().code == 7
    pilot = Pilot(world, BOB)
    assert pilot.begun(pilot.session.warm_beside(""), WORDS).code == 0
    assert world.writable() == ["blue"]


def test_the_way_back_never_destroys_a_cluster_that_stood_there_before() -> None:
    world = kept_and_dead()

    def die(call: str) -> None:
        if call == "redis.blue.make_master":
            raise Killed

    pilot = Pilot(world, BOB, taps=Taps(before=die))
    assert isinstance(pilot.begun(pilot.session.warm_beside(""), WORDS).error, Killed)
    world.disk(BOB.name).locks.clear()
    # The dead one comes back before the promotion: no disaster any more, and the rotation an ordinary one in its canary.
    world.fate.down.discard(GREEN)
    world.clusters[GREEN].up = True
    world.servers[GREEN].knobs.up = True
    world.net.heal(world.servers[BLUE], world.servers[GREEN])
    world.tick()
    assert Pilot(world, BOB).resume().standing.state is State.TRAFFIC_CANARY
    outcome = Pilot(world, BOB).rollback()
    assert outcome.code == 6, outcome
    assert isinstance(outcome.error, RolledBack)
    assert "the target stays" in outcome.error.changed
    assert world.clusters[BLUE].up
    assert any("/cluster-blue/" in path for path in world.tree)
    assert world.writable() == ["green"]
    assert world.servers[BLUE].state.keys == world.servers[GREEN].state.keys


def test_a_cluster_that_was_given_up_is_nobodys_next_master() -> None:
    world = canary()
    assert declared(world).code == 0
    returned(world)
    burnt(world, GREEN)
    for to in ("", "blue"):
        with pytest.raises(GateRefused, match="cluster-blue was given up as dead by rotation"):
            Pilot(world, BOB).session.warm_beside(to)


def test_a_source_that_refuses_everything_is_no_dead_one() -> None:
    world = canary()
    world.servers[BLUE].knobs.up = True
    world.servers[BLUE].knobs.refuses = True
    outcome = declared(world)
    assert isinstance(outcome.error, GateRefused), outcome
    assert "answers: this is no disaster" in outcome.error.message
    assert "redis[].auth" in outcome.error.next_step
    assert world.master_in_git() is BLUE


def test_no_ending_says_that_a_dead_new_master_is_the_write_master() -> None:
    world = entered(State.PROMOTED, FAST)
    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", lambda engine: (burnt(world, GREEN), None)[1])
    pilot.resume()
    outcome = gone_on(world)
    assert isinstance(outcome.error, BennuError), outcome
    assert "is the write master" not in outcome.error.changed
    assert "docs/disaster.md" in outcome.error.next_step


def test_the_pointer_of_a_source_that_was_given_up_ends_no_run() -> None:
    world = canary()
    world.fate.frozen_flux.add(BLUE)
    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", lambda engine: returned(world))
    assert pilot.resume(Wishes(dr=True, accept_loss=True, gone="cluster-blue")).code == 7
    assert world.pointer(BLUE)["IS_WRITE_MASTER"] == "true"
    outcome = gone_on(world)
    assert outcome.code == 0, outcome
    assert world.writable() == ["green"]
