"""How objects go: at once, after their finalizers, with their dependents, with their namespace."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}], **spec}}


def owned(api: Any, name: str, *owners: dict[str, Any]) -> dict[str, Any]:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": o["metadata"]["name"], "uid": o["metadata"]["uid"]} for o in owners]
    body: dict[str, Any] = api.call("POST", MAPS, config_map(name, ownerReferences=references)).body
    return body


def there(api: Any, name: str) -> bool:
    return bool(api.call("GET", f"{MAPS}/{name}").code == 200)


def test_a_deleted_object_is_gone(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    assert api.call("DELETE", f"{MAPS}/a").body["status"] == "Success"
    assert not there(api, "a")
    assert api.call("DELETE", f"{MAPS}/a").code == 404


def test_a_finalizer_keeps_an_object_until_it_is_taken_off(api: Any) -> None:
    api.call("POST", MAPS, config_map("a", finalizers=["bennu.io/hold"]))
    marked = api.call("DELETE", f"{MAPS}/a").body
    assert marked["metadata"]["deletionTimestamp"]
    assert there(api, "a")
    api.call("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert not there(api, "a")


def test_dependents_go_with_their_last_owner(api: Any) -> None:
    first, second = (api.call("POST", MAPS, config_map(name)).body for name in ("first", "second"))
    owned(api, "of-first", first)
    owned(api, "of-both", first, second)
    api.call("DELETE", f"{MAPS}/first")
    assert not there(api, "of-first")
    assert there(api, "of-both")
    api.call("DELETE", f"{MAPS}/second")
    assert not there(api, "of-both")


def test_orphans_stay_without_their_owner(api: Any) -> None:
    owner = api.call("POST", MAPS, config_map("owner")).body
    owned(api, "child", owner)
    api.call("DELETE", f"{MAPS}/owner", {"propagationPolicy": "Orphan"})
    assert "ownerReferences" not in api.call("GET", f"{MAPS}/child").body["metadata"]


def test_in_the_foreground_the_owner_goes_last(api: Any) -> None:
    owner = api.call("POST", MAPS, config_map("owner")).body
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"], "blockOwnerDeletion": True}]
    api.call("POST", MAPS, config_map("child", ownerReferences=references, finalizers=["bennu.io/hold"]))
    api.call("DELETE", f"{MAPS}/owner", {"propagationPolicy": "Foreground"})
    assert api.call("GET", f"{MAPS}/owner").body["metadata"]["finalizers"] == ["foregroundDeletion"]
    api.call("PATCH", f"{MAPS}/child", {"metadata": {"finalizers": None}}, content_type=MERGE)
    assert not there(api, "child")
    assert not there(api, "owner")


def test_a_precondition_spares_another_object_of_the_same_name(api: Any) -> None:
    api.call("POST", MAPS, config_map("a"))
    assert api.call("DELETE", f"{MAPS}/a", {"preconditions": {"uid": "another"}}).code == 409
    assert there(api, "a")


def test_a_pod_on_a_node_waits_for_its_kubelet(api: Any) -> None:
    api.call("POST", PODS, pod("placed", nodeName="n1", terminationGracePeriodSeconds=7))
    marked = api.call("DELETE", f"{PODS}/placed").body
    assert (marked["metadata"]["deletionGracePeriodSeconds"], bool(marked["metadata"]["deletionTimestamp"])) == (7, True)
    assert api.call("GET", f"{PODS}/placed").code == 200
    assert api.call("DELETE", f"{PODS}/placed", {"gracePeriodSeconds": 0}).code == 200
    assert api.call("GET", f"{PODS}/placed").code == 404


def test_a_pod_on_no_node_goes_at_once(api: Any) -> None:
    api.call("POST", PODS, pod("waiting"))
    api.call("DELETE", f"{PODS}/waiting")
    assert api.call("GET", f"{PODS}/waiting").code == 404


def test_a_namespace_takes_its_contents_along_and_waits_for_them(api: Any) -> None:
    api.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}})
    inside = "/api/v1/namespaces/demo"
    api.call("POST", f"{inside}/configmaps", config_map("plain"))
    api.call("POST", f"{inside}/pods", pod("p", nodeName="n1"))
    assert api.call("DELETE", inside).body["status"]["phase"] == "Terminating"
    assert api.call("GET", f"{inside}/configmaps/plain").code == 404
    assert api.call("GET", inside).body["metadata"]["deletionTimestamp"]
    refused = api.call("POST", f"{inside}/configmaps", config_map("late"))
    assert (refused.code, refused.body["reason"]) == (403, "Forbidden")
    since = api.call("GET", "/api/v1/namespaces").body["metadata"]["resourceVersion"]
    with closing(api.watch(f"/api/v1/namespaces?watch=1&resourceVersion={since}")) as stream:
        api.call("DELETE", f"{inside}/pods/p", {"gracePeriodSeconds": 0})
        event = json.loads(stream.readline())
    assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "demo")
    assert api.call("GET", inside).code == 404


def test_a_collection_is_deleted_by_selector(api: Any) -> None:
    api.call("POST", MAPS, config_map("a", labels={"x": "1"}))
    api.call("POST", MAPS, config_map("b"))
    assert api.call("DELETE", f"{MAPS}?labelSelector=x%3D1").code == 200
    assert (there(api, "a"), there(api, "b")) == (False, True)
