"""What only a server with sockets can show: watches, refusals to a weaker user, port-forward through proxies and after it ended."""

from __future__ import annotations

import base64
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from bennu.adapters.kubernetes import KubernetesApi
from bennu.errors import DependencyDown, GateRefused
from bennu.ports.kubernetes import Conflict, Kind, Ref
from tests.contract.kubernetes import configs
from tests.contract.kubernetes.clusters import TOKEN, LabCluster, echo
from tests.contract.kubernetes.scripted import http_proxy, socks5_proxy

CONFIG_MAP = Kind("v1", "ConfigMap")


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def another(cluster: LabCluster, folder: Path, token: str = TOKEN, **more: Any) -> KubernetesApi:
    """The same cluster through another kubeconfig."""
    base = {"server": cluster.url, "certificate-authority-data": configs.encoded(cluster.authority.pem)}
    return KubernetesApi.of("lab-blue", [configs.write(folder / "another", {**base, **more}, {"token": token})])


def service_account(cluster: LabCluster) -> str:
    """A token that may read ConfigMaps and nothing else."""
    reader = {"name": "reader", "namespace": "default"}
    cluster.api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": reader})
    cluster.api.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": reader,
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
        }
    )
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    cluster.api.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": reader, "subjects": [subject], "roleRef": role})
    annotations = {"kubernetes.io/service-account.name": "reader"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "reader-token", "namespace": "default", "annotations": annotations},
    }
    cluster.api.apply(secret)
    found = cluster.api.get(Ref(Kind("v1", "Secret"), "reader-token", "default"))
    assert found is not None
    return base64.b64decode(found["data"]["token"]).decode()


def test_a_watch_sees_what_changes_from_now_on(lab_cluster: LabCluster) -> None:
    api = lab_cluster.api
    api.apply(config_map("before", a="1"))
    events = api.watch(CONFIG_MAP, namespace="default", timeout=10)
    seen: list[tuple[str, str]] = []
    began = threading.Event()

    def look() -> None:
        for event in events:
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            began.set()
            if event["type"] == "DELETED":
                return

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    # Written until the watch has begun: it begins at "now", which only it knows.
    number = 0
    while not began.wait(0.05):
        number += 1
        api.apply(config_map("pulse", n=str(number)))
    api.delete(Ref(CONFIG_MAP, "pulse", "default"))
    watcher.join(10)
    assert seen[-1] == ("DELETED", "pulse")
    assert "before" not in {name for _, name in seen}


def test_a_weaker_user_is_refused_by_verb_and_object(lab_cluster: LabCluster, tmp_path: Path) -> None:
    lab_cluster.api.apply(config_map("pointer", a="1"))
    weak = another(lab_cluster, tmp_path, service_account(lab_cluster))
    assert weak.get(Ref(CONFIG_MAP, "pointer", "default")) is not None
    assert weak.can("get", CONFIG_MAP, "default")
    assert not weak.can("patch", CONFIG_MAP, "default")
    assert not weak.can("create", Kind("v1", "Pod/portforward"), "default")
    with pytest.raises(GateRefused, match="forbids to patch ConfigMap default/pointer"):
        weak.patch(Ref(CONFIG_MAP, "pointer", "default"), {"data": {"a": "2"}})
    with pytest.raises(GateRefused, match="pods/portforward"), weak.forwarded("default", "redis-0", 6379):
        pass


def test_an_unknown_token_is_said_to_be_refused(lab_cluster: LabCluster, tmp_path: Path) -> None:
    with pytest.raises(DependencyDown, match="401 Unauthorized"):
        another(lab_cluster, tmp_path, "nobody").uid()
    with pytest.raises(DependencyDown, match="401 Unauthorized"), another(lab_cluster, tmp_path, "nobody").forwarded("default", "redis-0", 6379):
        pass


def test_another_managers_field_is_a_conflict_unless_forced(lab_cluster: LabCluster) -> None:
    lab_cluster.api.apply(config_map("pointer", a="1"))
    path = "/api/v1/namespaces/default/configmaps/pointer"
    from bennu.adapters.kubernetes_transport import Ask

    theirs = Ask("PATCH", path, "apply", {"fieldManager": "flux", "force": "true"}, config_map("pointer", a="2"), "application/apply-patch+yaml")
    assert lab_cluster.api._transport.call(theirs).status == 200
    with pytest.raises(Conflict, match="flux"):
        lab_cluster.api.apply(config_map("pointer", a="3"))
    assert lab_cluster.api.apply(config_map("pointer", a="3"), force=True)["data"] == {"a": "3"}


@pytest.mark.parametrize("proxying", [http_proxy, socks5_proxy])
def test_a_port_is_forwarded_through_the_kubeconfigs_proxy(lab_cluster: LabCluster, tmp_path: Path, proxying: Any) -> None:
    with echo() as real, proxying() as proxy:
        lab_cluster.expose("redis-0", 6379, real)
        api = another(lab_cluster, tmp_path, **{"proxy-url": proxy.url, "server": lab_cluster.url.replace("127.0.0.1", "api.internal")})
        with api.forwarded("default", "redis-0", 6379) as address, socket.create_connection(address, timeout=5) as connection:
            connection.sendall(b"PING")
            assert connection.recv(4) == b"PING"
        assert {host for host, _ in proxy.targets} == {"api.internal"}


def test_a_forward_that_ended_leaves_nothing_open(lab_cluster: LabCluster) -> None:
    with echo() as real:
        lab_cluster.expose("redis-0", 6379, real)
        with lab_cluster.api.forwarded("default", "redis-0", 6379) as address:
            kept = socket.create_connection(address, timeout=5)
            kept.sendall(b"x")
            assert kept.recv(1) == b"x"
        assert kept.recv(1) == b""
        kept.close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address, timeout=5)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("bennu-port-forward")]


def test_a_pod_whose_port_is_closed_ends_the_connection(lab_cluster: LabCluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lab_cluster.expose("redis-0", 6379, port)
    try:
        with lab_cluster.api.forwarded("default", "redis-0", 6379) as address, socket.create_connection(address, timeout=5) as connection:
            assert connection.recv(1) == b""
    except DependencyDown:
        pass  # refused at the handshake: as good
