"""The watch for two masters: found wherever a rotation stands, never by a hand-over's own overlaps, and fenced without anything being merged."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import BennuError, SplitBrainError
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import BOB, POLICY, Pilot, at_rest, during, entered, fresh_take, universe, until
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))
OUTSIDE = Kit(redis=False, weights=(10,))


def promoted_by_hand(world: Universe, colour: Colour) -> None:
    """Somebody types REPLICAOF NO ONE."""
    world.servers[colour].follow(None)


@pytest.mark.parametrize(
    ("state", "step", "stray", "fenced"),
    [
        (State.TRAFFIC_CANARY, "traffic-canary.watch-10", Colour.GREEN, Colour.BLUE),
        (State.PROMOTED, "promoted.ttl", Colour.BLUE, Colour.BLUE),
    ],
)
def test_two_masters_are_found_within_two_seconds_and_the_source_is_fenced(state: State, step: str, stray: Colour, fenced: Colour) -> None:
    world = entered(state, FAST)
    pilot, begun = Pilot(world), []

    def act(engine: Engine) -> None:
        promoted_by_hand(world, stray)
        begun.append(world.clock.boot())

    pilot.watch = during(step, act)
    outcome = pilot.resume()
    assert isinstance(outcome.error, SplitBrainError), outcome
    assert outcome.code == 7
    assert f"Redis of {fenced.cluster}" in outcome.error.changed
    assert "bytes of replication stream" in outcome.error.message
    assert world.clock.boot() - begun[0] <= 2
    assert world.servers[fenced].state.master == PARKED
    assert len(world.writable()) == 1
    assert outcome.standing.lock is None
    assert "two servers" in outcome.standing.reason


def test_on_the_way_back_the_target_is_the_one_that_is_fenced() -> None:
    world = entered(State.PROMOTED, FAST)
    pilot = Pilot(world)
    pilot.watch = during("rollback.ttl", lambda engine: promoted_by_hand(world, Colour.GREEN))
    outcome = pilot.rollback()
    assert outcome.code == 7, outcome
    assert (world.servers[Colour.GREEN].state.master, world.writable()) == (PARKED, ["blue"])


def test_a_second_master_outside_of_any_gate_ends_the_run_by_the_alarm_and_not_by_its_echoes() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def stray(call: str) -> None:
        if call == "redis.blue.pause" and not world.violations:
            promoted_by_hand(world, Colour.GREEN)
            world.look()
            pilot.session.looks[0]()

    pilot = Pilot(world, taps=Taps(after=stray))
    outcome = pilot.resume()
    assert outcome.code == 7, outcome
    assert "two servers accepted writes" in str(outcome.error)
    assert len(world.writable()) <= 1


@pytest.mark.parametrize("kit", [FAST, OUTSIDE], ids=["redis", "no-redis"])
def test_no_instant_of_a_rotation_or_of_its_way_back_looks_like_two_masters(kit: Kit) -> None:
    world = universe(kit)
    taps = Taps(reads=True)
    pilot = Pilot(world, taps=taps)
    # At every effect and at every question, before and after: whatever overlaps there is lies between two of these looks.
    taps.before = taps.after = lambda call: pilot.session.looks[0]() if pilot.session.looks and "redis" in call else None
    pilot.start(Wishes(auto_promote=True, stop_after=State.PROMOTED))
    assert pilot.session.standing().state is State.PROMOTED
    back = Pilot(world, BOB, taps=taps)
    pilot = back
    assert back.rollback().code == 6
    at_rest(world, Colour.BLUE)


def test_readings_that_a_hand_over_lies_between_are_not_two_masters() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    pilot = Pilot(world)
    pilot.watch = until(State.DRAINING)
    pilot.resume()
    assert world.violations == []
    assert pilot.session.standing().state is State.DRAINING


def test_two_pointers_with_the_authority_end_the_run_and_one_is_taken_back() -> None:
    world = entered(State.TRAFFIC_CANARY, OUTSIDE)

    def by_hand(engine: Engine) -> None:
        world.fate.frozen_flux.add(Colour.GREEN)
        world.clusters[Colour.GREEN].patch(Ref(CONFIGMAP, "global-traffic-state", "payments"), {"data": {"IS_WRITE_MASTER": "true"}})

    pilot = Pilot(world)
    pilot.watch = during("traffic-canary.watch-10", by_hand)
    outcome = pilot.resume()
    assert outcome.code == 7, outcome
    assert "is true in payments/global-traffic-state of both" in str(outcome.error)
    assert world.pointer(Colour.BLUE)["IS_WRITE_MASTER"] == "false"


KEEP = Wishes(auto_promote=True)
LONG = replace(POLICY, watch_after_release_s=120, dns_timeout_s=30)


def promoted(world: Universe) -> None:
    """A process that dies when it enters S7."""
    pilot = Pilot(world, policy=LONG)
    pilot.watch = until(State.PROMOTED)
    pilot.start(KEEP, options=("keep-source",))


def since_release(world: Universe) -> float:
    """Seconds since the authority moved, by the journal."""
    begun = Pilot(world).session.standing().facts["released.at"]
    return (world.clock.wall() - datetime.fromisoformat(begun)).total_seconds()


@pytest.mark.parametrize("runs", ["one", "killed and resumed", "taken over", "ended by an error"])
def test_a_kept_source_is_watched_until_two_minutes_after_the_release_whoever_sees_the_end_of_it(runs: str) -> None:
    world = universe(FAST)
    if runs == "one":
        outcome = Pilot(world, policy=LONG).start(KEEP, options=("keep-source",))
    else:
        promoted(world)
        if runs == "ended by an error":
            world.dns.silent.add("authoritative")
        outcome = fresh_take(world, BOB, KEEP, policy=LONG) if runs == "taken over" else Pilot(world, policy=LONG).resume(KEEP)
    assert outcome.code == (5 if runs == "ended by an error" else 0), outcome
    assert 119 <= since_release(world) <= 123


def test_two_minutes_after_the_release_a_resume_waits_for_nobody() -> None:
    world = universe(FAST)
    promoted(world)
    world.dns.silent.add("authoritative")
    assert Pilot(world, policy=LONG).resume(KEEP).code == 5
    world.dns.silent.clear()
    outcome = Pilot(world, policy=LONG).resume(KEEP)
    assert outcome.error is None, outcome
    assert not [progress.text for progress in outcome.progress if "are watched for" in progress.text]


def test_a_run_that_ended_by_an_error_after_the_hand_over_still_finds_two_masters_and_ends_by_them() -> None:
    world = universe(FAST)
    promoted(world)
    world.dns.silent.add("authoritative")
    world.clock.after(90, lambda: promoted_by_hand(world, Colour.BLUE))
    outcome = Pilot(world, policy=LONG).resume(KEEP)
    assert outcome.code == 7, outcome
    assert [progress.text for progress in outcome.progress if progress.mark is Mark.WARN and "waited" in progress.text]
    assert world.servers[Colour.BLUE].state.master == PARKED


def test_a_run_that_ended_by_an_error_makes_way_when_somebody_else_leads() -> None:
    world = universe(FAST)
    promoted(world)
    world.dns.silent.add("authoritative")

    def taken() -> None:
        lock.take(Pilot(world, BOB).session.journal)

    world.clock.after(60, taken)
    outcome = Pilot(world, policy=LONG).resume(KEEP)
    assert outcome.code == 5, outcome
    assert since_release(world) < 90


@pytest.mark.parametrize("stopped", ["paused", "signal"])
def test_a_run_that_makes_way_after_the_hand_over_makes_it_at_once(stopped: str) -> None:
    world = universe(FAST)
    promoted(world)
    pilot = Pilot(world, policy=LONG)
    if stopped == "signal":
        pilot.watch = during("promoted.ttl", lambda engine: engine.lookout.stop.set(2))
    outcome = pilot.resume(replace(KEEP, stop_after=State.PROMOTED))
    assert outcome.code == (130 if stopped == "signal" else 10), outcome
    assert since_release(world) < 30


def test_a_kept_source_is_watched_for_a_while_after_the_rotation() -> None:
    world = universe(FAST)
    pilot = Pilot(world, policy=replace(POLICY, watch_after_release_s=120))

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.END:
            world.clock.after(0.5, lambda: promoted_by_hand(world, Colour.BLUE))

    pilot.watch = watch
    outcome = pilot.start(Wishes(auto_promote=True), options=("keep-source",))
    assert outcome.code == 7, outcome
    assert world.servers[Colour.BLUE].state.master == PARKED


@pytest.mark.parametrize(("ended", "code"), [("well", 130), ("by an error", 5)])
def test_a_signal_ends_the_watch_after_a_run_and_says_that_the_run_was_over(ended: str, code: int) -> None:
    world = universe(FAST)
    promoted(world)
    if ended == "by an error":
        world.dns.silent.add("authoritative")
    pilot = Pilot(world, policy=LONG)

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.STATE or progress.step == "promoted.dns":
            pilot.watch = lambda engine, progress: None
            world.clock.after(60, lambda: engine.lookout.stop.set(2))

    pilot.watch = watch
    outcome = pilot.resume(KEEP)
    assert outcome.code == code, outcome
    assert 60 <= since_release(world) < 90
    assert isinstance(outcome.error, BennuError)
    if ended == "well":
        assert "the run itself was over, in IDLE_STABLE" in outcome.error.changed
    assert outcome.standing.lock is None
