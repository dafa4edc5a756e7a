"""Answers that a healthy server seldom gives: overload, lost connections, refusals."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from bennu.errors import DependencyDown, GateRefused
from bennu.ports.kubernetes import Conflict, Kind, Ref
from tests.contract.kubernetes.conftest import Opener, fine
from tests.contract.kubernetes.scripted import Answer, Request, Scripted

CONFIG_MAP = Kind("v1", "ConfigMap")
REF = Ref(CONFIG_MAP, "global-traffic-state", "payments")
RESOURCES = {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}, {"name": "pods/status", "kind": "Pod", "namespaced": True}]}


def after_discovery(*answers: Answer) -> Any:
    """Discovery, then *answers* one after another, the last one for ever."""
    left = list(answers)

    def script(request: Request) -> Answer:
        if request.path == "/api/v1":
            return Answer(body=RESOURCES)
        return left.pop(0) if len(left) > 1 else left[0]

    return script


def objects(requests: list[Request]) -> list[Request]:
    return [request for request in requests if "configmaps" in request.path]


def test_an_overloaded_server_is_asked_again_when_it_says(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(429, {}, {"Retry-After": "1"}), Answer(503, {}), Answer(body={"kind": "ConfigMap"}))
    start = time.monotonic()
    assert opened().get(REF) == {"kind": "ConfigMap"}
    assert time.monotonic() - start >= 1


def test_patience_with_an_overloaded_server_has_an_end(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(429, {"message": "too many requests"}, {"Retry-After": "30"}))
    start = time.monotonic()
    with pytest.raises(DependencyDown, match="overloaded"):
        opened().get(REF)
    assert time.monotonic() - start < 2


def test_a_write_that_was_turned_away_is_repeated(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(429, {}, {"Retry-After": "0"}), Answer(body={"kind": "ConfigMap"}))
    opened().patch(REF, {"data": {"a": "1"}})
    assert len(scripted.seen("PATCH")) == 2


@pytest.mark.parametrize("answer", [Answer(503, {"message": "etcd is away"}), Answer(500, {}), Answer(hang_up=True)])
def test_a_write_whose_outcome_is_unknown_is_sent_once(opened: Opener, scripted: Scripted, answer: Answer) -> None:
    scripted.script = after_discovery(answer)
    with pytest.raises(DependencyDown):
        opened().patch(REF, {"data": {"a": "1"}})
    assert len(scripted.seen("PATCH")) == 1


def test_what_a_lost_write_may_have_changed_is_said(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(hang_up=True))
    with pytest.raises(DependencyDown) as caught:
        opened().patch(REF, {})
    assert "may have arrived" in caught.value.changed


def test_a_read_survives_a_connection_that_was_hung_up(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(hang_up=True), Answer(body={"kind": "ConfigMap"}))
    assert opened().get(REF) == {"kind": "ConfigMap"}


def test_a_server_that_never_answers_is_given_up(opened: Opener, scripted: Scripted) -> None:
    end = threading.Event()
    scripted.script = lambda request: Answer(silent_until=end)
    with pytest.raises(DependencyDown, match="no answer in time"):
        opened().version()
    end.set()


def test_a_missing_verb_is_a_gate_that_refuses_and_names_it(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(403, {"message": 'configmaps is forbidden: User "bennu" cannot patch'}))
    with pytest.raises(GateRefused, match="forbids to patch ConfigMap payments/global-traffic-state"):
        opened().patch(REF, {})


def test_a_conflict_is_the_callers_to_decide(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(409, {"message": "the object has been modified"}))
    with pytest.raises(Conflict, match="the object has been modified"):
        opened().apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}})


def test_an_object_that_the_server_does_not_take_is_refused_in_its_words(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(422, {"message": "spec.gatewayPort: Invalid value: integer"}))
    with pytest.raises(GateRefused, match="gatewayPort"):
        opened().apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}})


def test_an_apply_says_who_applies_and_leaves_the_servers_bookkeeping_out(opened: Opener, scripted: Scripted) -> None:
    scripted.script = after_discovery(Answer(body={}))
    opened().apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b", "managedFields": [1]}}, force=True)
    sent = scripted.seen("PATCH")[0]
    assert sent.headers["content-type"] == "application/apply-patch+yaml"
    assert sent.path == "/api/v1/namespaces/b/configmaps/a?fieldManager=bennu&force=true"
    assert "managedFields" not in sent.body["metadata"]


def test_a_long_list_is_read_page_by_page_and_its_items_know_their_kind(opened: Opener, scripted: Scripted) -> None:
    first = Answer(body={"metadata": {"continue": "t/1"}, "items": [{"metadata": {"name": "a"}}]})
    scripted.script = after_discovery(first, Answer(body={"metadata": {}, "items": [{"metadata": {"name": "b"}}]}))
    found = opened().list(CONFIG_MAP, namespace="payments", labels="a=b,c!=d")
    assert [item["metadata"]["name"] for item in found] == ["a", "b"]
    assert {item["kind"] for item in found} == {"ConfigMap"}
    assert "labelSelector=a%3Db%2Cc%21%3Dd" in objects(scripted.requests)[0].path
    assert "continue=t%2F1" in objects(scripted.requests)[1].path


def test_a_page_that_expired_starts_the_list_again(opened: Opener, scripted: Scripted) -> None:
    first = Answer(body={"metadata": {"continue": "t"}, "items": [{"metadata": {"name": "a"}}]})
    scripted.script = after_discovery(first, Answer(410, {}), Answer(body={"metadata": {}, "items": [{"metadata": {"name": "z"}}]}))
    assert [item["metadata"]["name"] for item in opened().list(CONFIG_MAP)] == ["z"]


def test_a_kind_that_appears_later_is_found(opened: Opener, scripted: Scripted) -> None:
    api = opened()
    scripted.script = fine
    assert not api.serves(CONFIG_MAP)
    assert api.get(REF) is None
    assert api.list(CONFIG_MAP) == ()
    scripted.script = after_discovery(Answer(body={"kind": "ConfigMap"}))
    assert api.get(REF) is not None
    assert api.serves(CONFIG_MAP)
    scripted.script = fine
    assert not api.serves(CONFIG_MAP)


def test_a_watch_goes_on_after_its_history_is_gone(opened: Opener, scripted: Scripted) -> None:
    version = Answer(body={"metadata": {"resourceVersion": "5"}, "items": []})
    gone = Answer(lines=({"type": "ERROR", "object": {"code": 410}},))
    change = {"type": "MODIFIED", "object": {"metadata": {"name": "a", "resourceVersion": "9"}}}
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}
    scripted.script = after_discovery(version, gone, version, Answer(lines=(bookmark, change)))
    event = next(iter(opened().watch(CONFIG_MAP, timeout=5)))
    assert event == change


def test_a_watch_that_is_refused_is_said(opened: Opener, scripted: Scripted) -> None:
    version = Answer(body={"metadata": {"resourceVersion": "5"}, "items": []})
    scripted.script = after_discovery(version, Answer(500, {"message": "no watch today"}))
    with pytest.raises(DependencyDown, match="no watch today"):
        list(opened().watch(CONFIG_MAP, timeout=5))


def test_a_quiet_watch_ends_in_time(opened: Opener, scripted: Scripted) -> None:
    end = threading.Event()
    scripted.script = after_discovery(Answer(body={"metadata": {"resourceVersion": "5"}, "items": []}), Answer(silent_until=end))
    start = time.monotonic()
    assert list(opened().watch(CONFIG_MAP, timeout=0.3)) == []
    assert time.monotonic() - start < 2
    end.set()
