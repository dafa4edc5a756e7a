"""Systems that do not answer: before the switchover, inside it, behind it. Nothing is lost, and a resume goes on."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import BennuError, DependencyDown, GateRefused
from bennu.phases.kinds import CONFIGMAP, FLUX_RECONCILE, annotations_of
from bennu.ports.kubernetes import Ref
from tests.sim.failpoints import following
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, at_rest, entered, universe, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

pytestmark = pytest.mark.deep  # minutes in all

FAST = Kit(weights=(10,))
STATES = [state for state in State if state is not State.IDLE_STABLE]


# Git


@pytest.mark.parametrize("state", STATES)
def test_with_the_remote_down_a_state_is_held_and_goes_on_later(state: State) -> None:
    world = entered(state, FAST)
    pilot = Pilot(world)
    pilot.watch = lambda engine, progress: setattr(world.remote, "down", True)
    outcome = pilot.resume()
    assert outcome.code == (5 if state is State.SWITCHOVER_LOCKED else 8), outcome
    assert len(world.writable()) <= 1
    world.remote.down = False
    again = Pilot(world).resume()
    assert again.error is None, again
    at_rest(world, Colour.GREEN)


def test_a_rotation_does_not_begin_from_a_stale_clone() -> None:
    world = universe(FAST)
    pilot = Pilot(world)
    pilot.session.standing()
    world.remote.down = True
    with pytest.raises(DependencyDown, match="Git remote does not answer"):
        pilot.start()


def test_a_remote_that_dies_before_the_fence_leaves_the_source_master() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    outcome = ended(world, "redis.blue.kill_named", "kubernetes.blue.apply", at="before", then=lambda: setattr(world.remote, "down", True))
    assert outcome.code in (5, 8)
    assert not world.lost()


def test_a_remote_that_dies_after_the_promotion_keeps_flux_off_the_pointers() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    outcome = ended(world, "redis.green.make_master", at="after", then=lambda: setattr(world.remote, "down", True))
    assert outcome.code == 5, outcome
    for _ in range(60):
        world.clock.wait(1.0)
    assert world.writable() == ["green"]
    for colour, master in ((Colour.BLUE, "false"), (Colour.GREEN, "true")):
        live = world.clusters[colour].get(Ref(CONFIGMAP, "global-traffic-state", "payments"))
        assert live is not None
        assert annotations_of(live)[FLUX_RECONCILE] == "disabled"
        assert live["data"]["IS_WRITE_MASTER"] == master
    world.remote.down = False
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize(("state", "every"), [(State.PROVISIONING, 2), (State.DATA_SYNCING, 3), (State.SWITCHOVER_LOCKED, 2), (State.DRAINING, 4)])
def test_a_push_that_arrived_without_an_answer_is_not_made_twice(state: State, every: int) -> None:
    broken = []
    for number in range(1, 40, every):
        world = entered(state, FAST)
        seen = [0]

        def before(call: str, world: Universe = world, seen: list[int] = seen, number: int = number) -> None:
            if call == "repository.advance":
                seen[0] += 1
                if seen[0] == number:
                    world.remote.lost_answers, world.remote.dies_then = 1, True

        pilot = Pilot(world, taps=Taps(before=before))
        pilot.watch = until(following(state))
        outcome = pilot.resume()
        if seen[0] < number:
            break
        world.remote.down = False
        subjects = [one.commit.subject for one in world.remote.history]
        again = outcome if isinstance(outcome.error, Killed) and state is not State.DRAINING else Pilot(world).resume()
        done = Pilot(world).session.standing()
        if again.error is not None and not isinstance(again.error, Killed) and done.ended == "":
            broken.append(f"{number}: {outcome}, then {again}")
        if len(set(subjects)) != len(subjects):
            broken.append(f"{number}: {subjects}")
    assert number > every
    assert not broken, "\n".join(broken)


# The disk


def test_with_a_full_disk_nothing_is_begun() -> None:
    world = universe(FAST)
    world.disk(ANN.name).full = True
    with pytest.raises(GateRefused, match="No space left"):
        Pilot(world).start()
    assert len(world.remote.history) == 1
    assert Colour.GREEN not in world.provisioner.clusters
    world.disk(ANN.name).full = False
    assert Pilot(world).start().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("state", [State.BOOTSTRAPPING, State.DATA_SYNCING, State.PROMOTED])
def test_a_disk_that_fills_up_stops_the_run_before_the_next_effect(state: State) -> None:
    world = entered(state, FAST)
    taps = Taps()
    pilot = Pilot(world, taps=taps)
    world.disk(ANN.name).full = True
    outcome = pilot.resume()
    assert outcome.code == 5
    assert [call for call in taps.calls if not call.startswith(("checkpoint", "repository"))] == []
    assert Pilot(world, BOB).resume(take_over=lock_of(world)).error is None


def test_a_disk_that_fills_up_inside_the_switchover_does_not_stop_it() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def fill(call: str) -> None:
        if call == "redis.blue.fence":
            world.disk(ANN.name).full = True

    outcome = Pilot(world, taps=Taps(after=fill)).resume()
    assert outcome.error is None, outcome
    assert any("with the journal in Git alone" in progress.text for progress in outcome.progress)
    at_rest(world, Colour.GREEN)
    assert not world.lost()


def lock_of(world: Universe) -> str:
    lock = Pilot(world).session.standing().lock
    return lock.id if lock else ""


# Any system, at any effect of the switchover


def ended(world: Universe, *calls: str, at: str, then: object) -> Outcome:
    """Resume, and have *then* happen once, before or after the first of *calls*."""
    done = [False]

    def tap(call: str) -> None:
        if call in calls and not done[0]:
            done[0] = True
            then()  # type: ignore[operator]

    taps = Taps(before=tap) if at == "before" else Taps(after=tap)
    return Pilot(world, taps=taps).resume()


@pytest.mark.parametrize("at", ["before", "after"])
def test_any_effect_of_the_switchover_may_fail_once(at: str) -> None:
    """Before: it did not happen. After: it did, and nobody heard (of pushes the adapter itself finds that out, see above)."""
    calls = switchover_calls()
    assert len(calls) > 20
    broken = []
    for number, name in enumerate(calls):
        if name.startswith("checkpoint") or (at == "after" and name.startswith("repository")):
            continue
        world = entered(State.SWITCHOVER_LOCKED, FAST)
        taps = Taps()

        def fail(call: str, taps: Taps = taps, number: int = number) -> None:
            if len(taps.calls) == number + 1:
                raise ConnectionError("reset") if call.startswith("redis") and "kill" not in call else DependencyDown(f"{call} got no answer")

        setattr(taps, at, fail)
        pilot = Pilot(world, taps=taps)
        pilot.watch = until(State.PROMOTED)
        try:
            outcome = pilot.resume()
            assert isinstance(outcome.error, BennuError | Killed), outcome
            assert outcome.code in (-1, 5, 8), outcome
            pilot = Pilot(world)
            pilot.watch = until(State.PROMOTED)
            standing = pilot.session.standing()
            if standing.state is not State.PROMOTED:
                again = pilot.resume()
                assert again.standing.state is State.PROMOTED, again
            assert (world.violations, world.lost(), world.writable()) == ([], [], ["green"])
            assert world.master_in_git() is Colour.GREEN
            assert world.runs_exclusive(Colour.GREEN)
        except AssertionError as error:
            broken.append(f"{number} {name}: {str(error)[:400]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(calls)}", *broken])


def switchover_calls() -> list[str]:
    taps = Taps()
    pilot = Pilot(entered(State.SWITCHOVER_LOCKED, FAST), taps=taps)
    pilot.watch = until(State.PROMOTED)
    pilot.resume()
    return taps.calls


# Clusters


def test_the_source_is_never_given_up_while_its_redis_does_not_answer() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    world.servers[Colour.BLUE].knobs.reachable = False
    outcome = Pilot(world).resume()
    assert outcome.code in (5, 7, 8)
    assert world.servers[Colour.GREEN].state.master is not None
    world.servers[Colour.BLUE].knobs.reachable = True
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


def test_a_target_whose_redis_dies_before_the_switch_leaves_the_source_master() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    world.servers[Colour.GREEN].knobs.reachable = False
    outcome = Pilot(world).resume()
    assert outcome.code in (5, 7, 8)
    assert world.writable() == ["blue"]
    assert not world.lost()


def test_the_write_pause_reads_and_edits_nothing() -> None:
    """Between pause and flip only the two servers and the two pointers are spoken to."""
    taps = Taps(reads=True)
    pilot = Pilot(entered(State.SWITCHOVER_LOCKED, FAST), taps=taps)
    pilot.watch = until(State.PROMOTED)
    pilot.resume()
    begin = taps.calls.index("redis.blue.pause")
    # Released: from here on nobody waits any more.
    inside = taps.calls[begin : taps.calls.index("redis.blue.unpause", begin)]
    assert {call for call in inside if not call.startswith("redis")} == {"kubernetes.blue.apply", "kubernetes.green.apply"}
