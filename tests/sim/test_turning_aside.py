"""What the world does to a run: links that fail, gates that fail or stay silent, deadlines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import Paused
from bennu.phases.kinds import DEPLOYMENT, KUSTOMIZATION, POD
from bennu.ports.kubernetes import Ref
from bennu.ports.metrics import Traffic
from tests.sim import fleet
from tests.sim.pilot import BOB, POLICY, Pilot, at_rest, during, entered, gone_on
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))
SOURCE_ALONE = {"payment-service": 100}


# Monitors


def test_a_link_that_stays_down_in_the_canary_brings_all_traffic_back_by_itself() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    cut = during("traffic-canary.watch-10", lambda engine: world.fate.down.add(Colour.GREEN))
    outcome = gone_on(world, cut, policy=replace(POLICY, canary_window_s=10))
    assert (outcome.code, outcome.standing.state, outcome.standing.lock) == (5, State.TRAFFIC_CANARY, None)
    assert "the mesh link" in str(outcome.error)
    assert "3 times in a row" in str(outcome.error)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    assert world.master_in_git() is Colour.BLUE
    world.fate.down.clear()
    world.tick()
    assert Pilot(world, BOB).resume().error is None
    at_rest(world, Colour.GREEN)


@pytest.mark.parametrize("missed", [1, 2])
def test_a_probe_or_two_missed_do_not_make_the_traffic_flap(missed: int) -> None:
    world = entered(State.TRAFFIC_CANARY, Kit(weights=(10,)))

    def blink(engine: Engine) -> None:
        world.fate.down.add(Colour.GREEN)
        world.clock.after(missed + 0.5, world.fate.down.clear)

    outcome = gone_on(world, during("traffic-canary.watch-10", blink))
    assert outcome.error is None, outcome
    assert not any("Send all traffic back" in one.commit.subject for one in world.remote.history)


def test_a_link_that_dies_while_a_human_is_waited_for_brings_the_traffic_back() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.clock.after(60, lambda: world.fate.down.add(Colour.GREEN))
    outcome = gone_on(world, wishes=Wishes())
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE


def test_a_source_that_restarts_with_another_history_stops_the_canary() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    outcome = gone_on(world, during("traffic-canary.watch-10", lambda engine: world.servers[Colour.BLUE].crash()))
    assert outcome.code == 5
    assert "another history" in str(outcome.error)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE


# Gates


@pytest.mark.parametrize(
    ("traffic", "words"),
    [(Traffic(5000, 50, 20.0, 1.0), "success rate 99.000%"), (Traffic(5000, 0, 900.0, 1.0), "p99 latency 900 ms")],
    ids=["errors", "slow"],
)
def test_a_measured_failure_brings_the_traffic_back_at_once(traffic: Traffic, words: str) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.fate.default_health = traffic
    outcome = gone_on(world)
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert words in str(outcome.error)
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE


@pytest.mark.parametrize(
    "traffic", [Traffic(None, None, None, None), Traffic(0, 0, None, 1.0), Traffic(5000, 0, 20.0, 9999.0), Traffic(3, 0, 20.0, 1.0)],
    ids=["no-series", "no-traffic", "stale", "too-few"],
)  # fmt: skip
def test_a_canary_that_cannot_be_judged_waits_for_a_human(traffic: Traffic) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.fate.default_health = traffic
    outcome = gone_on(world)
    assert isinstance(outcome.error, Paused), outcome
    assert outcome.standing.status == "paused"
    assert world.master_in_git() is Colour.BLUE
    assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
    world.fate.default_health = Traffic(5000, 0, 20.0, 1.0)
    assert Pilot(world, BOB).resume().error is None


def test_a_prometheus_that_is_down_neither_passes_nor_rolls_back() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)

    def silent(engine: Engine) -> None:
        world.metrics.up = False

    outcome = gone_on(world, during("traffic-canary.watch-10", silent))
    assert outcome.code in (5, 10)
    assert world.master_in_git() is Colour.BLUE


def frozen(world: Universe) -> None:
    world.fate.frozen_flux.add(Colour.GREEN)


def gateway_down(world: Universe) -> None:
    world.fate.down.add(Colour.BLUE)


def source_flux_frozen(world: Universe) -> None:
    world.fate.frozen_flux.add(Colour.BLUE)


def old_redis(world: Universe) -> None:
    world.servers[Colour.GREEN].knobs.version = "8.0.0"


def dns_stuck(world: Universe) -> None:
    world.dns.silent.add("authoritative")


def two_masters(world: Universe) -> None:
    world.servers[Colour.BLUE].follow(None)


@pytest.mark.parametrize(
    ("state", "breaks", "words"),
    [
        (State.BOOTSTRAPPING, frozen, "waited"),
        (State.MESH_LINKING, gateway_down, "has no ready address"),
        (State.DATA_SYNCING, gateway_down, "no ready address"),
        (State.SWITCHOVER_LOCKED, old_redis, "cannot replicate"),
        (State.PROMOTED, source_flux_frozen, "waited"),
        (State.PROMOTED, dns_stuck, "does not answer for api.test"),
        (State.DRAINING, two_masters, "the source's Redis is a master"),
    ],
)
def test_a_gate_that_does_not_open_stops_resumable_and_says_why(state: State, breaks: Callable[[Universe], None], words: str) -> None:
    world = entered(state, FAST)
    breaks(world)
    world.tick()
    outcome = gone_on(world)
    assert outcome.code in (3, 5), outcome
    assert words in str(outcome.error)
    assert outcome.standing.lock is None
    assert outcome.standing.status == "failed"
    if state.number < State.PROMOTED.number:
        assert "the source is writable" in outcome.error.changed  # type: ignore[union-attr]
        assert world.weights(Colour.BLUE, "payment-service") == SOURCE_ALONE
        assert world.writable() == ["blue"]
    else:
        assert "cluster-green is the write master" in outcome.error.changed  # type: ignore[union-attr]


def test_a_retreat_that_gets_stuck_says_so_and_is_resumed() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    world.fate.frozen_flux.add(Colour.BLUE)
    outcome = gone_on(world)
    assert (outcome.code, outcome.standing.state) == (5, State.SWITCHOVER_LOCKED)
    assert "Flux of cluster-blue has not answered" in str(outcome.error)
    assert "stopped on the way back" in str(outcome.error)
    assert world.writable() == ["blue"]
    world.fate.frozen_flux.clear()
    assert Pilot(world, BOB).resume().error is None
    at_rest(world, Colour.GREEN)


def test_an_aborted_switchover_starts_again_what_may_run_only_once() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)

    def writable_replica(engine: Engine) -> None:
        world.servers[Colour.GREEN].knobs.read_only_replica = False

    outcome = gone_on(world, during("switchover-locked.stop-active-only", writable_replica))
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert "replica-read-only" in str(outcome.error)
    assert world.runs_exclusive(Colour.BLUE)
    assert not world.runs_exclusive(Colour.GREEN)
    assert world.writable() == ["blue"]


# One workload that is missing, one secret, one pod


def test_a_pod_that_restarts_in_the_canary_fails_it() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)

    def loop(engine: Engine) -> None:
        pod = next(one for one in world.clusters[Colour.GREEN].list(POD, namespace="payments") if one["metadata"]["name"].startswith("payment-service"))
        world.clusters[Colour.GREEN].put({**pod, "status": {"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 4}]}})

    outcome = gone_on(world, during("traffic-canary.watch-10", loop, polls=2))
    assert outcome.code == 5
    assert "restarts" in str(outcome.error)


def test_an_issuer_that_ends_too_soon_stops_the_bootstrapping() -> None:
    world = entered(State.BOOTSTRAPPING, FAST)
    path = "catalogs/platform/linkerd.yaml"
    soon = world.tree[path].replace(fleet.encoded("ends 2035-01-01T00:00:00+00:00"), fleet.encoded("ends 2026-01-01T00:30:00+00:00"))
    world.remote.commit("Shorten the issuer", {path: soon})
    outcome = gone_on(world)
    assert outcome.code == 5
    assert "issuer ends" in str(outcome.error)


def test_a_suspended_kustomization_at_the_target_is_no_reason_to_wait() -> None:
    world = entered(State.MESH_LINKING, FAST)
    world.clusters[Colour.GREEN].patch(Ref(KUSTOMIZATION, "apps", "flux-system"), {"spec": {"suspend": True}})
    outcome = gone_on(world)
    assert outcome.code == 5
    assert "is suspended" in str(outcome.error)


def test_a_target_too_small_gets_no_traffic() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    world.clusters[Colour.GREEN].remove(Ref(DEPLOYMENT, "linkerd-gateway", "linkerd-multicluster"))
    outcome = gone_on(world)
    assert outcome.code == 5
    assert "gateway has 0 of 1" in str(outcome.error)
