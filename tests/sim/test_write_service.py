"""The write Service follows the pointer: through whole rotations, back, under kills, and under a holder that was taken over."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import GateRefused, LockLost, RolledBack, UsageError
from bennu.phases.kinds import EPOCH, FLUX_RECONCILE, SERVICE, annotations_of
from bennu.phases.pointer import Pointers
from bennu.ports.kubernetes import Kind, Ref
from tests.sim import fleet
from tests.sim.pilot import BOB, Pilot, at_rest, entered, fresh_take, universe
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

SHAPES = [Kit(via="externalname", weights=(10, 90)), Kit(via="tcproute", weights=(10, 90))]
shapes = pytest.mark.parametrize("kit", SHAPES, ids=lambda kit: kit.via)


def held(world: Universe, at: Colour) -> bool:
    kind = Kind("gateway.networking.k8s.io/v1alpha2", "TCPRoute") if world.kit.via == "tcproute" else SERVICE
    live = world.clusters[at].at(Ref(kind, "redis-write", "database"))
    assert live is not None
    return annotations_of(live).get(FLUX_RECONCILE) == "disabled"


@shapes
def test_a_new_cluster_writes_through_the_mirror_and_the_old_one_after_the_switch(kit: Kit) -> None:
    world = entered(State.SWITCHOVER_LOCKED, kit)
    assert (world.leads_to(Colour.BLUE), world.leads_to(Colour.GREEN)) == ("redis", "redis-cluster-blue")
    world = entered(State.PROMOTED, kit)
    assert (world.leads_to(Colour.BLUE), world.leads_to(Colour.GREEN)) == ("redis-cluster-green", "redis")
    assert not held(world, Colour.BLUE)
    assert not held(world, Colour.GREEN)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@shapes
def test_it_is_written_beside_the_configmap_in_one_flip_and_held_off_flux_meanwhile(kit: Kit) -> None:
    world, seen = entered(State.SWITCHOVER_LOCKED, kit), []

    def after(call: str) -> None:
        if call == "redis.blue.unpause":
            seen.append((world.leads_to(Colour.BLUE), world.leads_to(Colour.GREEN), held(world, Colour.BLUE), held(world, Colour.GREEN)))

    outcome = Pilot(world, taps=Taps(after=after)).resume()
    assert outcome.error is None, outcome
    assert seen == [("redis-cluster-green", "redis", True, True)]


@shapes
def test_a_rollback_after_the_promotion_leads_it_back(kit: Kit) -> None:
    world = entered(State.PROMOTED, kit)
    outcome = Pilot(world).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    at_rest(world, Colour.BLUE)
    assert world.leads_to(Colour.BLUE) == "redis"


@shapes
def test_killed_before_and_after_every_effect_of_the_switchover_it_ends_at_the_master(kit: Kit) -> None:
    whole = Pilot(entered(State.SWITCHOVER_LOCKED, kit), taps=Taps())
    whole.resume()
    flips = [number for number, call in enumerate(whole.taps.calls) if call.endswith(".apply")]
    assert len(flips) >= 12, "four objects claimed, flipped, and let go"
    for number in flips:
        world = entered(State.SWITCHOVER_LOCKED, kit)
        left = [number]

        def strike(call: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(call)

        Pilot(world, taps=Taps(after=strike)).resume()
        outcome = Pilot(world).resume()
        for _ in range(2):
            outcome = Pilot(world).resume() if outcome.error is not None else outcome
        assert outcome.error is None, (number, outcome)
        at_rest(world, Colour.GREEN)
        assert world.leads_to(Colour.GREEN) == "redis"


@shapes
def test_a_higher_epoch_on_it_alone_ends_the_holder(kit: Kit) -> None:
    world = entered(State.SWITCHOVER_LOCKED, kit)
    kind = Kind("gateway.networking.k8s.io/v1alpha2", "TCPRoute") if kit.via == "tcproute" else SERVICE
    world.clusters[Colour.GREEN].patch(Ref(kind, "redis-write", "database"), {"metadata": {"annotations": {EPOCH: "99"}}})
    session = Pilot(world).session
    standing = session.standing()
    with pytest.raises(LockLost, match="epoch 99"):
        Pointers(session.world(session.rotation(standing))).claim()


def test_a_colleague_takes_over_and_finishes() -> None:
    world = entered(State.SWITCHOVER_LOCKED, SHAPES[1])
    outcome = fresh_take(world, BOB)
    assert outcome.error is None, outcome
    assert world.leads_to(Colour.GREEN) == "redis"


def test_start_says_where_the_document_belongs_when_there_is_none() -> None:
    world = universe(SHAPES[0])
    path = f"{fleet.HOME}/cluster-blue/traffic-state.yaml"
    world.remote.commit("Lose the Service", {path: world.tree[path].split("---\n")[0]})
    with pytest.raises(UsageError, match="must be in this file once, 0 found"):
        Pilot(world).start()


def test_start_refuses_a_service_that_leads_elsewhere() -> None:
    world = universe(SHAPES[1])
    path = f"{fleet.HOME}/cluster-blue/traffic-state.yaml"
    world.remote.commit("Lead it astray", {path: world.tree[path].replace("- name: redis #", "- name: cache #")})
    with pytest.raises(GateRefused, match="leads to cache, not to redis"):
        Pilot(world).start()
