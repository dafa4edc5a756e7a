"""CRDs: served at once, their schemas enforced, their versions one storage."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROUTES = "/apis/lab.test/v1/namespaces/default/routes"
MERGE = "application/merge-patch+json"

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["port"],
            "properties": {
                "port": {"type": "string", "pattern": "^[0-9]+$"},
                "mode": {"type": "string", "enum": ["fast", "safe"], "default": "safe"},
                "weight": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
                "timeout": {"type": "string", "format": "duration"},
                "target": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "hosts": {"type": "array", "maxItems": 2, "items": {"type": "string", "minLength": 1}},
                "backends": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "weight": {"type": "integer", "default": 1}}},
                },
            },
        },
        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
    },
}

COLUMNS = [{"name": "Port", "type": "string", "jsonPath": ".spec.port"}, {"name": "Ready", "type": "boolean", "jsonPath": ".status.ready"}]


def crd(schema: dict[str, Any] | None = None) -> dict[str, Any]:
    def version(name: str, *, storage: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"name": name, "served": True, "storage": storage, "subresources": {"status": {}}, "additionalPrinterColumns": COLUMNS}
        return {**body, "schema": {"openAPIV3Schema": deepcopy(schema or SCHEMA)}}

    names = {"plural": "routes", "singular": "route", "kind": "Route", "shortNames": ["rt"]}
    spec = {"group": "lab.test", "scope": "Namespaced", "names": names, "versions": [version("v1beta1", storage=False), version("v1", storage=True)]}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "routes.lab.test"}, "spec": spec}


def route(name: str = "r", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "lab.test/v1", "kind": "Route", "metadata": {"name": name}, "spec": {"port": "80", **spec}}


@pytest.fixture
def routes(api: Any) -> Any:
    assert api.call("POST", CRDS, crd()).code == 201
    return api


def test_a_crd_is_established_and_served_at_once(routes: Any) -> None:
    status = routes.call("GET", f"{CRDS}/routes.lab.test").body["status"]
    assert {c["type"]: c["status"] for c in status["conditions"]} == {"NamesAccepted": "True", "Established": "True"}
    assert status["storedVersions"] == ["v1"]
    listed = routes.call("GET", "/apis/lab.test/v1").body["resources"]
    assert [r["name"] for r in listed] == ["routes", "routes/status"]
    assert routes.call("GET", "/apis/lab.test").body["preferredVersion"]["version"] == "v1"


def test_defaults_are_filled_in_also_inside_lists(routes: Any) -> None:
    made = routes.call("POST", ROUTES, route(backends=[{"name": "a"}])).body
    assert made["spec"] == {"port": "80", "mode": "safe", "weight": 1, "backends": [{"name": "a", "weight": 1}]}
    assert made["metadata"]["generation"] == 1


def test_unknown_fields_are_pruned_but_where_they_are_welcome(routes: Any) -> None:
    made = routes.call("POST", ROUTES, route(nonsense=1, free={"any": {"thing": [1]}}))
    assert made.code == 201
    assert made.body["spec"]["free"] == {"any": {"thing": [1]}}
    assert "nonsense" not in made.body["spec"]
    assert 'unknown field \\"spec.nonsense\\"' in made.warnings[0]
    strict = routes.call("POST", f"{ROUTES}?fieldValidation=Strict", route("s", nonsense=1))
    assert strict.code == 400


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"port": 4143}, 'spec.port in body must be of type string: "integer"'),
        ({"port": "x"}, "spec.port in body should match '^[0-9]+$'"),
        ({"mode": "wild"}, 'Unsupported value: "wild": supported values: "fast", "safe"'),
        ({"weight": 101}, "should be less than or equal to 100"),
        ({"weight": -1}, "should be greater than or equal to 0"),
        ({"timeout": "soon"}, "spec.timeout in body should be of type duration"),
        ({"target": True}, "spec.target in body must be of type integer,string"),
        ({"hosts": ["a", "b", "c"]}, "must have at most 2 items"),
        ({"hosts": [""]}, "should be at least 1 chars long"),
        ({"backends": [{"weight": 1}]}, "spec.backends[0].name: Required value"),
        ({"backends": [{"name": "a"}, {"name": "a"}]}, "Duplicate value"),
    ],
)
def test_what_breaks_the_schema_is_422_and_says_where(routes: Any, spec: dict[str, Any], says: str) -> None:
    refused = routes.call("POST", ROUTES, route(**spec))
    assert (refused.code, refused.body["reason"]) == (422, "Invalid")
    assert says in refused.body["message"]
    assert refused.body["details"]["causes"]


def test_a_missing_required_field_is_422(routes: Any) -> None:
    body = {"apiVersion": "lab.test/v1", "kind": "Route", "metadata": {"name": "r"}, "spec": {}}
    refused = routes.call("POST", ROUTES, body)
    assert refused.code == 422
    assert "spec.port: Required value" in refused.body["message"]


def test_an_update_has_to_fit_the_schema_too(routes: Any) -> None:
    routes.call("POST", ROUTES, route())
    assert routes.call("PATCH", f"{ROUTES}/r", {"spec": {"weight": 101}}, content_type=MERGE).code == 422
    assert routes.call("PATCH", f"{ROUTES}/r/status", {"status": {"ready": "yes"}}, content_type=MERGE).code == 422


def test_a_put_without_a_version_is_422(routes: Any) -> None:
    routes.call("POST", ROUTES, route())
    refused = routes.call("PUT", f"{ROUTES}/r", route(weight=2))
    assert refused.code == 422
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update" in refused.body["message"]


def test_a_strategic_merge_patch_of_a_custom_resource_is_415(routes: Any) -> None:
    routes.call("POST", ROUTES, route())
    refused = routes.call("PATCH", f"{ROUTES}/r", {"spec": {"weight": 2}}, content_type="application/strategic-merge-patch+json")
    assert (refused.code, refused.body["reason"]) == (415, "UnsupportedMediaType")


def test_both_versions_show_the_same_object(routes: Any) -> None:
    routes.call("POST", ROUTES, route())
    older = routes.call("GET", "/apis/lab.test/v1beta1/namespaces/default/routes/r").body
    assert older["apiVersion"] == "lab.test/v1beta1"
    assert older["spec"]["port"] == "80"
    refused = routes.call("POST", "/apis/lab.test/v1beta1/namespaces/default/routes", route("x"))
    assert refused.code == 400, "a body of v1 does not go to the path of v1beta1"


def test_applied_lists_follow_the_schemas_keys(routes: Any) -> None:
    def wanted(*backends: dict[str, Any]) -> dict[str, Any]:
        return {"apiVersion": "lab.test/v1", "kind": "Route", "metadata": {"name": "r"}, "spec": {"port": "80", "backends": list(backends)}}

    routes.apply(f"{ROUTES}/r", wanted({"name": "a", "weight": 90}), "flux")
    both = routes.apply(f"{ROUTES}/r", wanted({"name": "b", "weight": 10}), "bennu")
    assert {b["name"]: b["weight"] for b in both.body["spec"]["backends"]} == {"a": 90, "b": 10}
    refused = routes.apply(f"{ROUTES}/r", wanted({"name": "a", "weight": 80}), "bennu")
    assert refused.code == 409
    assert '.spec.backends[name="a"].weight' in refused.body["message"]


def test_a_changed_schema_counts_from_then_on(routes: Any) -> None:
    wider = deepcopy(SCHEMA)
    wider["properties"]["spec"]["properties"]["extra"] = {"type": "string"}
    live = routes.call("GET", f"{CRDS}/routes.lab.test").body
    live["spec"] = crd(wider)["spec"]
    assert routes.call("PUT", f"{CRDS}/routes.lab.test", live).code == 200
    assert routes.call("POST", ROUTES, route(extra="x")).body["spec"]["extra"] == "x"


def test_a_deleted_crd_takes_its_objects_along(routes: Any) -> None:
    routes.call("POST", ROUTES, route())
    routes.call("DELETE", f"{CRDS}/routes.lab.test")
    assert routes.call("GET", ROUTES).code == 404
    assert routes.call("POST", CRDS, crd()).code == 201
    assert routes.call("GET", ROUTES).body["items"] == []


def test_a_crd_whose_name_is_not_its_plural_and_group_is_422(api: Any) -> None:
    assert api.call("POST", CRDS, {**crd(), "metadata": {"name": "something.else"}}).code == 422
