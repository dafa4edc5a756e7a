"""The holder's answer to a request: one for every verb in every state, waiting or not."""

from __future__ import annotations

import pytest

from bennu.core.states import State
from bennu.engine.turns import answer_to
from bennu.ports.repository import Request

BEFORE = {State.PROVISIONING, State.BOOTSTRAPPING, State.MESH_LINKING, State.DATA_SYNCING, State.TRAFFIC_CANARY}


def asked(verb: str) -> Request:
    return Request("r1", verb, "carol@three", "2026-01-01T00:00:00Z", {})


@pytest.mark.parametrize("waiting", ["promote", "drain", ""])
@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE_STABLE])
def test_every_verb_in_every_state_has_an_answer_in_words(state: State, waiting: str) -> None:
    expected = {
        "promote": waiting == "promote",
        "drain": waiting == "drain",
        "rollback": state in BEFORE or state is State.PROMOTED,
        "abort": state in BEFORE,
        "pause": state is not State.SWITCHOVER_LOCKED,
    }
    answers = {verb: answer_to(asked(verb), state, waiting=waiting) for verb in expected}
    assert {verb: accepted for verb, (accepted, _) in answers.items()} == expected
    for accepted, words in answers.values():
        assert words.startswith("refused") is not accepted


def test_what_is_no_verb_is_refused_by_name() -> None:
    assert answer_to(asked("explode"), State.TRAFFIC_CANARY, waiting="promote") == (False, "unknown request 'explode'")
