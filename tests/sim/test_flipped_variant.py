"""A flip of the Redis variant that would roll a pod is found before anything is paused, whichever way the fence outlives a restart."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.phases.flipped_variant import rolls_nothing
from bennu.phases.kinds import STATEFULSET
from bennu.phases.preflight import examined
from tests.sim import fleet
from tests.sim.pilot import Pilot, at_rest, entered
from tests.sim.seams import Taps
from tests.sim.test_fence_manifest import CATALOG, seen
from tests.sim.universe import Kit, Universe

DEFAULT, BY_MANIFEST = "{}", "fence: {persists_by: manifest}"
BOTH = pytest.mark.parametrize("ledger", [DEFAULT, BY_MANIFEST], ids=["config-rewrite", "manifest"])
ON_DELETE = (
    "  replicas: 1\n  selector: {matchLabels: {app: redis}}",
    "  replicas: 1\n  updateStrategy: {type: OnDelete}\n  selector: {matchLabels: {app: redis}}",
)
TEMPLATE = ("name: redis, args: [--include", "name: redis, args: [--maxmemory, 1gb, --include")
VARIANTS = ("hot-writer", "warm-reader")


def at_s6(ledger: str) -> Universe:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10,), ledger=ledger))
    if ledger == BY_MANIFEST:
        for server in world.servers.values():
            server.knobs.config_file = ""
    return world


def changed(world: Universe, change: tuple[str, str], *variants: str) -> None:
    paths = [CATALOG.format(variant) for variant in variants]
    assert all(change[0] in world.tree[path] for path in paths)
    world.remote.commit("Change the catalog", {path: world.tree[path].replace(*change) for path in paths})


def applied(world: Universe) -> None:
    """Flux looks every half a minute by itself."""
    for _ in range(40):
        world.clock.wait(1.0)


@BOTH
def test_variants_whose_templates_differ_are_refused_by_doctor_and_before_the_pause(ledger: str) -> None:
    world, taps = at_s6(ledger), Taps()
    changed(world, TEMPLATE, "warm-reader")
    found = next(one for one in examined(seen(world)) if one.id == "redis.variants")
    assert found.verdict.failed
    assert "StatefulSet redis is not under updateStrategy OnDelete" in found.verdict.reason
    assert "examples/redis" in found.verdict.reason
    assert "examples/redis" in found.hint
    outcome = Pilot(world, taps=taps).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY), outcome
    assert "would be a second pause" in str(outcome.error)
    assert not [call for call in taps.calls if call in ("redis.blue.pause", "redis.blue.fence")]
    assert world.writable() == ["blue"]


@BOTH
def test_under_ondelete_the_templates_may_differ(ledger: str) -> None:
    world = at_s6(ledger)
    changed(world, ON_DELETE, *VARIANTS)
    changed(world, TEMPLATE, "warm-reader")
    applied(world)
    assert rolls_nothing(seen(world), Colour.BLUE, Colour.GREEN).is_open
    outcome = Pilot(world).resume()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)


def test_what_the_target_would_do_is_asked_too() -> None:
    world = at_s6(DEFAULT)
    changed(world, ON_DELETE, *VARIANTS)
    applied(world)
    # Somebody else's patch, which Flux leaves alone, has the target's Redis roll.
    world.fate.frozen_flux.add(Colour.GREEN)
    live = next(one for one in world.clusters[Colour.GREEN].list(STATEFULSET, namespace="database"))
    world.clusters[Colour.GREEN].put({**live, "spec": {**live["spec"], "updateStrategy": {"type": "RollingUpdate"}}})
    changed(world, TEMPLATE, "hot-writer")
    assert rolls_nothing(seen(world)).is_open
    found = rolls_nothing(seen(world), Colour.BLUE, Colour.GREEN)
    assert found.failed
    assert "would roll cluster-green's Redis" in found.reason


def test_a_variant_that_nothing_can_flip_is_said_before_the_hand_over() -> None:
    world = at_s6(DEFAULT)
    path = f"{fleet.HOME}/cluster-blue/profile-sync.yaml"
    world.remote.commit("Rename the input", {path: world.tree[path].replace("redisVariant", "variant")})
    found = rolls_nothing(seen(world))
    assert found.failed
    assert "has no input redisVariant" in found.reason


def test_a_variant_that_is_no_folder_is_believed_under_ondelete_alone() -> None:
    world = at_s6(DEFAULT)
    path = f"{fleet.HOME}/cluster-blue/profile-sync.yaml"
    old = "path: ./catalogs/redis/<< inputs.redisVariant >>"
    assert old in world.tree[path]
    changed(world, ON_DELETE, *VARIANTS)
    applied(world)
    world.remote.commit("Substitute it", {path: world.tree[path].replace(old, "path: ./catalogs/redis/hot-writer")})
    assert rolls_nothing(seen(world)).is_open
    changed(world, (ON_DELETE[1], ON_DELETE[0]), *VARIANTS)
    applied(world)
    assert "nobody can tell what it changes" in rolls_nothing(seen(world)).reason
