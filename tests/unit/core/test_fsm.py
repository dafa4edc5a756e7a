"""The state machine: every pair of state and event, and the page that is drawn from the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.core import fsm
from bennu.core.states import Event, State

PAIRS = [(state, event) for state in State for event in Event]
SPEC = [
    (State.IDLE_STABLE, Event.START, State.PROVISIONING),
    (State.PROVISIONING, Event.CLUSTER_READY, State.BOOTSTRAPPING),
    (State.BOOTSTRAPPING, Event.FLUX_READY, State.MESH_LINKING),
    (State.MESH_LINKING, Event.LINK_READY, State.DATA_SYNCING),
    (State.DATA_SYNCING, Event.REPLICATION_COMPLETE, State.TRAFFIC_CANARY),
    (State.TRAFFIC_CANARY, Event.HEALTH_VALIDATED, State.SWITCHOVER_LOCKED),
    (State.TRAFFIC_CANARY, Event.ROLLBACK, State.IDLE_STABLE),
    (State.SWITCHOVER_LOCKED, Event.PROMOTION_COMPLETE, State.PROMOTED),
    (State.PROMOTED, Event.DNS_UPDATED, State.DRAINING),
    (State.DRAINING, Event.CLEANUP_COMPLETE, State.IDLE_STABLE),
]
# Written out here a second time on purpose: a row that slips into the table must be a decision, not an accident.
ADDED = {
    (State.PROVISIONING, Event.ROLLBACK): State.IDLE_STABLE,
    (State.BOOTSTRAPPING, Event.ROLLBACK): State.IDLE_STABLE,
    (State.MESH_LINKING, Event.ROLLBACK): State.IDLE_STABLE,
    (State.DATA_SYNCING, Event.ROLLBACK): State.IDLE_STABLE,
    (State.SWITCHOVER_LOCKED, Event.ABORT): State.TRAFFIC_CANARY,
    (State.PROMOTED, Event.REVERSE): State.SWITCHOVER_LOCKED,
    (State.PROMOTED, Event.KEEP_SOURCE): State.IDLE_STABLE,
    (State.IDLE_STABLE, Event.DISASTER): State.SWITCHOVER_LOCKED,
    (State.DATA_SYNCING, Event.DISASTER): State.SWITCHOVER_LOCKED,
    (State.TRAFFIC_CANARY, Event.DISASTER): State.SWITCHOVER_LOCKED,
}
EXPECTED = {(state, event): after for state, event, after in SPEC} | ADDED


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: value.value)
def test_each_pair_of_state_and_event_does_what_the_specification_and_the_added_rows_say(state: State, event: Event) -> None:
    if (state, event) in EXPECTED:
        assert fsm.advance(state, event) is EXPECTED[(state, event)]
        assert fsm.allowed(state, event)
        return
    assert not fsm.allowed(state, event)
    with pytest.raises(fsm.IllegalTransition) as refused:
        fsm.advance(state, event)
    assert state.value in refused.value.message
    assert refused.value.exit_code == 3


def test_every_state_can_be_reached_and_left() -> None:
    assert set(EXPECTED.values()) == set(State)
    assert {state for state, _ in EXPECTED} == set(State)


def test_the_table_cannot_be_changed_while_it_runs() -> None:
    with pytest.raises(TypeError):
        fsm.TABLE[(State.DRAINING, Event.ROLLBACK)] = State.IDLE_STABLE  # type: ignore[index]


def test_a_rollback_from_draining_is_refused_with_the_reason_in_words() -> None:
    with pytest.raises(fsm.IllegalTransition, match="links are gone"):
        fsm.advance(State.DRAINING, Event.ROLLBACK)


def test_the_page_in_docs_is_the_one_that_the_table_draws() -> None:
    page = Path(__file__).parents[3] / "docs" / "state-machine.md"
    assert page.read_text() == fsm.page(), "stale: run 'python -m bennu.core.fsm > docs/state-machine.md'"
