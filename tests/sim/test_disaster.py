"""The source dies: nothing goes on by itself, and what goes on by an operator's word ends at the target with the dead source kept."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import Direction, State
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import DependencyDown, GateRefused, OperatorNeeded, StoppedSafe
from bennu.phases.kinds import CRONJOB, DEPLOYMENT, NODE, STATEFULSET
from bennu.ports.kubernetes import Ref
from tests.sim.controllers_node import PARKED
from tests.sim.failpoints import left_behind
from tests.sim.pilot import ANN, AUTO, BOB, Outcome, Pilot, during, entered, gone_on, universe
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))
BLUE, GREEN = Colour.BLUE, Colour.GREEN


def burnt(world: Universe, colour: Colour) -> Universe:
    """API, nodes and Redis at once."""
    world.clusters[colour].up = False
    world.servers[colour].knobs.up = False
    world.fate.down.add(colour)
    world.tick()
    return world


def dead(world: Universe) -> Universe:
    """Blue burns down. The last write that it acknowledged never left it."""
    blue, green = world.servers[BLUE], world.servers[GREEN]
    world.net.cut(green, blue)
    blue.client_write("last-words", "1")
    world.acknowledged["last-words"] = "blue"
    return burnt(world, BLUE)


def burn(world: Universe) -> None:
    dead(world)


def canary() -> Universe:
    return dead(entered(State.TRAFFIC_CANARY, FAST))


def declared(world: Universe, *, accept_loss: bool = True, gone: str = "cluster-blue", **more: object) -> Outcome:
    """``rotate promote --dr``."""
    return Pilot(world, **more).resume(Wishes(dr=True, accept_loss=accept_loss, gone=gone))  # type: ignore[arg-type]


def lost_only_last_words(world: Universe) -> None:
    assert [key for key in world.acknowledged if key not in world.servers[GREEN].state.keys] == ["last-words"]


def ended_at_green(world: Universe) -> None:
    standing = Pilot(world).session.standing()
    assert (standing.state, standing.lock) == (State.IDLE_STABLE, None), standing
    assert world.violations == []
    assert world.master_in_git() is GREEN
    assert world.writable() == ["green"]
    assert world.pointer(GREEN)["IS_WRITE_MASTER"] == "true"
    assert world.pointer(GREEN)["REDIS_WRITE_HOST"] == "redis.database.svc.cluster.local"
    assert world.runs_exclusive(GREEN)
    assert any("-green." in target for target in world.answer())
    lost_only_last_words(world)


def test_the_loss_and_the_fence_are_asked_for_and_nothing_is_changed_without_them() -> None:
    world = canary()
    commits = len(world.remote.history)
    for given in ({"accept_loss": False}, {"gone": ""}, {"accept_loss": False, "gone": ""}):
        outcome = declared(world.copy(), **given)
        assert isinstance(outcome.error, OperatorNeeded), outcome
        assert outcome.code == 7
        assert "cannot be known" in outcome.error.message
        assert "--accept-loss" in outcome.error.next_step
        assert (outcome.standing.state, outcome.standing.direction) == (State.TRAFFIC_CANARY, Direction.FORWARD)
    untouched = declared(world, accept_loss=False)
    assert untouched.code == 7
    assert len(world.remote.history) == commits
    assert world.writable() == []


def test_what_is_known_of_the_loss_is_said() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    pilot = Pilot(world)
    pilot.watch = during("traffic-canary.watch-10", lambda engine: burn(world))
    assert pilot.resume().code in (5, 8)
    error = declared(world, accept_loss=False).error
    assert isinstance(error, OperatorNeeded)
    assert f"up to offset {world.servers[GREEN].state.offset}" in error.message
    assert re.search(r"down for \d+ s", error.message)
    assert "bytes of replication stream a second" in error.message


def test_with_the_loss_accepted_the_target_takes_over_and_the_source_is_kept() -> None:
    world = canary()
    outcome = declared(world)
    assert outcome.code == 0, outcome
    ended_at_green(world)
    assert outcome.standing.facts["disaster.cost"]
    # Git holds for the dead cluster's return what it must not do: write, run what runs once, answer for the record.
    blue = {path: text for path, text in world.tree.items() if "/cluster-blue/" in path}
    assert any("warm-reader" in text for text in blue.values())
    assert not any(path.endswith("dns.yaml") for path in blue)


def test_a_source_that_answers_is_no_disaster() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = declared(world)
    assert isinstance(outcome.error, GateRefused), outcome
    assert outcome.code == 3
    assert "no disaster" in outcome.error.message
    assert world.writable() == ["blue"]
    assert Pilot(world, BOB).resume(AUTO, take_over=((lock := Pilot(world).session.standing().lock) and lock.id) or "").code == 0


@pytest.mark.parametrize("proof", ["scaled", "nodes", "destroyed"])
def test_what_can_be_seen_needs_no_name_typed(proof: str) -> None:
    world = canary()
    blue = world.clusters[BLUE]
    if proof == "destroyed":
        world.provisioner.clusters.pop(BLUE)
    else:
        # Its API answers, its Flux applies nothing any more.
        blue.up = True
        world.fate.frozen_flux.add(BLUE)
        for node in blue.peek(NODE) if proof == "nodes" else ():
            blue.delete(Ref(NODE, node["metadata"]["name"]))
        if proof == "scaled":
            blue.patch(Ref(STATEFULSET, "redis", "database"), {"spec": {"replicas": 0}})
            blue.patch(Ref(CRONJOB, "settlement", "payments"), {"spec": {"suspend": True}})
            blue.patch(Ref(DEPLOYMENT, "dispatcher", "payments"), {"spec": {"replicas": 0}})
            blue.patch(Ref(DEPLOYMENT, "external-dns", "external-dns"), {"spec": {"replicas": 0}})
            world.tick()
    outcome = declared(world, gone="")
    assert outcome.code == 0, outcome


def refused_target(break_it: Callable[[Universe], None]) -> Outcome:
    world = canary()
    break_it(world)
    outcome = declared(world)
    assert isinstance(outcome.error, GateRefused), outcome
    assert world.writable() == []
    return outcome


def test_a_target_in_the_middle_of_a_synchronisation_is_refused() -> None:
    assert "not whole" in str(refused_target(lambda world: setattr(world.servers[GREEN].knobs, "syncing", True)).error)


def test_a_target_that_restarted_empty_is_refused() -> None:
    assert "history" in str(refused_target(lambda world: world.servers[GREEN].crash(kept=False)).error)


def test_wherever_it_is_killed_a_resume_needs_the_words_again_until_the_promotion() -> None:
    world, found = canary(), list[tuple[str, Universe]]()

    def after(call: str) -> None:
        if call.startswith(("redis", "kubernetes", "repository")):
            found.append((call, left_behind(world)))

    assert declared(world, taps=Taps(after=after)).code == 0
    assert len(found) > 20
    faults = []
    for call, copy in found[:: max(1, len(found) // 40)]:
        plain = copy.copy()
        standing = Pilot(plain).session.standing()
        if standing.open and standing.state is State.SWITCHOVER_LOCKED:
            promoted = plain.servers[GREEN].state.master is None
            outcome = gone_on(plain)
            if outcome.code != (0 if promoted else 7):
                faults.append(f"after {call}: plain resume {outcome}")
        if Pilot(copy).session.standing().open:
            outcome = declared(copy)
            if outcome.code != 0:
                faults.append(f"after {call}: {outcome}")
                continue
            ended_at_green(copy)
    assert not faults, faults[:3]


def test_a_source_that_returns_before_the_promotion_is_handed_over_like_any_other() -> None:
    world = canary()

    def die(call: str) -> None:
        if call == "redis.green.make_master":
            raise Killed

    assert isinstance(declared(world, taps=Taps(before=die)).error, Killed)
    world.disk(ANN.name).locks.clear()
    returned(world)
    outcome = gone_on(world)
    assert isinstance(outcome.error, StoppedSafe), outcome
    assert outcome.standing.state is State.TRAFFIC_CANARY
    assert world.writable() == ["blue"]
    assert gone_on(world).code == 0
    assert world.lost() == []


def returned(world: Universe) -> None:
    world.fate.down.discard(BLUE)
    world.clusters[BLUE].up = True
    world.servers[BLUE].knobs.up = True
    world.tick()


def test_a_source_that_returns_after_the_promotion_is_fenced_and_never_joined() -> None:
    world = canary()
    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", lambda engine: returned(world))
    outcome = pilot.resume(Wishes(dr=True, accept_loss=True, gone="cluster-blue"))
    assert outcome.code == 7, outcome
    assert world.servers[BLUE].state.master == PARKED
    assert "last-words" in world.servers[BLUE].state.keys
    assert world.writable() == ["green"]


def test_there_is_no_way_back_to_a_source_that_was_given_up() -> None:
    world = canary()
    pilot = Pilot(world)
    pilot.watch = during("promoted.ttl", lambda engine: (_ for _ in ()).throw(Killed()))
    assert isinstance(pilot.resume(Wishes(dr=True, accept_loss=True, gone="cluster-blue")).error, Killed)
    world.disk(ANN.name).locks.clear()
    outcome = Pilot(world).rollback()
    assert isinstance(outcome.error, GateRefused), outcome
    assert "never joins" in outcome.error.message
    assert gone_on(world).code == 0


def test_a_source_that_dies_between_fence_and_promotion_is_gone_past_by_the_same_word() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def struck(call: str) -> None:
        if call == "redis.green.make_master":
            world.clusters[BLUE].up = False
            world.servers[BLUE].knobs.up = False
            world.fate.down.add(BLUE)
            world.tick()
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(before=struck)).resume().error, Killed)
    world.disk(ANN.name).locks.clear()
    assert gone_on(world).code in (7, 8)
    outcome = declared(world)
    assert outcome.code == 0, outcome
    # The target had reached the proved offset: nothing is lost at all.
    assert world.lost() == []


def test_a_cluster_that_was_kept_warm_takes_over_when_the_active_one_dies() -> None:
    world = universe(FAST)
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).code == 0
    green = world.servers[GREEN]
    green.client_write("last-words", "1")
    world.clusters[GREEN].up = False
    green.knobs.up = False
    world.fate.down.add(GREEN)
    world.tick()
    pilot = Pilot(world, BOB)
    rotation = pilot.session.warm_beside("")
    assert (rotation.source, rotation.target) == (GREEN, BLUE)
    with pytest.raises(OperatorNeeded):
        pilot.session.judge_disaster(rotation, {}, Wishes(dr=True))
    agreed = Wishes(dr=True, accept_loss=True, gone="cluster-green")
    pilot.session.judge_disaster(rotation, {}, agreed)
    outcome = pilot.begun(rotation, agreed)
    assert outcome.code == 0, outcome
    assert world.writable() == ["blue"]
    assert world.master_in_git() is BLUE
    assert world.violations == []
    # Kept, it sent its users on to green.
    assert {name for name, weight in world.weights(BLUE, "payment-service").items() if weight} == {"payment-service"}


def test_the_record_moves_to_a_kept_cluster_while_the_dead_ones_nodes_live() -> None:
    world = universe(FAST)
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).code == 0
    # Its Redis alone is dead: its ExternalDNS must let go of the record, which lies in blue's directory since before.
    world.net.cut(world.servers[BLUE], world.servers[GREEN])
    world.servers[GREEN].knobs.up = False
    world.clock.wait(5.0)
    pilot = Pilot(world, BOB)
    outcome = pilot.begun(pilot.session.warm_beside(""), Wishes(dr=True, accept_loss=True, gone="cluster-green"))
    assert outcome.code == 0, outcome
    assert all("-blue." in target for target in world.answer())


def test_no_ending_offers_a_way_back_to_a_source_that_was_given_up() -> None:
    world = canary()
    pilot = Pilot(world)

    def frozen(engine: Engine, progress: Progress) -> None:
        if (progress.mark, progress.state) == (Mark.STATE, State.PROMOTED):
            world.fate.frozen_flux.add(GREEN)

    pilot.watch = frozen
    outcome = pilot.resume(Wishes(dr=True, accept_loss=True, gone="cluster-blue"))
    assert (outcome.code, outcome.standing.state) == (5, State.PROMOTED), outcome
    assert isinstance(outcome.error, StoppedSafe)
    assert "resume" in outcome.error.next_step
    assert "rollback" not in outcome.error.next_step


def test_the_dead_cluster_is_taken_down_by_its_name() -> None:
    world = canary()
    assert declared(world).code == 0
    outcome = Pilot(world).cleanup("blue", gone="cluster-blue")
    assert outcome.code == 0, outcome
    assert not any("/cluster-blue/" in path for path in world.tree)
    assert world.writable() == ["green"]
    assert any("-green." in target for target in world.answer())


def test_without_redis_the_pointer_moves_once_the_source_is_proved_dead() -> None:
    world = entered(State.TRAFFIC_CANARY, Kit(redis=False, weights=(10,)))
    world.clusters[BLUE].up = False
    world.fate.down.add(BLUE)
    assert declared(world, accept_loss=False, gone="").code == 7
    assert declared(world, accept_loss=False).code == 0
    assert world.master_in_git() is GREEN


def outside() -> Universe:
    """State lies outside the clusters: the pointer is all the authority. Blue's users and nodes are gone; its API may answer still."""
    return entered(State.TRAFFIC_CANARY, Kit(redis=False, weights=(10,)))


def pointers(world: Universe) -> tuple[str, str]:
    return world.pointer(BLUE)["IS_WRITE_MASTER"], world.pointer(GREEN)["IS_WRITE_MASTER"]


@pytest.mark.parametrize(("cluster", "stands"), [("blue", ("true", "false")), ("green", ("false", "false"))])
def test_without_redis_no_refused_write_leaves_two_pointers_with_the_authority(cluster: str, stands: tuple[str, str]) -> None:
    world, writes = outside(), list[str]()

    def refuse(call: str) -> None:
        # The first one claims the object.
        if call == f"kubernetes.{cluster}.apply":
            writes.append(call)
            if len(writes) > 1:
                raise DependencyDown(f"cluster-{cluster}: the API did not answer in time")

    outcome = declared(world, accept_loss=False, taps=Taps(before=refuse))
    assert isinstance(outcome.error, DependencyDown), outcome
    assert pointers(world) == stands
    assert "authority" in outcome.error.changed
    assert "promote --dr --gone cluster-blue" in outcome.error.next_step
    assert declared(world, accept_loss=False).code == 0
    assert pointers(world) == ("false", "true")


def test_a_disaster_is_refused_where_no_replica_stands_by() -> None:
    world = entered(State.MESH_LINKING, FAST)
    outcome = declared(world)
    assert outcome.code == 3, outcome
