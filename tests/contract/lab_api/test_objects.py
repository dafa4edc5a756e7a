"""Objects over plain HTTP: what a client may rely on when it creates, reads, changes and lists."""

from __future__ import annotations

from typing import Any

import pytest

MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str = "app", image: str = "app:1") -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 80}]}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def test_a_new_object_has_identity_and_version(api: Any) -> None:
    made = api.call("POST", MAPS, config_map("a", k="v"))
    assert made.code == 201
    metadata = made.body["metadata"]
    assert metadata["uid"] and metadata["creationTimestamp"] and int(metadata["resourceVersion"]) > 0
    assert "generation" not in metadata, "ConfigMaps have no generation"
    assert api.call("GET", f"{MAPS}/a").body == made.body


def test_the_cluster_is_known_by_the_uid_of_kube_system(api: Any) -> None:
    assert api.call("GET", "/api/v1/namespaces/kube-system").body["metadata"]["uid"] == "7f6a0a52-5a3f-4a63-8a3d-2f9a4c1d0b11"


def test_what_is_not_there_is_404_with_a_status(api: Any) -> None:
    missing = api.call("GET", f"{MAPS}/nobody")
    assert (missing.code, missing.body["reason"], missing.body["message"]) == (404, "NotFound", 'configmaps "nobody" not found')
    unknown = api.call("GET", "/apis/no.such.group/v1/things")
    assert (unknown.code, unknown.body) == (404, "404 page not found\n")


def test_creating_twice_is_409(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    again = api.call("POST", MAPS, config_map("a"))
    assert (again.code, again.body["reason"]) == (409, "AlreadyExists")


def test_a_namespace_has_to_exist_first(api: Any) -> None:
    refused = api.call("POST", "/api/v1/namespaces/nowhere/configmaps", config_map("a"))
    assert (refused.code, refused.body["message"]) == (404, 'namespaces "nowhere" not found')


def test_a_generated_name_is_unique(api: Any) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "run-"}}
    first, second = api.call("POST", MAPS, body), api.call("POST", MAPS, body)
    assert first.body["metadata"]["name"].startswith("run-")
    assert first.body["metadata"]["name"] != second.body["metadata"]["name"]


@pytest.mark.parametrize("name", ["Upper", "under_score", "../x", "-dash", "x" * 254])
def test_a_name_that_is_no_dns_name_is_422(api: Any, name: str) -> None:
    assert api.call("POST", MAPS, config_map(name)).code == 422


def test_a_put_with_an_old_version_is_409(api: Any) -> None:
    first = api.call("POST", MAPS, config_map("a", k="1")).body
    assert api.call("PUT", f"{MAPS}/a", {**first, "data": {"k": "2"}}).code == 200
    late = api.call("PUT", f"{MAPS}/a", {**first, "data": {"k": "3"}})
    assert (late.code, late.body["reason"]) == (409, "Conflict")
    assert "the object has been modified" in late.body["message"]
    assert api.call("GET", f"{MAPS}/a").body["data"] == {"k": "2"}


def test_a_merge_patch_with_an_old_version_is_409(api: Any) -> None:
    first = api.call("POST", MAPS, config_map("a", k="1")).body
    change = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"k": "2"}}
    merge = "application/merge-patch+json"
    assert api.call("PATCH", f"{MAPS}/a", change, content_type=merge).code == 200
    assert api.call("PATCH", f"{MAPS}/a", change, content_type=merge).code == 409


def test_a_put_with_another_name_is_400(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    refused = api.call("PUT", f"{MAPS}/a", config_map("b"))
    assert refused.code == 400
    assert "does not match the name on the URL" in refused.body["message"]


def test_a_patch_of_plain_json_is_415(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    assert api.call("PATCH", f"{MAPS}/a", {"data": {}}, content_type="application/json").code == 415


def test_a_write_that_changes_nothing_keeps_the_version(api: Any) -> None:
    first = api.call("POST", MAPS, config_map("a", k="1")).body
    assert api.call("PUT", f"{MAPS}/a", first).body["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_generation_rises_with_the_spec_alone(api: Any) -> None:
    merge = "application/merge-patch+json"
    assert api.call("POST", DEPLOYMENTS, deployment()).body["metadata"]["generation"] == 1
    labelled = api.call("PATCH", f"{DEPLOYMENTS}/app", {"metadata": {"labels": {"a": "b"}}}, content_type=merge)
    assert labelled.body["metadata"]["generation"] == 1
    assert api.call("PATCH", f"{DEPLOYMENTS}/app/status", {"status": {"replicas": 1}}, content_type=merge).body["metadata"]["generation"] == 1
    assert api.call("PATCH", f"{DEPLOYMENTS}/app", {"spec": {"replicas": 3}}, content_type=merge).body["metadata"]["generation"] == 2


def test_spec_and_status_are_written_apart(api: Any) -> None:
    merge = "application/merge-patch+json"
    made = api.call("POST", DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}}).body
    assert "status" not in made
    both = {"spec": {"replicas": 7}, "status": {"replicas": 2}}
    assert api.call("PATCH", f"{DEPLOYMENTS}/app/status", both, content_type=merge).code == 200
    live = api.call("GET", f"{DEPLOYMENTS}/app").body
    assert (live["spec"]["replicas"], live["status"]["replicas"]) == (1, 2)
    api.call("PATCH", f"{DEPLOYMENTS}/app", {"spec": {"replicas": 4}, "status": {"replicas": 8}}, content_type=merge)
    live = api.call("GET", f"{DEPLOYMENTS}/app").body
    assert (live["spec"]["replicas"], live["status"]["replicas"]) == (4, 2)


def test_scale_reads_and_writes_replicas(api: Any) -> None:
    api.call("POST", DEPLOYMENTS, deployment())
    scale = api.call("GET", f"{DEPLOYMENTS}/app/scale").body
    assert (scale["kind"], scale["spec"]["replicas"], scale["status"]["selector"]) == ("Scale", 1, "app=app")
    scale["spec"]["replicas"] = 5
    assert api.call("PUT", f"{DEPLOYMENTS}/app/scale", scale).code == 200
    assert api.call("GET", f"{DEPLOYMENTS}/app").body["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    ("validation", "code", "warned"),
    [("Strict", 400, False), ("Warn", 201, True), ("Ignore", 201, False)],
    ids=["strict-refuses", "warn-warns", "ignore-is-silent"],
)
def test_an_unknown_field_is_treated_as_asked(api: Any, validation: str, code: int, *, warned: bool) -> None:
    body = deployment()
    body["spec"]["replicsa"] = 2
    made = api.call("POST", f"{DEPLOYMENTS}?fieldValidation={validation}", body)
    assert made.code == code
    assert bool(made.warnings) is warned
    if code == 400:
        assert made.body["message"] == 'strict decoding error: unknown field "spec.replicsa"'
    else:
        assert "replicsa" not in made.body["spec"]


def test_a_wrong_field_type_is_400(api: Any) -> None:
    body = deployment()
    body["spec"]["replicas"] = "two"
    refused = api.call("POST", DEPLOYMENTS, body)
    assert refused.code == 400
    assert "cannot unmarshal string into Go struct field" in refused.body["message"]


def test_a_selector_that_its_own_pods_do_not_match_is_422(api: Any) -> None:
    body = deployment()
    body["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    assert api.call("POST", DEPLOYMENTS, body).code == 422


def test_a_dry_run_answers_and_stores_nothing(api: Any) -> None:
    assert api.call("POST", f"{MAPS}?dryRun=All", config_map("a")).code == 201
    assert api.call("GET", f"{MAPS}/a").code == 404
    api.call("POST", MAPS, config_map("a", k="1"))
    changed = api.call("PATCH", f"{MAPS}/a?dryRun=All", {"data": {"k": "2"}}, content_type="application/merge-patch+json")
    assert changed.body["data"] == {"k": "2"}
    assert api.call("DELETE", f"{MAPS}/a?dryRun=All").code == 200
    assert api.call("GET", f"{MAPS}/a").body["data"] == {"k": "1"}


def test_secrets_take_plain_text_and_are_opaque(api: Any) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"p": "w"}}
    made = api.call("POST", "/api/v1/namespaces/default/secrets", body).body
    assert (made["type"], made["data"]) == ("Opaque", {"p": "dw=="})
    assert "stringData" not in made


def test_services_get_an_address_each_and_keep_it(api: Any) -> None:
    def service(name: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}

    path = "/api/v1/namespaces/default/services"
    first, second = api.call("POST", path, service("a")).body, api.call("POST", path, service("b")).body
    assert first["spec"]["clusterIP"].startswith("10.")
    assert first["spec"]["clusterIP"] != second["spec"]["clusterIP"]
    assert first["spec"]["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    put = api.call("PUT", f"{path}/a", service("a")).body
    assert put["spec"]["clusterIP"] == first["spec"]["clusterIP"]


def test_lists_are_selected_by_labels_and_fields(api: Any) -> None:
    for name, labels in (("a", {"x": "1"}), ("b", {"x": "2"}), ("c", {})):
        api.call("POST", MAPS, {**config_map(name), "metadata": {"name": name, "labels": labels}})

    def names(query: str) -> list[str]:
        return [item["metadata"]["name"] for item in api.call("GET", f"{MAPS}?{query}").body["items"] if not item["metadata"]["name"].startswith("kube-")]

    assert names("labelSelector=x%3D1") == ["a"]
    assert names("labelSelector=x%20in%20(1,2)") == ["a", "b"]
    assert names("labelSelector=x!%3D1") == ["b", "c"]
    assert names("labelSelector=!x") == ["c"]
    assert names("fieldSelector=metadata.name%3Db") == ["b"]
    assert names("fieldSelector=metadata.namespace%3Dother") == []


@pytest.mark.parametrize(
    "query", ["labelSelector=x%20in%20(", "labelSelector=%3D%3D", "fieldSelector=spec.unknown%3D1", "resourceVersion=x&watch=1", "continue=%25%25"]
)
def test_a_query_that_cannot_be_read_is_400(api: Any, query: str) -> None:
    assert api.call("GET", f"{MAPS}?{query}").code == 400


def test_pods_are_found_by_phase_and_node(api: Any) -> None:
    pods = "/api/v1/namespaces/default/pods"
    for name, node in (("a", "n1"), ("b", "n2")):
        api.call(
            "POST",
            pods,
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i:1"}]}},
        )
    api.call("PATCH", f"{pods}/a/status", {"status": {"phase": "Running"}}, content_type="application/merge-patch+json")
    assert [p["metadata"]["name"] for p in api.call("GET", f"{pods}?fieldSelector=status.phase%3DRunning").body["items"]] == ["a"]
    assert [p["metadata"]["name"] for p in api.call("GET", f"{pods}?fieldSelector=spec.nodeName%3Dn2").body["items"]] == ["b"]


def test_a_long_list_comes_in_pages(api: Any) -> None:
    for number in range(5):
        api.call("POST", MAPS, config_map(f"m{number}"))
    seen: list[str] = []
    token = ""
    for _ in range(4):
        page = api.call("GET", f"{MAPS}?limit=2&continue={token}").body
        assert len(page["items"]) <= 2
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert seen == ["kube-root-ca.crt", "m0", "m1", "m2", "m3", "m4"]


def test_items_of_a_list_carry_no_kind(api: Any) -> None:
    listed = api.call("GET", "/api/v1/namespaces").body
    assert listed["kind"] == "NamespaceList"
    assert all("kind" not in item for item in listed["items"])


def test_a_strategic_merge_patch_knows_its_lists(api: Any) -> None:
    api.call("POST", DEPLOYMENTS, deployment())
    change = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}, {"name": "side", "image": "side:1"}]}}}}
    strategic = "application/strategic-merge-patch+json"
    containers = api.call("PATCH", f"{DEPLOYMENTS}/app", change, content_type=strategic).body["spec"]["template"]["spec"]["containers"]
    assert [(c["name"], c["image"]) for c in containers] == [("app", "app:2"), ("side", "side:1")]
    assert containers[0]["ports"][0]["containerPort"] == 80
    away = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    containers = api.call("PATCH", f"{DEPLOYMENTS}/app", away, content_type=strategic).body["spec"]["template"]["spec"]["containers"]
    assert [c["name"] for c in containers] == ["app"]


def test_a_json_patch_tests_before_it_changes(api: Any) -> None:
    api.call("POST", MAPS, config_map("a", k="1"))
    json_patch = "application/json-patch+json"
    change = [
        {"op": "test", "path": "/data/k", "value": "1"},
        {"op": "replace", "path": "/data/k", "value": "2"},
        {"op": "add", "path": "/data/n~1m", "value": "3"},
    ]
    assert api.call("PATCH", f"{MAPS}/a", change, content_type=json_patch).body["data"] == {"k": "2", "n/m": "3"}
    assert api.call("PATCH", f"{MAPS}/a", change, content_type=json_patch).code == 422


def test_discovery_and_openapi_answer_as_clients_ask(api: Any) -> None:
    assert api.call("GET", "/version").body["gitVersion"].startswith("v1.")
    assert "v1" in api.call("GET", "/api").body["versions"]
    assert "apps" in [group["name"] for group in api.call("GET", "/apis").body["groups"]]
    aggregated = api.call("GET", "/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json")
    assert aggregated.body["kind"] == "APIGroupDiscoveryList"
    document = api.call("GET", "/openapi/v3/apis/apps/v1").body
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert api.call("GET", "/openapi/v2").body["swagger"] == "2.0"
