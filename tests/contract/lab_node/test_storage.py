"""Redis on a claim, Services, load balancers and volumes: made, kept, and really freed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bennu.lab.controllers.network_endpoints import real_port
from tests.contract.lab_node.clusters import LabCluster, eventually, lab_cluster, run
from tests.contract.lab_node.manifests import SHOP, deployment, redis, service
from tests.contract.lab_node.test_pods import ready_pods

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]


async def says(pod: Json, *command: str) -> str:
    """One inline command to the pod's Redis; the first line of the answer."""
    real = real_port(pod, 6379)
    assert real is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", real)
    writer.write(" ".join(command).encode() + b"\r\n")
    line = await reader.readline()
    if line.startswith(b"$") and line != b"$-1\r\n":
        line = await reader.readline()
    writer.close()
    return line.decode().strip()


async def redis_up(cluster: LabCluster) -> Json:
    await cluster.namespace(SHOP)
    await cluster.client.create(service("redis", 6379, target=6379))
    await cluster.client.create(redis())
    (pod,) = await cluster.until("v1", "Pod", ready_pods)
    return dict(pod)


def test_a_redis_that_is_killed_comes_back_with_its_data_and_port(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            pod = await redis_up(cluster)
            assert await says(pod, "CONFIG", "SET", "appendfsync", "always") == "+OK"
            assert await says(pod, "SET", "balance", "42") == "+OK"
            cluster.directory.lab.set_fault("redis:blue", "kill")

            def restarted(pods: Objects) -> list[Json]:
                return [p for p in ready_pods(pods) if p["status"]["containerStatuses"][0]["restartCount"] == 1]

            (again,) = await cluster.until("v1", "Pod", restarted)
            assert real_port(again, 6379) == real_port(pod, 6379)
            assert await says(again, "GET", "balance") == "42"

    run(story)


def test_a_redis_pod_that_is_deleted_comes_back_with_its_data_and_port(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            pod = await redis_up(cluster)
            assert await says(pod, "SET", "balance", "42") == "+OK"
            await cluster.client.delete(pod)
            (again,) = await cluster.until("v1", "Pod", lambda pods: [p for p in ready_pods(pods) if p["metadata"]["uid"] != pod["metadata"]["uid"]])
            assert real_port(again, 6379) == real_port(pod, 6379)
            assert await says(again, "GET", "balance") == "42"

    run(story)


def test_a_stopped_redis_answers_nothing_until_it_is_continued(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            pod = await redis_up(cluster)
            cluster.directory.lab.set_fault("redis:blue", "stop")

            async def silent() -> bool:
                try:
                    return await asyncio.wait_for(says(pod, "PING"), 0.1) != "+PONG"
                except TimeoutError:
                    return True

            await eventually(silent)
            cluster.directory.lab.clear_fault("redis:blue")
            assert await asyncio.wait_for(says(pod, "PING"), 5) == "+PONG"

    run(story)


def test_a_service_has_the_real_ports_of_ready_pods(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            pod = await redis_up(cluster)
            expected = real_port(pod, 6379)

            def served(found: Objects) -> bool:
                subsets = (found.get((SHOP, "redis")) or {}).get("subsets") or []
                return [(s["addresses"][0]["ip"], s["ports"][0]["port"]) for s in subsets if s.get("addresses")] == [("127.0.0.1", expected)]

            def sliced(found: Objects) -> bool:
                ready = [
                    (s["ports"][0]["port"], e["conditions"]["ready"]) for s in found.values() for e in s["endpoints"] if s["metadata"]["namespace"] == SHOP
                ]
                return ready == [(expected, True)]

            await cluster.until("v1", "Endpoints", served)
            await cluster.until("discovery.k8s.io/v1", "EndpointSlice", sliced)
            stateful = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "redis", "namespace": SHOP}}
            await cluster.client.patch(stateful, {"spec": {"replicas": 0}})
            await cluster.until("v1", "Endpoints", lambda found: not (found[SHOP, "redis"].get("subsets") or []))
            await cluster.until("discovery.k8s.io/v1", "EndpointSlice", lambda found: not found)

    run(story)


def test_a_load_balancer_has_a_hostname_and_is_freed_before_its_service_goes(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            made = await cluster.client.create(service("ingress", 80, kind="LoadBalancer"))

            def named(found: Objects) -> bool:
                ingress: list[Json] = found[SHOP, "ingress"]["status"]["loadBalancer"].get("ingress") or []
                return ingress == [{"hostname": "ingress-blue.lab.test"}]

            await cluster.until("v1", "Service", named)
            account = cluster.directory.root / "balancers.json"
            assert "shop/ingress" in account.read_text()
            await cluster.client.delete(made)
            await cluster.until("v1", "Service", lambda found: (SHOP, "ingress") not in found)
            assert "shop/ingress" not in account.read_text()

    run(story)


def test_a_deleted_claim_waits_for_its_pod_and_takes_the_data_with_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await redis_up(cluster)
            (claim,) = await cluster.client.list("v1", "PersistentVolumeClaim", SHOP)
            data = cluster.directory.root / "volumes" / f"{SHOP}-{claim['metadata']['name']}"
            assert claim["status"]["phase"] == "Bound"
            await cluster.client.delete(claim)
            (held,) = await cluster.client.list("v1", "PersistentVolumeClaim", SHOP)
            assert held["metadata"]["deletionTimestamp"]
            assert data.exists()
            stateful = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "redis", "namespace": SHOP}}
            await cluster.client.delete(stateful)
            await cluster.until("v1", "PersistentVolume", lambda found: not found)
            assert not data.exists()

    run(story)


def test_a_retained_volume_keeps_its_data(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": SHOP}, "spec": spec}
            made = await cluster.client.create(claim)
            volumes = await cluster.until("v1", "PersistentVolume", lambda found: list(found.values()))
            await cluster.client.patch(volumes[0], {"spec": {"persistentVolumeReclaimPolicy": "Retain"}})
            await cluster.until("v1", "PersistentVolumeClaim", lambda found: (found[SHOP, "data"].get("status") or {}).get("phase") == "Bound")
            await cluster.client.delete(made)
            await cluster.until("v1", "PersistentVolume", lambda found: next(iter(found.values()))["status"]["phase"] == "Released")
            assert (cluster.directory.root / "volumes" / f"{SHOP}-data").exists()

    run(story)


def test_a_service_whose_pods_are_not_ready_shows_them_as_such(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(service("web", 80))
            await cluster.client.create(deployment("web", "--exit", "1"))

            def unready(found: Objects) -> bool:
                subsets = (found.get((SHOP, "web")) or {}).get("subsets") or []
                return bool(subsets) and all("notReadyAddresses" in s and "addresses" not in s for s in subsets)

            await cluster.until("v1", "Endpoints", unready)

    run(story)


def test_init_containers_run_to_their_end_before_redis_starts_and_see_its_volumes(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config", "namespace": SHOP}, "data": {"redis.conf": "databases 3\n"}}
            await cluster.client.create(config)
            seeded = redis()
            pod = seeded["spec"]["template"]["spec"]
            pod["volumes"] = [{"name": "config", "configMap": {"name": "config"}}]
            pod["initContainers"] = [{"name": "first", "image": "bennu.lab/pause", "args": ["--exit", "0"]}]
            pod["containers"][0]["volumeMounts"].append({"name": "config", "mountPath": "/config"})
            pod["containers"][0]["args"] = ["valkey-server", "/config/redis.conf"]
            await cluster.client.create(seeded)
            (running,) = await cluster.until("v1", "Pod", ready_pods)
            (first,) = running["status"]["initContainerStatuses"]
            assert first["state"]["terminated"]["exitCode"] == 0
            assert await says(running, "SELECT", "2") == "+OK"
            assert (await says(running, "SELECT", "3")).startswith("-ERR")

    run(story)


def test_a_changed_configmap_comes_into_the_files_of_a_pod_that_runs_and_restarts_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            role = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "role", "namespace": SHOP}, "data": {"role.conf": "", "old": "1"}}
            made = await cluster.client.create(role)
            wanted = deployment("web")
            pod_spec = wanted["spec"]["template"]["spec"]
            pod_spec["volumes"] = [{"name": name, "configMap": {"name": "role"}} for name in ("part", "whole")]
            pod_spec["containers"][0]["volumeMounts"] = [
                {"name": "whole", "mountPath": "/whole"},
                {"name": "part", "mountPath": "/part/role.conf", "subPath": "role.conf"},
            ]
            await cluster.client.create(wanted)
            (pod,) = await cluster.until("v1", "Pod", ready_pods)
            files = cluster.directory.root / "pods" / f"{SHOP}-{pod['metadata']['name']}"
            assert (files / "whole" / "role.conf").read_text() == ""
            await cluster.client.patch(made, {"data": {"role.conf": "replicaof 127.0.0.1 1\n", "old": None}})

            async def brought() -> bool:
                return (files / "whole" / "role.conf").read_text() != ""

            await eventually(brought)
            assert (files / "whole" / "role.conf").read_text() == "replicaof 127.0.0.1 1\n"
            assert sorted(file.name for file in (files / "whole").iterdir()) == ["role.conf"]
            assert (files / "part" / "role.conf").read_text() == "", "a subPath mount is never renewed"
            (same,) = await cluster.until("v1", "Pod", ready_pods)
            assert (same["metadata"]["uid"], same["status"]["containerStatuses"][0]["restartCount"]) == (pod["metadata"]["uid"], 0)

    run(story)
