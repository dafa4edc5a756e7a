"""The fence by manifest: armed before the pause, read by restarts alone, undone where the switchover is given up."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour, RotationId
from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.phases.base import Rotation, World
from bennu.phases.fence_manifest import left_armed
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from tests.sim import fleet
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import Pilot, at_rest, entered, gone_on, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

KIT = Kit(weights=(10,), ledger="fence: {persists_by: manifest}")
ARM = "switchover-locked.arm"
METADATA = "metadata: {name: redis, namespace: database, annotations: {reloader.stakater.com/auto: 'true'}}\nspec:\n  replicas"
CATALOG = "catalogs/redis/{}/redis.yaml"


def prepared() -> Universe:
    """At S6's door, with servers that no configuration file can be written for."""
    world = entered(State.SWITCHOVER_LOCKED, KIT)
    for server in world.servers.values():
        server.knobs.config_file = ""
    return world


def variant(world: Universe, colour: Colour) -> str:
    text = world.tree[f"{fleet.HOME}/{colour.cluster}/profile-sync.yaml"]
    return "warm-reader" if "redisVariant: warm-reader" in text else "hot-writer"


def parked_at_its_next_start(world: Universe, colour: Colour) -> bool:
    found = world.clusters[colour].at(Ref(CONFIGMAP, "redis-config", "database"))
    return found is not None and "replicaof" in found["data"]["role.conf"]


def pod_ends(world: Universe, colour: Colour) -> None:
    """A new pod reads the manifest as the cluster has it."""
    server = world.redis(colour)
    server.written_master = PARKED if parked_at_its_next_start(world, colour) else None
    server.crash()


def spoil(world: Universe, taps: Taps) -> None:
    """The source refuses the fence."""

    def spoiled(call: str) -> None:
        world.redis(Colour.BLUE).knobs.read_only_replica = call != "redis.blue.fence"

    taps.before = spoiled


def seen(world: Universe) -> World:
    """The world of a rotation out of blue, freshly fetched."""
    session = Pilot(world).session
    found = session.world(Rotation(RotationId(fleet.GROUP, 1), Colour.BLUE, Colour.GREEN))
    found.systems.repository.fetch()
    return found


def safe(world: Universe) -> None:
    assert world.violations == []
    assert len(world.writable()) <= 1


def test_a_rotation_arms_the_source_before_the_fence_and_ends_at_the_target() -> None:
    world, marks = prepared(), []
    taps = Taps()
    taps.before = lambda call: (
        marks.append((parked_at_its_next_start(world, Colour.BLUE), world.redis(Colour.BLUE).state.master)) if call == "redis.blue.fence" else None
    )
    outcome = Pilot(world, taps=taps).resume()
    assert outcome.error is None, outcome
    assert marks[0] == (True, None), "armed, and still the master"
    at_rest(world, Colour.GREEN)
    assert variant(world, Colour.GREEN) == "hot-writer"


def test_a_fenced_source_whose_pod_ends_comes_back_parked_and_no_write_is_taken() -> None:
    world, taps = prepared(), Taps()

    def killed(call: str) -> None:
        if call == "redis.green.make_master":
            raise Killed(call)

    taps.before = killed
    Pilot(world, taps=taps).resume()
    pod_ends(world, Colour.BLUE)
    world.tick()
    assert world.writable() == []
    assert world.redis(Colour.BLUE).state.master == PARKED
    safe(world)


def test_what_was_armed_is_put_back_where_the_switchover_is_given_up() -> None:
    world, taps = prepared(), Taps()
    spoil(world, taps)
    outcome = Pilot(world, taps=taps).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY), outcome
    assert variant(world, Colour.BLUE) == "hot-writer"
    assert not parked_at_its_next_start(world, Colour.BLUE)
    safe(world)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_holder_that_died_after_arming_leaves_it_to_the_resume() -> None:
    world = prepared()
    pilot = Pilot(world)

    def killed(engine: Engine, progress: Progress) -> None:
        if progress.step == "switchover-locked.arm" and progress.mark is Mark.DONE:
            raise Killed("armed")

    pilot.watch = killed
    assert pilot.resume().code == -1
    assert variant(world, Colour.BLUE) == "warm-reader"
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_source_that_restarts_between_the_arming_and_the_intent_is_a_humans_and_nobody_writes() -> None:
    world = prepared()
    outcome = gone_on(world, lambda engine, progress: pod_ends(world, Colour.BLUE) if (progress.step, progress.mark) == (ARM, Mark.DONE) else None)
    assert outcome.code == 7, outcome
    assert "REPLICAOF NO ONE" in getattr(outcome.error, "next_step", "")
    assert world.writable() == []
    # What the human does, having looked.
    world.redis(Colour.BLUE).follow(None)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_manifest_that_was_put_back_meanwhile_is_seen_before_the_pause() -> None:
    world, taps = prepared(), Taps()

    def reverted(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == (ARM, Mark.DONE):
            world.fate.frozen_flux.add(Colour.BLUE)
            live = world.clusters[Colour.BLUE].at(Ref(CONFIGMAP, "redis-config", "database"))
            assert live is not None
            world.clusters[Colour.BLUE].put({**live, "data": {**live["data"], "role.conf": ""}})

    pilot = Pilot(world, taps=taps)
    pilot.watch = reverted
    outcome = pilot.resume()
    assert outcome.error is not None
    assert "redis.blue.fence" not in taps.calls
    assert world.writable() == ["blue"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("args: [--include", 'args: [--replicaof, "127.0.0.1 1", --include', "a change of its pod template rolls the pod now"),
        ("replicaof 127.0.0.1 1", "appendonly yes", "a restart would come back as a master"),
        ("name: redis-config, namespace", "name: redis-config-warm, namespace", "in one variant only"),
        ("metadata: {name: redis, namespace: database}\nspec:\n  replicas", METADATA, "its pod would be rolled as soon as the ConfigMap changes"),
    ],
)
def test_a_change_that_would_roll_the_pod_is_refused_before_anything_is_committed(old: str, new: str, words: str) -> None:
    world = prepared()
    path = CATALOG.format("warm-reader")
    assert old in world.tree[path]
    changed = {path: world.tree[path].replace(old, new)}
    if new is METADATA:
        hot = CATALOG.format("hot-writer")
        changed[hot] = world.tree[hot].replace(old, new)
    world.remote.commit("Change the catalog", changed)
    outcome = Pilot(world).resume()
    assert outcome.error is not None
    assert words in str(outcome.error)
    assert variant(world, Colour.BLUE) == "hot-writer"
    assert world.writable() == ["blue"]


def switched() -> Universe:
    """At PROMOTED: green has the authority, blue follows it."""
    world = prepared()
    pilot = Pilot(world)
    pilot.watch = until(State.PROMOTED)
    pilot.resume()
    assert world.writable() == ["green"]
    return world


def test_an_old_master_that_came_back_parked_is_made_to_follow_again_before_a_rollback() -> None:
    world = switched()
    pod_ends(world, Colour.BLUE)
    assert world.redis(Colour.BLUE).state.master == PARKED
    world.clients_write()
    outcome = Pilot(world).rollback()
    assert outcome.code == 6, outcome
    assert not any("reverse link is broken" in progress.text for progress in outcome.progress)
    at_rest(world, Colour.BLUE)
    assert variant(world, Colour.BLUE) == "hot-writer"
    assert not parked_at_its_next_start(world, Colour.BLUE)


def test_an_old_master_with_the_last_copy_is_not_made_to_follow_a_new_one_that_came_back_empty() -> None:
    world = entered(State.PROMOTED, KIT)
    pod_ends(world, Colour.BLUE)
    world.servers[Colour.GREEN].crash(kept=False)
    held = set(world.servers[Colour.BLUE].state.keys)
    outcome = Pilot(world).rollback()
    assert outcome.code != 6, outcome
    assert held <= set(world.servers[Colour.BLUE].state.keys)
    assert not [key for key in world.acknowledged if not any(key in one.state.keys for one in world.servers.values())]


def test_an_old_master_that_somebody_parked_by_hand_is_judged_and_not_touched() -> None:
    world = switched()
    world.redis(Colour.BLUE).follow(PARKED)
    world.clients_write()
    outcome = Pilot(world).rollback()
    assert outcome.code == 7, outcome
    assert "reverse link is broken" in str(outcome.error)
    assert world.redis(Colour.BLUE).state.master == PARKED
    assert world.writable() == ["green"]


@pytest.mark.parametrize("step", ["switchover-locked.hand-over", "switchover-locked.commit"])
def test_a_new_master_that_comes_back_parked_before_its_variant_is_applied_is_a_humans(step: str) -> None:
    world = prepared()

    def ended(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == (step, Mark.DONE):
            pod_ends(world, Colour.GREEN)

    outcome = gone_on(world, ended)
    assert (outcome.code, outcome.standing.state) == (7, State.SWITCHOVER_LOCKED), outcome
    assert "REPLICAOF NO ONE" in getattr(outcome.error, "next_step", "")
    assert world.writable() == []
    world.redis(Colour.GREEN).follow(None)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_source_that_comes_back_parked_before_it_is_disarmed_is_not_called_writable() -> None:
    world, taps = prepared(), Taps()
    spoil(world, taps)

    def ended(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == ("switchover-locked.give-up", Mark.DONE):
            pod_ends(world, Colour.BLUE)

    pilot = Pilot(world, taps=taps)
    pilot.watch = ended
    outcome = pilot.resume()
    assert (outcome.code, outcome.standing.state) == (7, State.SWITCHOVER_LOCKED), outcome
    assert world.writable() == []
    world.redis(Colour.BLUE).follow(None)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_doctor_finds_a_fence_that_was_left_armed() -> None:
    world = entered(State.SWITCHOVER_LOCKED, KIT)
    path = f"{fleet.HOME}/cluster-blue/profile-sync.yaml"
    assert left_armed(seen(world)).is_open
    world.remote.commit("Arm by hand", {path: world.tree[path].replace("redisVariant: hot-writer", "redisVariant: warm-reader")})
    found = left_armed(seen(world))
    assert found.failed
    assert "would come back parked" in found.reason


@pytest.mark.deep
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("ends", [False, True])
def test_killed_at_any_call_with_the_pod_ended_too_nothing_is_lost_or_doubled(ends: bool, part: int) -> None:
    whole, taps = prepared(), Taps()
    pilot = Pilot(whole, taps=taps)
    pilot.watch = until(State.PROMOTED)
    pilot.resume()
    for number in range(part, len(taps.calls), 4):
        world, tapped = prepared(), Taps()

        def killed(call: str, number: int = number, tapped: Taps = tapped) -> None:
            if len(tapped.calls) == number + 1:
                raise Killed(call)

        tapped.before = killed
        Pilot(world, taps=tapped).resume()
        if ends:
            pod_ends(world, Colour.BLUE)
        outcome = Pilot(world).resume()
        safe(world)
        assert outcome.code in ((0, 3, 5, 7) if ends else (0, 5)), (taps.calls[number], outcome)
        if outcome.code == 5 and not ends and outcome.standing.state is State.TRAFFIC_CANARY:
            assert not parked_at_its_next_start(world, Colour.BLUE), taps.calls[number]
