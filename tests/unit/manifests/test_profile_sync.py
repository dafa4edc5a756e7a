"""profile-sync.yaml: the Redis variant, and the patches that hold single workloads."""

from __future__ import annotations

import pytest

from bennu.errors import ConfigError
from bennu.manifests import profile_sync
from tests.unit.manifests.texts import changed, trees

FILE = """\
# The profile.
apiVersion: fluxcd.controlplane.io/v1
kind: ResourceSet
metadata:
  name: backend-profile
  namespace: flux-system
spec:
  inputs:
    - cluster: cluster-blue
      redisVariant: hot-writer # or warm-reader
  resources:
    - apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata: {name: redis, namespace: flux-system}
      spec:
        path: ./catalogs/redis/<< inputs.redisVariant >>
    - apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata:
        name: workers
      spec:
        path: ./catalogs/workers # what runs once
        prune: true
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata:
  name: reports
  namespace: flux-system
spec:
  path: ./catalogs/reports
  patches:
    - target: {kind: Deployment}
      patch: |
        - op: add
          path: /metadata/labels/team
          value: payments
"""


def _held(text: str, kustomization: str = "workers", kind: str = "CronJob", name: str = "settlement") -> str:
    return profile_sync.held(text, kustomization, kind, "payments", name, "f.yaml")


def _released(text: str, kustomization: str = "workers", kind: str = "CronJob", name: str = "settlement") -> str:
    return profile_sync.released(text, kustomization, kind, "payments", name, "f.yaml")


def test_the_variant_is_one_word_of_one_line() -> None:
    edited = profile_sync.with_variant(FILE, "warm-reader", "f.yaml")
    assert changed(FILE, edited) == (["      redisVariant: hot-writer # or warm-reader\n"], ["      redisVariant: warm-reader # or warm-reader\n"])
    assert profile_sync.with_variant(edited, "hot-writer", "f.yaml") == FILE
    assert profile_sync.with_variant(FILE, "hot-writer", "f.yaml") == FILE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: ResourceSet\nmetadata: {name: a}\nspec: {inputs: [{x: 1}]}\n", "0 found"),
        ("kind: ResourceSet\nmetadata: {name: a}\n", "0 found"),
        ("", "0 found"),
        (
            "kind: ResourceSet\nmetadata: {name: a}\nspec: {inputs: [{redisVariant: a}]}\n---\nkind: ResourceSet\nmetadata: {name: b}\nspec: {inputs: [{redisVariant: a}]}\n",
            "2 found",
        ),
        ("kind: ResourceSet\nmetadata: {name: a}\nspec: {inputs: text}\n", "spec.inputs must be a list"),
        ("kind: ResourceSet\nmetadata: {name: a}\nspec: {inputs: [text]}\n", "spec.inputs.0 must be a mapping"),
    ],
)
def test_a_file_without_one_variant_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml") as refused:
        profile_sync.with_variant(text, "warm-reader", "f.yaml")
    assert words in refused.value.message


def test_a_resource_set_without_a_name_can_still_be_edited_where_it_is_alone() -> None:
    text = "kind: ResourceSet\nspec: {inputs: [{redisVariant: a}]}\n"
    assert profile_sync.with_variant(text, "b", "f") == text.replace("redisVariant: a", "redisVariant: b")


@pytest.mark.parametrize(
    ("kind", "path", "value"), [("CronJob", "/spec/suspend", "true"), ("Deployment", "/spec/replicas", "0"), ("StatefulSet", "/spec/replicas", "0")]
)
def test_a_workload_is_held_by_a_patch_of_the_kustomization_that_applies_it(kind: str, path: str, value: str) -> None:
    edited = _held(FILE, kind=kind)
    patches = trees(edited)[0]["spec"]["resources"][1]["spec"]["patches"]
    assert patches == [{"target": {"kind": kind, "name": "settlement", "namespace": "payments"}, "patch": f"- op: add\n  path: {path}\n  value: {value}\n"}]
    assert changed(FILE, edited)[0] == [], "lines are only added"
    assert trees(edited)[1] == trees(FILE)[1]


@pytest.mark.parametrize("kustomization", ["workers", "reports", "redis"])
def test_holding_twice_holds_once_and_releasing_leaves_no_trace(kustomization: str) -> None:
    held = _held(FILE, kustomization)
    assert held != FILE
    assert _held(held, kustomization) == held
    assert _released(held, kustomization) == FILE
    assert _released(FILE, kustomization) == FILE


def test_each_workload_is_held_on_its_own() -> None:
    both = _held(_held(FILE), kind="Deployment", name="webhooks")
    assert _released(both) == _held(FILE, kind="Deployment", name="webhooks")
    assert _released(_released(both), kind="Deployment", name="webhooks") == FILE


def test_other_peoples_patches_stay() -> None:
    held = _held(FILE, "reports")
    assert len(trees(held)[1]["spec"]["patches"]) == 2
    # The same target with another purpose is not a hold.
    foreign = FILE.replace("{kind: Deployment}", "{kind: CronJob, name: settlement, namespace: payments}")
    assert _released(foreign, "reports") == foreign
    assert len(trees(_held(foreign, "reports"))[1]["spec"]["patches"]) == 2


def test_a_kustomization_that_is_not_there_is_refused_with_what_to_write() -> None:
    with pytest.raises(ConfigError) as refused:
        _held(FILE, "none")
    assert "the Flux Kustomization none is not in this file" in refused.value.message
    assert "kustomization:" in refused.value.next_step


@pytest.mark.parametrize(
    "text",
    [
        "kind: ResourceSet\nspec: {resources: text}\n",
        "kind: ResourceSet\nspec: {resources: {a: b}}\n",
        "kind: Kustomization\nmetadata: {name: workers}\nspec: {patches: [text]}\n",
        "kind: Kustomization\nmetadata: {name: workers}\nspec: [a]\n",
        "kind: Kustomization\nmetadata: text\n",
        "- a\n",
    ],
)
def test_another_shape_is_refused_and_never_a_crash(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f\.yaml"):
        _held(text)


def test_resources_that_are_no_objects_are_passed_by() -> None:
    text = FILE.replace("  resources:\n", "  resources:\n    - ${TEMPLATED}\n")
    assert _released(_held(text)) == text
