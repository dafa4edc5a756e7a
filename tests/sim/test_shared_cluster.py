"""A cluster in two groups: whole rotations hold theirs from the lock to the release, whatever they die of, and stop where another group holds one."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour, Group
from bennu.core.states import State, Status
from bennu.engine import lock
from bennu.engine.journal import Journal
from bennu.engine.turns import Wishes
from bennu.errors import ClusterHeld, Paused
from tests.sim import fleet
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.memory_repository import MemoryRepository
from tests.sim.pilot import ANN, AUTO, BOB, Pilot, at_rest, entered, fresh_take, universe
from tests.sim.test_requests import FAST
from tests.sim.universe import Universe

WEST = Group("prod", "us-west-2")


def held(world: Universe) -> dict[str, tuple[str, str]]:
    return {cluster: (str(one.claim.group), one.claim.lock) for cluster, one in world.remote.claims.items() if one.claim is not None}


def west_begins(world: Universe, *clusters: str) -> Journal:
    """The other group's rotation, as far as its lock."""
    journal = Journal(MemoryRepository(world.remote, now=world.clock.wall), MemoryCheckpoint(MemoryDisk()), world.clock, WEST, BOB)
    lock.begin(journal, lock.Opening(Colour.RED, Colour.BLUE, clusters=clusters))
    return journal


def uids(world: Universe, *colours: Colour) -> set[str]:
    return {world.clusters[colour].uid() for colour in colours}


@pytest.mark.parametrize("state", list(State)[1:])
def test_a_rotation_that_died_anywhere_holds_its_clusters_and_its_heir_does_after_it(state: State) -> None:
    world = entered(state, FAST)
    both = uids(world, Colour.BLUE) if state is State.PROVISIONING else uids(world, Colour.BLUE, Colour.GREEN)
    old = Pilot(world).session.standing().lock
    assert old is not None
    assert held(world) == dict.fromkeys(both, (str(fleet.GROUP), old.id))
    with pytest.raises(ClusterHeld, match=f"is held by {fleet.GROUP}"):
        west_begins(world, *both)
    assert fresh_take(world, BOB).error is None
    at_rest(world, Colour.GREEN)
    west_begins(world, *uids(world, Colour.GREEN))


def test_a_start_is_refused_while_another_group_holds_the_source() -> None:
    world = universe(FAST)
    other = west_begins(world, *uids(world, Colour.BLUE))
    outcome = Pilot(world).start(AUTO)
    assert isinstance(outcome.error, ClusterHeld), outcome
    assert (outcome.code, str(fleet.GROUP) in world.remote.journals) == (4, False)
    lock.release(other)
    assert Pilot(world).start(AUTO).error is None
    at_rest(world, Colour.GREEN)


def test_a_target_that_another_group_holds_stops_the_run_where_its_identity_is_known() -> None:
    world = universe(FAST)
    other = west_begins(world, "uid-green")
    outcome = Pilot(world).start(AUTO)
    assert isinstance(outcome.error, ClusterHeld), outcome
    assert (outcome.standing.state, outcome.standing.status, outcome.standing.lock) == (State.PROVISIONING, Status.FAILED, None)
    assert held(world) == {"uid-green": (str(WEST), other.lock_id)}
    assert "CLUSTER_UID: uid-green" not in world.remote.history[-1].files["clusters/prod/us-east-1/cluster-green/cluster-config.yaml"]
    lock.release(other)
    assert Pilot(world, BOB).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_run_that_pauses_lets_go_and_goes_on_only_where_its_clusters_are_free() -> None:
    world = universe(FAST)
    assert isinstance(Pilot(world).start(Wishes(no_wait=True)).error, Paused)
    assert held(world) == {}
    other = west_begins(world, *uids(world, Colour.GREEN))
    refused = Pilot(world, ANN).resume(Wishes(promote=True))
    assert (refused.code, refused.standing.lock) == (4, None)
    lock.release(other)
    assert Pilot(world, ANN).resume(Wishes(promote=True)).error is None
    at_rest(world, Colour.GREEN)


def test_a_rollback_and_a_cleanup_let_go_of_what_they_held() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)
    kept = universe(FAST)
    Pilot(kept).start(Wishes(auto_promote=True), options=("keep-source",))
    at_rest(kept, Colour.GREEN, Colour.BLUE)
    assert Pilot(kept).cleanup("blue").error is None
    at_rest(kept, Colour.GREEN)
