"""ingress-routing.yaml: Bennu's backends and weights, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from bennu.errors import ConfigError
from bennu.manifests import ingress_routing
from tests.unit.manifests.texts import changed, trees

FILE = """\
# How requests are split.
apiVersion: gateway.networking.k8s.io/v1beta1
kind: HTTPRoute
metadata:
  name: payment-split
  namespace: payments
spec:
  parentRefs:
    - {group: core, kind: Service, name: payments, port: 8080}
  rules:
    - matches:
        - path: {value: /health}
    - backendRefs:
        - name: payments # at home
          port: 8080
          weight: 100
        # somebody's experiment
        - name: shadow
          port: 8080
          weight: 0
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: payment-split
  namespace: other
spec:
  rules:
    - backendRefs: [{name: payments, port: 80}]
"""
MIRROR = "payments-cluster-green"


def _set(text: str, wanted: dict[str, int | None], *, namespace: str = "payments", route: str = "payment-split") -> str:
    return ingress_routing.with_weights(text, namespace, route, wanted, 8080, "f.yaml")


def _weights(text: str, namespace: str = "payments") -> dict[str, int]:
    return ingress_routing.weights(text, namespace, "payment-split", "f.yaml")


def test_weights_are_read_and_an_absent_one_counts_as_kubernetes_counts_it() -> None:
    assert _weights(FILE) == {"payments": 100, "shadow": 0}
    assert _weights(FILE, "other") == {"payments": 1}


def test_a_weight_is_moved_by_one_new_backend_and_one_line() -> None:
    edited = _set(FILE, {"payments": 90, MIRROR: 10})
    assert _weights(edited) == {"payments": 90, "shadow": 0, MIRROR: 10}
    assert changed(FILE, edited)[1][0] == "          weight: 90\n"
    assert changed(FILE, edited)[1][-3:] == [f"        - name: {MIRROR}\n", "          port: 8080\n", "          weight: 10\n"]
    assert "# at home" in edited
    assert "# somebody's experiment" in edited


def test_every_weight_of_a_canary_and_the_way_back_leave_no_trace() -> None:
    text = FILE
    for weight in (10, 20, 50, 90):
        text = _set(text, {"payments": 100 - weight, MIRROR: weight})
        assert _weights(text) == {"payments": 100 - weight, "shadow": 0, MIRROR: weight}
        assert _set(text, {"payments": 100 - weight, MIRROR: weight}) == text, "saying it again changes nothing"
    assert _set(text, {"payments": 100, MIRROR: None}) == FILE


def test_removing_what_is_not_there_changes_nothing() -> None:
    assert _set(FILE, {"payments": 100, MIRROR: None}) == FILE


def test_the_route_of_the_other_namespace_stays() -> None:
    edited = _set(FILE, {"payments": 50, MIRROR: 50})
    assert trees(edited)[1] == trees(FILE)[1]
    edited = _set(FILE, {"payments": 50, MIRROR: 50}, namespace="other")
    assert trees(edited)[0] == trees(FILE)[0]
    assert "backendRefs: [{name: payments, port: 80, weight: 50}, {name: payments-cluster-green, port: 8080, weight: 50}]" in edited


def test_a_route_without_a_namespace_is_of_the_one_it_is_applied_to() -> None:
    text = FILE.replace("  namespace: payments\n", "", 1)
    assert _weights(_set(text, {"payments": 80, MIRROR: 20}))[MIRROR] == 20


def test_the_files_own_api_version_stays() -> None:
    assert "v1beta1" in _set(FILE, {"payments": 90, MIRROR: 10})


RULES = """\
kind: HTTPRoute
metadata: {name: r, namespace: n}
spec:
  rules:
    - matches: [{path: {value: /admin}}]
      backendRefs:
        - {name: admin, port: 80}
    - matches: [{path: {value: /v1}}]
      backendRefs:
        - {name: api, port: 80, weight: 100}
    - matches: [{path: {value: /v2}}]
      backendRefs:
        - {name: api, port: 80, weight: 100}
"""


def test_every_path_of_an_app_moves_and_no_other_apps() -> None:
    edited = ingress_routing.with_weights(RULES, "n", "r", {"api": 70, "api-green": 30}, 80, "f")
    moved: list[Any] = [{"name": "api", "port": 80, "weight": 70}, {"name": "api-green", "port": 80, "weight": 30}]
    assert [rule["backendRefs"] for rule in trees(edited)[0]["spec"]["rules"]] == [[{"name": "admin", "port": 80}], moved, moved]
    assert ingress_routing.weights(edited, "n", "r", "f") == {"admin": 1, "api": 70, "api-green": 30}
    assert ingress_routing.with_weights(edited, "n", "r", {"api": 100, "api-green": None}, 80, "f") == RULES


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FILE, "HTTPRoute payments/none is not in this file"),
        ("kind: HTTPRoute\nmetadata: {name: none, namespace: payments}\nspec: {rules: []}\n", "has no rule with backends"),
        ("kind: HTTPRoute\nmetadata: {name: none, namespace: payments}\n", "has no rule with backends"),
        ("kind: HTTPRoute\nmetadata: {name: none}\nspec: {rules: [{backendRefs: [{name: x}]}]}\n", "leads to none of payments"),
        ("kind: HTTPRoute\nmetadata: {name: none}\nspec: {rules: {a: b}}\n", "spec.rules must be a list"),
        ("kind: HTTPRoute\nmetadata: {name: none}\nspec: {rules: [a]}\n", "spec.rules.0 must be a mapping"),
        ("kind: HTTPRoute\nmetadata: {name: none}\nspec: {rules: [{backendRefs: [a]}]}\n", "backendRefs.0 must be a mapping"),
        ("kind: HTTPRoute\nmetadata: [none]\nspec: []\n", "metadata must be a mapping"),
        ("kind: HTTPRoute\nmetadata: {name: none}\nspec: text\n", "spec must be a mapping"),
    ],
)
def test_a_route_that_is_not_there_or_not_one_is_refused_with_the_file_named(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml") as refused:
        _set(text, {"payments": 90}, route="none")
    assert words in refused.value.message


@pytest.mark.parametrize("weight", ["'10'", "1.5", "true", "[1]", ""])
def test_a_weight_that_is_no_number_is_refused(weight: str) -> None:
    with pytest.raises(ConfigError, match="the weight of backend payments must be a whole number"):
        _weights(FILE.replace("weight: 100", f"weight: {weight}"))


def test_an_empty_file_has_no_route() -> None:
    with pytest.raises(ConfigError, match="is not in this file"):
        _weights("")
