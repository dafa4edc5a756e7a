"""Whoever leads S6 after another holder cuts that holder off before it believes what the servers say, however it goes on from there: to the end, or back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.core.switchover import announced
from bennu.engine.journal import Entry
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import DependencyDown, LockLost, StoppedSafe
from bennu.phases.base import Effect, Step
from bennu.phases.rollback import Swapped
from bennu.phases.switchover_locked import GiveUp
from bennu.wiring import Over, resumed
from tests.sim.pilot import ANN, AUTO, BOB, Outcome, Pilot, at_rest, entered, fresh_take
from tests.sim.seams import Taps
from tests.sim.test_disaster import dead
from tests.sim.universe import Kit, Universe

# Without a workload that is stopped first, the hand-over is the phase's first effect.
FAST = Kit(weights=(10,), active_only=False)
OUTSIDE = Kit(redis=False, weights=(10,), active_only=False)
MOVES = (".fence", ".make_master", ".attach")
# Calls of the critical section, with the source still open, fenced, and handed over.
OPEN = ("redis.blue.pause", "redis.blue.fence")
FENCED = ("redis.green.make_master",)
MOVED = ("redis.blue.attach", "redis.blue.cut_clients", "redis.green.write_probe")


def signalled(world: Universe, *, back: bool = False) -> Outcome:
    """Bob takes over, and wants to stop at once (^C)."""
    world.disk(ANN.name).locks.clear()
    pilot = Pilot(world, BOB)
    lock = pilot.session.standing().lock

    @contextmanager
    def opening() -> Iterator[Engine]:
        with resumed(pilot.session, AUTO, over=Over(lock.id if lock else "", force=True)) as engine:
            engine.lookout.stop.set(2)
            yield engine

    return pilot._driven(opening(), way=Engine.roll_back if back else Engine.drive)


class Notes:
    """A pen of Bob's."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def tell(self, line: str) -> None:
        pass

    def intend(self, facts: Mapping[str, str]) -> None:
        self._engine.lookout.journal.append(Entry(Kind.INTENT, step=GiveUp.id, data=facts))

    def undisturbed(self) -> AbstractContextManager[None]:
        return self._engine.lookout.journal.undisturbed()


def given_up(world: Universe, step: Step | None = None) -> tuple[Effect, list[str]]:
    """Bob takes over, and the first thing that he does is to give up. What came of it, and the calls that he made."""
    taps = Taps(reads=True)
    pilot = Pilot(world, BOB, taps=taps)
    lock = pilot.session.standing().lock
    with resumed(pilot.session, AUTO, over=Over(lock.id if lock else "", force=True)) as engine:
        del taps.calls[:]
        found = (step or GiveUp()).act(engine.as_of_now(), Notes(engine))
        engine.lookout.journal.append(Entry(Kind.DONE, step=GiveUp.id, data=found.facts))
        return found, list(taps.calls)


@dataclass
class Frozen:
    """Ann, who slept at a call: how she ended, and what she still tried."""

    outcome: Outcome
    tried: list[str]

    def changed_nothing(self) -> None:
        """The call that she slept at reached a connection that was dead, and none followed."""
        assert isinstance(self.outcome.error, LockLost | DependencyDown), self.outcome
        assert not [call for call in self.tried[1:] if call.endswith(MOVES)], self.tried


def frozen(world: Universe, at: str, meanwhile: Callable[[], object], *, run: Callable[[Pilot], Outcome] = Pilot.resume) -> Frozen:
    """Ann sleeps before her first call *at*; *meanwhile* happens; she wakes up."""
    taps, slept = Taps(), list[int]()

    def before(call: str) -> None:
        if call == at and not slept:
            slept.append(len(taps.calls))
            world.disk(ANN.name).locks.clear()
            meanwhile()

    taps.before = before
    outcome = run(Pilot(world, ANN, taps=taps))
    assert slept, outcome
    return Frozen(outcome, taps.calls[slept[0] - 1 :])


def in_order(calls: list[str]) -> bool:
    """Both servers' older connections were cut before either said its role."""
    roles = [number for number, call in enumerate(calls) if call.endswith(".observe")]
    cuts = [calls.index(f"redis.{colour}.kill_named") for colour in ("blue", "green")]
    return max(cuts) < min(roles)


@pytest.mark.parametrize("point", [*OPEN, *FENCED, *MOVED])
def test_a_take_over_that_is_interrupted_leaves_nothing_to_the_holder_before(point: str) -> None:
    world, bobs = entered(State.SWITCHOVER_LOCKED, FAST), list[Outcome]()
    ann = frozen(world, point, lambda: bobs.append(signalled(world)))
    ann.changed_nothing()
    assert bobs[0].code == 130, bobs[0]
    assert (world.violations, world.lost(), world.writable()) == ([], [], ["green"])
    assert world.pointer(Colour.GREEN)["IS_WRITE_MASTER"] == "true"
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("point", [*OPEN, *MOVED])
def test_a_way_back_that_is_interrupted_leaves_nothing_to_the_holder_before(point: str) -> None:
    world, bobs = entered(State.PROMOTED, FAST), list[Outcome]()
    there = point.replace("blue", "*").replace("green", "blue").replace("*", "green")
    ann = frozen(world, there, lambda: bobs.append(signalled(world, back=True)), run=Pilot.rollback)
    ann.changed_nothing()
    assert bobs[0].code == 130, bobs[0]
    assert (world.violations, world.lost(), world.writable()) == ([], [], ["blue"])
    assert Pilot(world).resume().code == 6
    at_rest(world, Colour.BLUE)


@pytest.mark.parametrize("point", OPEN)
def test_giving_up_cuts_the_holder_before_off_and_only_then_reads_the_roles(point: str) -> None:
    world, calls = entered(State.SWITCHOVER_LOCKED, FAST), list[str]()
    ann = frozen(world, point, lambda: calls.extend(given_up(world)[1]))
    ann.changed_nothing()
    assert in_order(calls), calls
    assert (world.violations, world.lost(), world.servers[Colour.BLUE].state.master) == ([], [], None)
    assert not announced(Pilot(world).session.standing().facts)


def test_giving_up_behind_the_fence_is_refused_and_the_promotion_under_way_dies_with_its_connection() -> None:
    world, refused = entered(State.SWITCHOVER_LOCKED, FAST), list[StoppedSafe]()

    def bob() -> None:
        with pytest.raises(StoppedSafe, match="only goes forward") as caught:
            given_up(world)
        refused.append(caught.value)

    frozen(world, *FENCED, bob).changed_nothing()
    assert refused
    assert world.writable() == []
    assert fresh_take(world, BOB).error is None
    at_rest(world, Colour.GREEN)


def test_giving_up_with_a_silent_target_cuts_the_source_and_needs_no_more_than_its_word() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    green = world.servers[Colour.GREEN]

    def bob() -> None:
        green.knobs.reachable = False
        found, calls = given_up(world)
        green.knobs.reachable = True
        assert found.facts["intent.open"] == "false"
        assert "redis.blue.kill_named" in calls

    # Her connection to the target lives; without the one to the source there is no fence, and so no promotion.
    frozen(world, "redis.blue.fence", bob).changed_nothing()
    assert (world.violations, world.lost(), world.servers[Colour.BLUE].state.master) == ([], [], None)


@pytest.mark.parametrize(("point", "silent"), [("redis.blue.fence", Colour.BLUE), ("redis.green.make_master", Colour.GREEN)])
def test_giving_up_decides_nothing_where_the_server_that_knows_is_silent(point: str, silent: Colour) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def bob() -> None:
        world.servers[silent].knobs.reachable = False
        with pytest.raises(DependencyDown) as caught:
            given_up(world)
        world.servers[silent].knobs.reachable = True
        assert (caught.value.code, "nothing is decided" in caught.value.changed) == (8, True)
        assert announced(Pilot(world).session.standing().facts)

    frozen(world, point, bob)
    assert (world.violations, world.lost()) == ([], [])
    assert fresh_take(world, BOB).error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("point", MOVED)
def test_a_resume_that_finds_all_done_has_cut_the_holder_before_off_all_the_same(point: str) -> None:
    world, taps = entered(State.SWITCHOVER_LOCKED, FAST), Taps(reads=True)

    def bob() -> None:
        outcome = fresh_take(world, BOB, Wishes(stop_after=State.SWITCHOVER_LOCKED), taps=taps)
        assert outcome.code == 10, outcome
        if point != "redis.blue.attach":
            # When the pause began and ended, nobody knows any more.
            assert "pause.ms" not in outcome.standing.facts

    frozen(world, point, bob).changed_nothing()
    assert in_order(taps.calls), taps.calls
    assert (world.violations, world.lost(), world.writable()) == ([], [], ["green"])


def test_a_way_back_past_a_broken_link_is_cut_off_by_one_over_the_mended_link() -> None:
    world, bobs = entered(State.PROMOTED, FAST), list[Outcome]()
    world.clients_write = lambda: None  # type: ignore[method-assign]
    world.fate.down.add(Colour.GREEN)
    world.tick()

    def bob() -> None:
        world.fate.down.clear()
        world.tick()
        pilot = Pilot(world, BOB)
        lock = pilot.session.standing().lock
        bobs.append(pilot.rollback(take_over=lock.id if lock else ""))

    frozen(world, "redis.green.fence", bob, run=Pilot.rollback).changed_nothing()
    assert bobs[0].code == 6, bobs[0]
    at_rest(world, Colour.BLUE)


def test_giving_up_a_way_back_past_a_broken_link_cuts_it_off() -> None:
    world = entered(State.PROMOTED, FAST)
    world.clients_write = lambda: None  # type: ignore[method-assign]
    world.fate.down.add(Colour.GREEN)
    world.tick()
    ann = frozen(world, "redis.green.fence", lambda: given_up(world, Swapped(GiveUp())), run=Pilot.rollback)
    ann.changed_nothing()
    assert (world.violations, world.writable()) == ([], ["green"])


def test_a_pointer_that_was_to_be_handed_over_is_taken_from_the_holder_before_that_never_claimed_it() -> None:
    world = entered(State.SWITCHOVER_LOCKED, OUTSIDE)
    ann = frozen(world, "kubernetes.blue.apply", lambda: given_up(world))
    assert isinstance(ann.outcome.error, LockLost), ann.outcome
    assert (world.pointer(Colour.BLUE)["IS_WRITE_MASTER"], world.pointer(Colour.GREEN)["IS_WRITE_MASTER"]) == ("true", "false")


def test_a_target_that_is_silent_before_anything_was_announced_ends_where_it_began() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    world.servers[Colour.GREEN].knobs.up = False
    taps = Taps()
    outcome = Pilot(world, taps=taps).resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert not [call for call in taps.calls if call.endswith((*MOVES, ".kill_named"))]


def test_a_disaster_whose_first_holder_only_sleeps_is_decided_once() -> None:
    world = dead(entered(State.SWITCHOVER_LOCKED, FAST))
    gone = Wishes(auto_promote=True, dr=True, accept_loss=True, gone="cluster-blue")
    ann = frozen(world, "redis.green.make_master", lambda: fresh_take(world, BOB, gone), run=lambda pilot: pilot.resume(gone))
    ann.changed_nothing()
    assert world.writable() == ["green"]


def test_nothing_is_left_open_by_a_rotation_and_its_way_back() -> None:
    world = entered(State.PROMOTED, FAST)
    assert not announced(Pilot(world).session.standing().facts)
    assert Pilot(world).rollback().code == 6
    assert not announced(Pilot(world).session.standing().facts)
