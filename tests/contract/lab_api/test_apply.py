"""Server-side apply: who owns what, who may take it, and what goes when its owner lets go."""

from __future__ import annotations

from typing import Any

MAP = "/api/v1/namespaces/default/configmaps/a"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/app"


def config_map(data: dict[str, str] | None, **metadata: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return body if data is None else {**body, "data": data}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": list(containers)}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def owners(body: dict[str, Any]) -> dict[str, Any]:
    return {entry["manager"]: entry["fieldsV1"] for entry in body["metadata"]["managedFields"]}


def test_an_apply_creates_and_owns_what_it_names(api: Any) -> None:
    made = api.apply(MAP, config_map({"k": "1"}, labels={"l": "1"}), "one")
    assert made.code == 201
    assert owners(made.body) == {"one": {"f:data": {"f:k": {}}, "f:metadata": {"f:labels": {"f:l": {}}}}}
    assert made.body["metadata"]["managedFields"][0]["operation"] == "Apply"


def test_an_apply_needs_a_manager(api: Any) -> None:
    refused = api.call("PATCH", MAP, config_map({}), content_type="application/apply-patch+yaml")
    assert refused.code == 422
    assert "fieldManager" in refused.body["message"]


def test_another_managers_field_is_a_conflict_that_names_it(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1"}), "one")
    refused = api.apply(MAP, config_map({"k": "2"}), "two")
    assert (refused.code, refused.body["reason"]) == (409, "Conflict")
    assert refused.body["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'
    assert refused.body["details"]["causes"] == [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}]


def test_force_takes_the_field_over(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1", "other": "1"}), "one")
    taken = api.apply(MAP, config_map({"k": "2"}), "two", force=True)
    assert taken.body["data"] == {"k": "2", "other": "1"}
    assert owners(taken.body) == {"one": {"f:data": {"f:other": {}}}, "two": {"f:data": {"f:k": {}}}}


def test_the_same_value_is_shared_not_fought_over(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1"}), "one")
    shared = api.apply(MAP, config_map({"k": "1"}), "two")
    assert shared.code == 200
    assert set(owners(shared.body)) == {"one", "two"}
    dropped = api.apply(MAP, config_map(None), "one")
    assert dropped.body["data"] == {"k": "1"}, "the other owner keeps it"
    assert "data" not in api.apply(MAP, config_map(None), "two").body


def test_what_the_manager_leaves_out_is_removed(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1", "gone": "1"}), "one")
    assert api.apply(MAP, config_map({"k": "1"}), "one").body["data"] == {"k": "1"}


def test_an_applied_empty_map_clears_nobodys_keys(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1"}), "one")
    applied = api.apply(MAP, config_map({}), "two")
    assert applied.code == 200
    assert applied.body["data"] == {"k": "1"}


def test_a_plain_write_owns_what_it_changed(api: Any) -> None:
    api.apply(MAP, config_map({"k": "1", "l": "1"}), "one")
    api.call("PATCH", f"{MAP}?fieldManager=hand", {"data": {"k": "2"}}, content_type="application/merge-patch+json")
    refused = api.apply(MAP, config_map({"k": "1", "l": "1"}), "one")
    assert refused.code == 409
    assert 'conflict with "hand" using v1' in refused.body["message"]


def test_a_resource_version_makes_an_apply_a_compare_and_swap(api: Any) -> None:
    first = api.apply(MAP, config_map({"k": "1"}), "one").body["metadata"]["resourceVersion"]
    assert api.apply(MAP, config_map({"k": "2"}, resourceVersion=first), "one").code == 200
    late = api.apply(MAP, config_map({"k": "3"}, resourceVersion=first), "one")
    assert late.code == 409
    assert "the object has been modified" in late.body["message"]


def test_keyed_lists_are_merged_by_their_keys(api: Any) -> None:
    api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1"}), "one")
    both = api.apply(DEPLOYMENT, deployment({"name": "b", "image": "b:1"}), "two")
    assert both.code == 200
    containers = {c["name"]: c["image"] for c in both.body["spec"]["template"]["spec"]["containers"]}
    assert containers == {"a": "a:1", "b": "b:1"}
    left = api.apply(DEPLOYMENT, deployment({"name": "c", "image": "c:1"}), "two")
    assert [c["name"] for c in left.body["spec"]["template"]["spec"]["containers"]] == ["a", "c"] or {
        c["name"] for c in left.body["spec"]["template"]["spec"]["containers"]
    } == {"a", "c"}


def test_scaling_by_hand_conflicts_with_an_applied_count_alone(api: Any) -> None:
    api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1"}), "flux")
    api.call("PATCH", f"{DEPLOYMENT}/scale?fieldManager=hand", {"spec": {"replicas": 3}}, content_type="application/merge-patch+json")
    kept = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:2"}), "flux")
    assert kept.code == 200
    assert kept.body["spec"]["replicas"] == 3, "who does not name a field does not reset it"
    refused = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:2"}, replicas=1), "flux")
    assert refused.code == 409
    assert '"hand" with subresource "scale"' in refused.body["message"]


def test_status_is_applied_apart(api: Any) -> None:
    api.apply(DEPLOYMENT, {**deployment({"name": "a", "image": "a:1"}), "status": {"replicas": 4}}, "one")
    assert "status" not in api.call("GET", DEPLOYMENT).body
    status = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "status": {"replicas": 4}}
    applied = api.apply(f"{DEPLOYMENT}/status", status, "two")
    assert applied.body["status"] == {"replicas": 4}
    assert applied.body["spec"]["template"]["spec"]["containers"][0]["image"] == "a:1"
    assert next(e for e in applied.body["metadata"]["managedFields"] if e["manager"] == "two")["subresource"] == "status"


def test_applying_the_same_again_changes_nothing(api: Any) -> None:
    first = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1", "ports": [{"containerPort": 80}]}), "one").body
    again = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1", "ports": [{"containerPort": 80}]}), "one").body
    assert again["metadata"] == first["metadata"]


def test_an_unknown_field_is_refused_whatever_validation_is_asked_for(api: Any) -> None:
    """500 without a reason, as kube-apiserver answers it (kubernetes/kubernetes#122480)."""
    for validation in ("Strict", "Warn", "Ignore"):
        refused = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1"}, replicsa=1), "one", query=f"&fieldValidation={validation}")
        assert refused.code == 500
        assert (
            refused.body["message"]
            == "failed to create typed patch object (default/app; apps/v1, Kind=Deployment): .spec.replicsa: field not declared in schema"
        )


def test_an_applied_field_of_the_wrong_type_is_refused(api: Any) -> None:
    refused = api.apply(DEPLOYMENT, deployment({"name": "a", "image": "a:1"}, replicas="two"), "one")
    assert refused.code == 500
    assert ".spec.replicas: expected numeric (int or float), got" in refused.body["message"]
