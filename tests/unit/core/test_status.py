"""What the operator is told: who can write, what a rollback would cost, what Ctrl-C would do; and the plan as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.clusters import Colour, Role
from bennu.core.plan import Plan, Planned, remaining
from bennu.core.standing import Lock, Standing
from bennu.core.states import Direction, State, Status
from bennu.core.status import ClusterView, Pause, Survey, headline, on_interrupt, rollback_costs, rotation_view, writers

BLUE = ClusterView(Colour.BLUE, exists=True, role=Role.ACTIVE, redis_master=True, master_live=True)
GREEN = ClusterView(Colour.GREEN, exists=True, role=Role.WARM, redis_master=False, master_live=False)
RED = ClusterView(Colour.RED, exists=False, role=Role.ABSENT)
OPEN = Standing(
    rotation="prod-us-east-1-1",
    number=1,
    source=Colour.BLUE,
    target=Colour.GREEN,
    state=State.TRAFFIC_CANARY,
    status=Status.RUNNING,
    lock=Lock("n", "h", "t", 1),
)


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ((BLUE, GREEN, RED), "cluster-blue"),
        ((replace(BLUE, redis_master=False), replace(GREEN, redis_master=True)), "cluster-green"),
        ((replace(BLUE, redis_master=False), GREEN, RED), "nobody (writes are refused)"),
        ((BLUE, replace(GREEN, redis_master=True)), "MORE THAN ONE MASTER: cluster-blue, cluster-green"),
        ((BLUE, replace(GREEN, redis_master=None)), "cluster-blue"),
        ((replace(BLUE, redis_master=None), GREEN, RED), "unknown: the Redis of cluster-blue does not answer"),
        ((replace(BLUE, redis_master=None, exists=False), GREEN, RED), "unknown: the Redis of cluster-blue does not answer"),
        ((RED,), "unknown"),
        ((), "unknown"),
    ],
)
def test_who_can_write_is_told_from_redis(views: tuple[ClusterView, ...], words: str) -> None:
    assert writers(Survey(views)) == words


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((True, False), "cluster-blue (by the pointer; no Redis was asked)"),
        ((True, True), "MORE THAN ONE MASTER by the pointers: cluster-blue, cluster-green"),
        ((False, False), "unknown"),
        ((None, None), "unknown"),
        ((None, True), "cluster-green (by the pointer; no Redis was asked)"),
    ],
)
def test_where_no_redis_can_be_asked_the_pointer_is_told_and_named_as_such(flags: tuple[bool | None, bool | None], words: str) -> None:
    views = (replace(BLUE, redis_master=None, master_live=flags[0]), replace(GREEN, redis_master=None, master_live=flags[1]))
    assert writers(Survey(views)) == words


@pytest.mark.parametrize("state", State)
def test_each_state_says_what_a_rollback_would_cost(state: State) -> None:
    words = rollback_costs(replace(OPEN, state=state))
    expected = {
        State.IDLE_STABLE: "no rotation is open",
        State.SWITCHOVER_LOCKED: "nothing acknowledged is lost",
        State.PROMOTED: "a second pause",
        State.DRAINING: "impossible",
    }
    assert expected.get(state, "nothing: the source has the authority") in words


@pytest.mark.parametrize("direction", [Direction.ROLLBACK, Direction.REVERSE])
def test_a_way_back_under_way_says_so(direction: Direction) -> None:
    assert rollback_costs(replace(OPEN, direction=direction)) == "it is under way"


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing(), "nobody drives"),
        (replace(OPEN, lock=None), "nobody drives"),
        (replace(OPEN, state=State.IDLE_STABLE), "nobody drives"),
        (OPEN, "nobody watches them until resume"),
        (replace(OPEN, state=State.SWITCHOVER_LOCKED), "the next safe point"),
        (replace(OPEN, state=State.PROVISIONING), "'bennu rotate resume' goes on"),
    ],
)
def test_it_is_told_what_an_interrupt_would_do(standing: Standing, words: str) -> None:
    assert words in on_interrupt(standing)


@pytest.mark.parametrize(
    ("standing", "line"),
    [
        (Standing(), "IDLE_STABLE, no rotation yet"),
        (replace(OPEN, state=State.IDLE_STABLE, ended="T9"), "IDLE_STABLE since T9"),
        (replace(OPEN, state=State.IDLE_STABLE), "IDLE_STABLE"),
        (OPEN, "TRAFFIC_CANARY (running)"),
        (replace(OPEN, reason="old"), "TRAFFIC_CANARY (running)"),
        (replace(OPEN, status=Status.PAUSED, reason="waits for a human"), "TRAFFIC_CANARY (paused: waits for a human)"),
        (replace(OPEN, status=Status.FAILED), "TRAFFIC_CANARY (failed)"),
    ],
)
def test_one_line_says_where_it_stands(standing: Standing, line: str) -> None:
    assert headline(standing) == line


STEPS = (
    Planned(State.PROVISIONING, "provisioning.directory", "the directory", "commit", diff="+ a"),
    Planned(State.PROVISIONING, "provisioning.up", "the cluster", "run the provisioner", timeout_s=1800),
    Planned(State.MESH_LINKING, "mesh-linking.links", "the Links", "commit", diff="+ b", later="addresses are not known yet"),
)


def test_a_plan_counts_the_commits_that_it_knows_of() -> None:
    assert Plan("prod/us-east-1", "blue", "green", "spec", STEPS).commits == 2
    assert Plan("prod/us-east-1", "blue", "green", "spec", ()).commits == 0


def test_what_remains_keeps_its_order_and_leaves_out_what_is_done() -> None:
    assert remaining(STEPS, frozenset()) == STEPS
    assert remaining(STEPS, frozenset({"provisioning.up"})) == (STEPS[0], STEPS[2])
    assert remaining(iter(STEPS), frozenset(step.step for step in STEPS)) == ()
    assert remaining(STEPS, frozenset({"provisioning"})) == STEPS, "a phase's name is no step's"


def test_the_pause_is_said_before_and_after() -> None:
    seen = rotation_view(Standing(rotation="prod-us-east-1-3", facts={"pause.predicted_ms": "11.5"}))
    assert (seen.id, seen.switchover.pause) == ("prod-us-east-1-3", Pause(11.5, None))
    assert seen.switchover.pause.words() == "predicted 11.5 ms"
    done = rotation_view(Standing(facts={"pause.predicted_ms": "11.5", "pause.ms": "12.0"})).switchover.pause
    assert done.words() == "12.0 ms, predicted 11.5 ms"
    assert Pause().words() == ""
    assert Pause(ms=0.0).words() == "0.0 ms"
