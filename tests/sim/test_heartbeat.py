"""A holder whose step takes a quarter of an hour lives, and shows it; one that is dead does not; and no heartbeat comes between pause and release."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.errors import LockHeld, LockLost
from tests.sim.pilot import ANN, BOB, POLICY, Outcome, Pilot, at_rest, entered, fresh_take, universe, until
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,), active_only=False)


class Slow:
    """A process whose call *at* takes a while; *meanwhile* happens in it once."""

    def __init__(self, world: Universe, at: str, seconds: int) -> None:
        self.taps = Taps(before=self._before)
        self.pilot = Pilot(world, ANN, taps=self.taps)
        self.at, self.seconds = at, seconds
        self.meanwhile: Callable[[], None] = lambda: None
        self.advances: list[int] = []
        self._met = False

    def beats(self) -> None:
        """What its thread does now and then."""
        for look in self.pilot.session._clock.looks:
            look()

    def _before(self, call: str) -> None:
        if call != self.at or self._met:
            return
        self._met = True
        before = self.taps.calls.count("repository.advance")
        clock = self.pilot.session.systems.clock
        for second in range(self.seconds):
            clock.wait(1.0)
            if second == self.seconds // 2:
                self.meanwhile()
        self.advances.append(self.taps.calls.count("repository.advance") - before)


def taken(world: Universe, *, force: bool = False) -> Outcome:
    """Bob takes over, as the lock says."""
    pilot = Pilot(world, BOB)
    held = pilot.session.standing().lock
    pilot.watch = until(State.BOOTSTRAPPING)
    return pilot.resume(take_over=held.id if held else "", force=force)


def test_a_holder_in_a_long_step_is_seen_to_live_and_keeps_its_lock() -> None:
    world = universe(FAST)
    ann, bobs = Slow(world, "provisioner.up", 900), list[Outcome]()

    def bob() -> None:
        # Its clock is wrong: by the records' times the holder was last heard of an hour ago.
        world.clock.jump(3600)
        bobs.append(taken(world))
        world.clock.jump(-3600)

    def living() -> None:
        # Ann's thread goes on while Bob watches; here both share one clock, so her beats are due in his waits.
        for moment in range(1, 40):
            world.clock.after(moment, ann.beats)
        bob()

    ann.meanwhile = living
    outcome = ann.pilot.start()
    assert outcome.error is None, outcome
    assert isinstance(bobs[0].error, LockHeld), bobs[0]
    assert "ann@one (pid 1) lives: it wrote while this machine watched" in str(bobs[0].error)
    assert ann.advances[0] >= 900 // (2 * POLICY.heartbeat_s)
    beats = [one for one in ann.pilot.session.journal.records if one.kind is Kind.HEARTBEAT and one.state is State.PROVISIONING]
    assert beats[0].data["awaiting"] == "the target's infrastructure"
    at_rest(world, Colour.GREEN)


def test_a_holder_that_died_in_a_long_step_is_taken_over_after_two_heartbeats() -> None:
    world = entered(State.PROVISIONING, FAST)
    world.clock.jump(3600)
    begin = world.clock.boot()
    outcome = taken(world)
    assert not isinstance(outcome.error, LockHeld), outcome
    assert Pilot(world).session.standing().started_by == ANN.name
    records = Pilot(world, BOB).session
    records.standing()
    mine = next(one for one in records.journal.records if one.holder == BOB.name)
    assert mine.kind is Kind.LOCK
    assert world.clock.boot() - begin >= 2 * POLICY.heartbeat_s


def test_a_frozen_holder_that_finds_itself_taken_over_is_told_by_its_heartbeat() -> None:
    world = universe(FAST)
    ann = Slow(world, "provisioner.up", 60)

    def stolen() -> None:
        world.disk(ANN.name).locks.clear()
        bob = fresh_take(world, BOB)
        assert bob.error is None, bob

    ann.meanwhile = stolen
    outcome = ann.pilot.start()
    assert isinstance(outcome.error, LockLost), outcome
    assert "was taken over by bob@two at 2026-" in outcome.error.message
    assert outcome.code == 4
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("at", ["redis.blue.pause", "redis.blue.fence", "redis.green.make_master", "redis.blue.unpause"])
def test_nothing_is_pushed_between_pause_and_release(at: str) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    ann = Slow(world, at, 60)
    ann.pilot.resume()
    assert ann.advances == [0]


@pytest.mark.parametrize("at", ["redis.blue.cut_clients", "redis.green.write_probe"])
def test_behind_the_release_the_heartbeat_goes_on(at: str) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    ann = Slow(world, at, 60)
    outcome = ann.pilot.resume()
    assert outcome.error is None, outcome
    assert ann.advances[0] > 2
    at_rest(world, Colour.GREEN)
