"""A Flux that would make S6 last longer than it may is measured and refused by name: before a rotation begins, and again from what its commits took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.flux_pace import Sample
from bennu.core.states import State
from bennu.errors import GateRefused
from bennu.phases.kinds import KUSTOMIZATION
from bennu.phases.preflight import CHECKS, examined
from tests.sim.controllers_flux import NAMESPACE
from tests.sim.pilot import POLICY, Pilot, at_rest, entered, gone_on, universe, until
from tests.sim.universe import Kit, Universe

KIT = Kit(weights=(10, 90))
# Three commits (stop, flip, start): 40 s for each.
LIMIT_S = POLICY.switchover_timeout_s / 3


def doctor(world: Universe) -> tuple[bool, str, float]:
    """What ``flux.pace`` finds, and how long it took."""
    session, begin = Pilot(world).session, world.clock.boot()
    view = session.world(session.proposed("", ()))
    found = next(check for check in CHECKS if check.id == "flux.pace").ask(view)
    return found.is_open, found.reason, world.clock.boot() - begin


def test_doctor_shows_what_a_quick_flux_takes_and_does_not_wait_long() -> None:
    is_open, reason, took = doctor(universe(KIT))
    assert is_open
    assert "(p95 of 3 measured), at most 40 s is allowed" in reason
    assert took <= 15


@pytest.mark.parametrize("stage_s", [15.0, 30.0, 10_000.0])
def test_a_slow_flux_keeps_a_rotation_from_beginning_and_is_given_up_where_it_has_shown_it(stage_s: float) -> None:
    world = universe(KIT)
    world.fate.slow_flux[Colour.BLUE] = stage_s
    before = len(world.remote.history)
    is_open, reason, took = doctor(world)
    slow = 2 * stage_s > LIMIT_S
    assert is_open is not slow
    # One that is only slow is asked once or twice; one that is too slow, once.
    assert took <= 10 + LIMIT_S + 1
    if slow:
        assert "at most 40 s is allowed: S6 waits for 3 commits and may take 120 s in all" in reason
        with pytest.raises(GateRefused, match="how fast Flux is at the source") as refused:
            Pilot(world).start()
        assert refused.value.exit_code == 3
        assert len(world.remote.history) == before
        assert not Pilot(world).session.standing().open


def test_a_broken_flux_object_is_said_at_once() -> None:
    world = universe(KIT)
    session = Pilot(world).session
    blue = world.clusters[Colour.BLUE]
    one = next(iter(blue.peek(KUSTOMIZATION, NAMESPACE)))
    blue.put({**one, "spec": {**one["spec"], "suspend": True}})
    found = {finding.id: finding for finding in examined(session.world(session.proposed("", ())))}
    assert "suspended" in found["flux.pace"].verdict.reason


def test_every_commit_that_flux_applies_leaves_a_sample_in_the_journal() -> None:
    world = entered(State.SWITCHOVER_LOCKED, KIT)
    facts = Pilot(world).session.standing().facts
    named = {name.removeprefix("flux.took."): Sample.parse(text) for name, text in facts.items() if name.startswith("flux.took.")}
    assert {"green.mesh-linking.links", "blue.mesh-linking.links", "green.data-syncing.init-sync", "blue.traffic-canary.weight-10"} <= named.keys()
    assert all(sample is not None and 0 <= sample.seconds < LIMIT_S for sample in named.values())


@pytest.mark.parametrize("colour", [Colour.BLUE, Colour.GREEN])
def test_a_flux_that_grew_slow_meanwhile_stops_s6_by_name_and_the_source_keeps_everything(colour: Colour) -> None:
    world = entered(State.SWITCHOVER_LOCKED, KIT)
    world.fate.slow_flux[colour] = 50.0
    outcome = Pilot(world).resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert f"Flux of {colour.cluster} has not answered a request to reconcile GitRepository" in str(outcome.error)
    assert "s after it was asked, at most 40 s is allowed" in str(outcome.error)
    assert not world.violations
    world.fate.slow_flux.clear()
    assert gone_on(world).error is None
    at_rest(world, Colour.GREEN)


def test_what_the_commits_took_counts_until_the_attempt_is_given_up() -> None:
    world = entered(State.TRAFFIC_CANARY, KIT)
    # The source takes about 20 s for each of the canary's commits; 7 s is what this S6 grants, in which it answers quickly again.
    world.fate.slow_flux[Colour.BLUE] = 10.0
    strict = replace(POLICY, switchover_timeout_s=21.0)
    pilot = Pilot(world, policy=strict)
    pilot.watch = until(State.SWITCHOVER_LOCKED)
    assert pilot.resume().standing.state is State.SWITCHOVER_LOCKED
    world.fate.slow_flux.clear()
    outcome = gone_on(world, policy=strict)
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY), outcome
    assert "Flux of cluster-blue reconciles in" in str(outcome.error)
    assert gone_on(world, policy=strict).error is None
    at_rest(world, Colour.GREEN)
