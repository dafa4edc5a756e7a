"""The ways back: from before the switch, from after it, and from where there is none."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import Direction, State
from bennu.engine.turns import Wishes
from bennu.errors import GateRefused, Paused, RolledBack, UsageError
from bennu.manifests import traffic_state
from bennu.ports.metrics import Client
from tests.sim.failpoints import left_behind
from tests.sim.pilot import ANN, AUTO, BOB, Pilot, asked, at_rest, entered, universe, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

BEFORE = [State.PROVISIONING, State.BOOTSTRAPPING, State.MESH_LINKING, State.DATA_SYNCING, State.TRAFFIC_CANARY]
FAST = Kit(weights=(10,))


def files_of_blue(world: Universe, tree: dict[str, str] | None = None) -> dict[str, str]:
    found = world.tree if tree is None else tree
    return {path: text for path, text in found.items() if "cluster-blue" in path}


@pytest.mark.parametrize("state", BEFORE)
def test_before_the_switch_a_rollback_leaves_git_as_it_was_and_no_target(state: State) -> None:
    world = universe(FAST)
    before = dict(world.tree)
    Pilot(world, ANN).start(Wishes(auto_promote=True, stop_after=state))
    outcome = Pilot(world, BOB).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    at_rest(world, Colour.BLUE)
    assert dict(world.tree) == before
    assert Colour.GREEN not in world.provisioner.clusters


@pytest.mark.parametrize("state", BEFORE)
def test_a_rotation_can_follow_a_rollback(state: State) -> None:
    world = universe(FAST)
    Pilot(world).start(Wishes(auto_promote=True, stop_after=state))
    Pilot(world).rollback()
    again = Pilot(world).start()
    assert again.error is None, again
    at_rest(world, Colour.GREEN)


def test_a_rollback_without_redis_takes_the_target_down() -> None:
    world = universe(Kit(redis=False, weights=(10,)))
    before = dict(world.tree)
    Pilot(world).start(Wishes(auto_promote=True, stop_after=State.TRAFFIC_CANARY))
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)
    assert dict(world.tree) == before


def test_a_target_that_never_came_up_is_taken_down() -> None:
    world = universe(FAST)
    world.provisioner.failures = 1
    assert Pilot(world).start().code == 5
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_a_rollback_goes_on_although_the_target_is_dead() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.clusters[Colour.GREEN].up = False
    world.servers[Colour.GREEN].knobs.up = False
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


@pytest.mark.parametrize("kit", [FAST, Kit(redis=False, weights=(10,))], ids=["redis", "no-redis"])
def test_after_the_promotion_the_authority_is_handed_back_first(kit: Kit) -> None:
    world = universe(kit)
    before = files_of_blue(world)
    Pilot(world, ANN).start(Wishes(auto_promote=True, stop_after=State.PROMOTED))
    assert world.master_in_git() is Colour.GREEN
    outcome = Pilot(world, BOB).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    at_rest(world, Colour.BLUE)
    (path,) = (path for path in before if path.endswith("traffic-state.yaml"))
    # There and back: the authority has moved twice, and nothing else is another.
    assert files_of_blue(world) == {**before, path: traffic_state.with_term(before[path], 2, None, path)}
    assert [span.state for span in outcome.standing.spans][-2:] == [State.SWITCHOVER_LOCKED, State.TRAFFIC_CANARY]


def test_a_rollback_from_the_first_moment_of_promoted() -> None:
    world = entered(State.PROMOTED, FAST)
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_a_rollback_asked_while_dns_moves_is_taken_up() -> None:
    world = entered(State.PROMOTED, FAST)
    asked(world, "rollback")
    outcome = Pilot(world).resume()
    assert outcome.code == 6
    at_rest(world, Colour.BLUE)


def test_a_rotation_can_follow_a_reverse_switchover() -> None:
    world = entered(State.PROMOTED, FAST)
    assert Pilot(world).rollback().code == 6
    outcome = Pilot(world).start()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize(("state", "words"), [(State.SWITCHOVER_LOCKED, "handed over"), (State.DRAINING, "nothing left to go back to")])
def test_where_there_is_no_way_back_the_refusal_says_why_and_changes_nothing(state: State, words: str) -> None:
    world = entered(state, FAST)
    before = len(world.remote.history)
    with pytest.raises(GateRefused, match=words):
        Pilot(world).rollback()
    assert len(world.remote.history) == before
    assert Pilot(world).resume().error is None


def test_without_a_rotation_there_is_nothing_to_roll_back() -> None:
    with pytest.raises(GateRefused, match="no rotation is open"):
        Pilot(universe(FAST)).rollback()


def _ways_back(state: State) -> list[tuple[str, Universe]]:
    world, found = entered(state, FAST), []

    def after(call: str) -> None:
        if not call.startswith("checkpoint"):
            found.append((call, left_behind(world)))

    assert Pilot(world, taps=Taps(after=after)).rollback().code == 6
    return found


@pytest.mark.deep
@pytest.mark.parametrize(("state", "every"), [(State.MESH_LINKING, 3), (State.TRAFFIC_CANARY, 2), (State.PROMOTED, 1)])
def test_a_way_back_that_is_killed_goes_on_backwards(state: State, every: int) -> None:
    broken = []
    found = _ways_back(state)
    for number, (call, world) in enumerate(found[::every]):
        pilot = Pilot(world)
        standing = pilot.session.standing()
        if not standing.open:
            continue
        # Before its direction is written down, nothing says that a way back was wanted: the run goes on forwards.
        forwards = standing.direction is Direction.FORWARD
        outcome = pilot.resume()
        try:
            assert outcome.code == (0 if forwards else 6), outcome
            at_rest(world, Colour.GREEN if forwards else Colour.BLUE)
        except AssertionError as error:
            broken.append(f"{number * every} after {call}: {str(error)[:500]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(found[::every])}", *broken])


def test_a_rollback_is_refused_to_a_second_holder_while_the_first_lives() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = Pilot(world, BOB)
    with pytest.raises(Exception, match="held by ann@one") as refused:
        raise outcome.rollback().error or AssertionError
    assert refused.value.code == 4  # type: ignore[attr-defined]


def test_residual_traffic_holds_draining_and_is_named() -> None:
    world = entered(State.DRAINING, FAST)
    world.fate.residual = (Client("10.1.2.3", 7.0), Client("kube-probe/1.33", 50.0))
    world.tick()
    outcome = Pilot(world).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.DRAINING)
    assert "10.1.2.3" in str(outcome.error)
    assert world.clusters[Colour.BLUE].up
    world.fate.residual = (Client("kube-probe/1.33", 50.0),)
    world.tick()
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_kill_while_the_authority_was_verified_does_not_spoil_the_way_back() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def die(call: str) -> None:
        if call == "redis.green.write_probe":
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(after=die)).resume().error, Killed)
    pilot = Pilot(world)
    pilot.watch = until(State.PROMOTED)
    pilot.resume()
    assert Pilot(world).rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_keep_source_cleanup_refuses_the_master_and_the_absent() -> None:
    world = universe(FAST)
    Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",))
    with pytest.raises(GateRefused, match="write master"):
        Pilot(world).cleanup("green")
    with pytest.raises(UsageError, match="there is no cluster-red"):
        Pilot(world).cleanup("red")
    assert Pilot(world).cleanup("blue").error is None


def test_cleanup_waits_while_the_kept_cluster_still_serves() -> None:
    world = universe(FAST)
    Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",))
    world.fate.residual = (Client("10.1.2.3", 7.0),)
    world.tick()
    outcome = Pilot(world).cleanup("blue")
    assert outcome.code == 5
    assert world.clusters[Colour.BLUE].up
    world.fate.residual = ()
    world.tick()
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_cleanup_is_refused_while_a_rotation_is_open() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    with pytest.raises(Exception, match="is open in TRAFFIC_CANARY"):
        Pilot(world).cleanup("green")


def test_a_pause_leaves_the_weights_only_where_nobody_needs_to_watch() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    asked(world, "pause")
    outcome = Pilot(world, ANN).resume()
    assert isinstance(outcome.error, Paused)
    assert Pilot(world, BOB).resume(AUTO).error is None
