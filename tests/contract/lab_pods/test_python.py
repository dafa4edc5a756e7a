"""A program that knows nothing of the lab finds the cluster's names and its account's token, as in a pod of a real cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.contract.lab_node.clusters import LabCluster, eventually, run
from tests.contract.lab_pods.programs import running
from tests.contract.lab_pods.stand import NAMESPACE, endpoint, quiet_cluster

# Writes what it finds of a name, again and again, and what the API says to its account.
PROGRAM = """
import json, os, socket, ssl, sys, time, urllib.error, urllib.request

def address(name):
    try:
        return socket.getaddrinfo(name, 6379, type=socket.SOCK_STREAM)[0][4][1]
    except OSError as error:
        return type(error).__name__

def may(path):
    token, trust = open(os.environ["ACCOUNT"] + "/token").read(), ssl.create_default_context(cafile=os.environ["ACCOUNT"] + "/ca.crt")
    try:
        return urllib.request.urlopen(urllib.request.Request(os.environ["API"] + path, headers={"Authorization": "Bearer " + token}), context=trust).status
    except urllib.error.HTTPError as refused:
        return refused.code

while True:
    found = {name: address(name) for name in sys.argv[2:]}
    found["map"], found["pods"] = may("/api/v1/namespaces/payments/configmaps/a-map"), may("/api/v1/namespaces/payments/pods")
    with open(sys.argv[1] + ".new", "w") as file:
        json.dump(found, file)
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(0.05)
"""
REDIS, WRITE, GONE = (f"{name}.database.svc.cluster.local" for name in ("redis", "redis-write", "gone"))
ACCOUNT = """
{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": "payments"}}
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader", "namespace": "payments"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "reader", "namespace": "payments"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "payments"}]}
{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a-map", "namespace": "payments"}}
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a-pod", "namespace": "payments"}, "spec": {"serviceAccountName": "reader", "containers": [{"name": "main", "image": "example/emulated:1"}]}}
"""


async def service(cluster: LabCluster, name: str, spec: dict[str, Any]) -> None:
    await cluster.client.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "database"}, "spec": spec}, "test")


def test_a_program_finds_services_where_they_are_now_and_an_alias_once_its_ttl_has_passed(tmp_path: Path) -> None:
    async def story() -> None:
        said, script = tmp_path / "said", tmp_path / "program.py"
        script.write_text(PROGRAM)
        async with quiet_cluster(tmp_path / "lab", NAMESPACE, "database") as cluster:
            for line in ACCOUNT.strip().splitlines():
                await cluster.client.apply(json.loads(line), "test")
            await service(cluster, "redis", {"ports": [{"port": 6379}]})
            await service(cluster, "redis-write", {"type": "ExternalName", "externalName": REDIS})
            await endpoint(cluster, "redis", 7001, namespace="database", port_name="redis")
            await endpoint(cluster, "redis-cluster-green", 7009, namespace="database", port_name="redis")
            async with running("python", cluster.directory.root, "python", str(script), str(said), REDIS, WRITE, GONE, ACCOUNT=str(tmp_path / "account")):

                async def says(**wanted: Any) -> None:
                    async def so() -> bool:
                        found = json.loads(said.read_text()) if said.exists() else {}
                        return {key: found.get(key) for key in wanted} == wanted

                    await eventually(so)

                await says(**{REDIS: 7001, WRITE: 7001, GONE: "gaierror", "map": 200, "pods": 403})
                await endpoint(cluster, "redis", 7002, namespace="database", port_name="redis")
                await says(**{REDIS: 7002, WRITE: 7002})
                await service(cluster, "redis-write", {"type": "ExternalName", "externalName": "redis-cluster-green.database.svc.cluster.local"})
                await says(**{REDIS: 7002, WRITE: 7009})

    run(story)
