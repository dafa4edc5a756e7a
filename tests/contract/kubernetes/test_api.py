"""The contract of ``Kubernetes``, of the lab's API server through the real adapter and of the one in memory."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from bennu.errors import DependencyDown
from bennu.ports.kubernetes import Conflict, Kind, Kubernetes, Ref
from tests.contract.kubernetes.clusters import UID, Cluster, echo

CONFIG_MAP = Kind("v1", "ConfigMap")
POINTER = Ref(CONFIG_MAP, "global-traffic-state", "default")
LINK = Kind("multicluster.linkerd.io/v1alpha3", "Link")


def config_map(data: dict[str, str], **meta: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": POINTER.name, "namespace": "default", **meta}, "data": data}


def data_of(api: Kubernetes) -> dict[str, str]:
    found = api.get(POINTER)
    assert found is not None
    return dict(found.get("data") or {})


def test_a_cluster_is_known_by_the_uid_of_kube_system(api: Kubernetes) -> None:
    assert api.uid() == UID
    assert api.version().startswith("v1.")
    assert api.context == "lab-blue"
    assert api.endpoint()[0].startswith("https://")
    assert api.credential_expiry(datetime.now(UTC)) is None


def test_what_is_applied_is_there(api: Kubernetes) -> None:
    assert api.get(POINTER) is None
    applied = api.apply(config_map({"IS_WRITE_MASTER": "false"}))
    assert applied["metadata"]["resourceVersion"]
    assert data_of(api) == {"IS_WRITE_MASTER": "false"}


def test_applying_the_same_again_changes_nothing(api: Kubernetes) -> None:
    first = api.apply(config_map({"a": "1"}))
    assert api.apply(config_map({"a": "1"}))["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_what_is_no_longer_applied_is_taken_away_and_what_others_own_stays(api: Kubernetes) -> None:
    api.apply(config_map({"a": "1", "b": "2"}))
    api.patch(POINTER, {"metadata": {"labels": {"theirs": "yes"}}})
    api.apply(config_map({"a": "1"}))
    assert data_of(api) == {"a": "1"}


def test_an_apply_with_an_old_version_is_a_conflict_and_with_the_current_one_succeeds(api: Kubernetes) -> None:
    first = api.apply(config_map({"a": "1"}))["metadata"]["resourceVersion"]
    second = api.apply(config_map({"a": "2"}))["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        api.apply(config_map({"a": "3"}, resourceVersion=first), force=True)
    assert data_of(api) == {"a": "2"}
    api.apply(config_map({"a": "3"}, resourceVersion=second), force=True)
    assert data_of(api) == {"a": "3"}


def test_a_patch_merges_and_removes_and_swaps(api: Kubernetes) -> None:
    first = api.apply(config_map({"a": "1", "b": "2"}))["metadata"]["resourceVersion"]
    patched = api.patch(POINTER, {"metadata": {"resourceVersion": first, "annotations": {"bennu.io/epoch": "3"}}, "data": {"b": None, "c": "3"}})
    assert patched["data"] == {"a": "1", "c": "3"}
    assert patched["metadata"]["annotations"]["bennu.io/epoch"] == "3"
    with pytest.raises(Conflict):
        api.patch(POINTER, {"metadata": {"resourceVersion": first}, "data": {"a": "9"}})


def test_a_patch_of_nothing_is_an_error(api: Kubernetes) -> None:
    with pytest.raises(DependencyDown):
        api.patch(POINTER, {"data": {"a": "1"}})


def test_a_status_is_patched_apart(api: Kubernetes) -> None:
    spec = {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}},
    }
    api.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "default"}, "spec": spec})
    ref = Ref(Kind("apps/v1", "Deployment"), "a", "default")
    assert api.patch_status(ref, {"status": {"readyReplicas": 2}})["status"]["readyReplicas"] == 2


def test_a_deleted_object_is_gone_and_deleting_it_again_says_so(api: Kubernetes) -> None:
    api.apply(config_map({"a": "1"}))
    assert api.delete(POINTER)
    assert api.get(POINTER) is None
    assert not api.delete(POINTER)


def test_a_list_is_by_namespace_and_label_and_its_items_know_what_they_are(api: Kubernetes) -> None:
    api.apply(config_map({"a": "1"}, labels={"mirror.linkerd.io/exported": "true"}))
    api.apply({**config_map({}), "metadata": {"name": "other", "namespace": "kube-system"}})
    found = api.list(CONFIG_MAP, labels="mirror.linkerd.io/exported=true")
    assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found] == [("ConfigMap", "v1", POINTER.name)]
    assert "other" not in {item["metadata"]["name"] for item in api.list(CONFIG_MAP, namespace="default")}
    assert {"other", POINTER.name} <= {item["metadata"]["name"] for item in api.list(CONFIG_MAP)}


def test_a_kind_is_served_from_its_crd_on(api: Kubernetes) -> None:
    assert not api.serves(LINK)
    assert api.get(Ref(LINK, "cluster-blue", "default")) is None
    assert api.list(LINK) == ()
    assert not api.delete(Ref(LINK, "cluster-blue", "default"))
    link = {"apiVersion": LINK.api_version, "kind": "Link", "metadata": {"name": "cluster-blue", "namespace": "default"}, "spec": {"gatewayPort": "4143"}}
    with pytest.raises(DependencyDown, match="does not serve Link"):
        api.apply(link)
    api.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "links.multicluster.linkerd.io"},
            "spec": {
                "group": "multicluster.linkerd.io",
                "scope": "Namespaced",
                "names": {"plural": "links", "singular": "link", "kind": "Link", "listKind": "LinkList"},
                "versions": [
                    {
                        "name": "v1alpha3",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                ],
            },
        }
    )
    assert api.serves(LINK)
    assert api.apply(link)["spec"] == {"gatewayPort": "4143"}


def test_an_admin_may(api: Kubernetes) -> None:
    assert api.can("create", Kind("v1", "Pod/portforward"), "default")
    assert api.can("patch", Kind("example.io/v1", "NotThereYet"))


def test_a_forwarded_port_carries_bytes_both_ways(cluster: Cluster) -> None:
    with echo() as real:
        cluster.expose("redis-0", 6379, real)
        with cluster.api.forwarded("default", "redis-0", 6379) as address:
            for _ in range(2):
                with socket.create_connection(address, timeout=5) as connection:
                    sent = bytes(range(256)) * 4000
                    threading.Thread(target=connection.sendall, args=(sent,), daemon=True).start()
                    got = b""
                    while len(got) < len(sent):
                        got += connection.recv(65536)
                    assert got == sent


def test_a_connection_that_ends_leaves_nothing_in_the_next_ones_stream(cluster: Cluster) -> None:
    # Descriptor numbers are used again at once: whatever still wrote to an old one would show here.
    with echo() as real:
        cluster.expose("redis-0", 6379, real)
        with cluster.api.forwarded("default", "redis-0", 6379) as address:
            for number in range(60):
                with socket.create_connection(address, timeout=5) as connection:
                    sent = bytes([number]) * 3000
                    connection.sendall(sent)
                    got = b""
                    while len(got) < (len(sent) if number % 2 else 1):
                        got += connection.recv(65536)
                    assert sent.startswith(got)


def test_a_pod_that_is_not_there_is_not_forwarded_to(api: Kubernetes) -> None:
    with pytest.raises(DependencyDown, match="no port-forward to pod default/gone"), api.forwarded("default", "gone", 6379):
        pass
