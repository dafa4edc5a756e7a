"""Workloads become real processes, and stop being ones."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from bennu.lab.controllers.network_endpoints import real_port
from bennu.lab.controllers.processes_book import started_at, survivors
from tests.contract.lab_node.clusters import LabCluster, eventually, lab_cluster, run
from tests.contract.lab_node.manifests import SHOP, cronjob, deployment, job

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]


def ready_pods(pods: Objects) -> list[Json]:
    def ready(pod: Json) -> bool:
        conditions = (pod.get("status") or {}).get("conditions") or []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions) and not pod["metadata"].get("deletionTimestamp")

    return [p for p in pods.values() if ready(p)]


async def answers(pod: Json, port: int = 8080) -> bool:
    real = real_port(pod, port)
    assert real is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", real)
    writer.write(b"hello")
    answer = await reader.readexactly(5)
    writer.close()
    return answer == b"hello"


def pids(cluster: LabCluster) -> dict[int, str]:
    return survivors(cluster.directory.root / "pids.json")


def test_a_deployment_runs_processes_and_is_available_when_they_answer(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(deployment("web", replicas=2))
            pods = await cluster.until("v1", "Pod", lambda pods: len(found := ready_pods(pods)) == 2 and found)
            assert [await answers(p) for p in pods] == [True, True]
            done = await cluster.until("apps/v1", "Deployment", lambda found: (found[SHOP, "web"].get("status") or {}).get("availableReplicas") == 2 and found)
            conditions = {c["type"]: c["status"] for c in done[SHOP, "web"]["status"]["conditions"]}
            assert conditions["Available"] == "True"
            assert len(pids(cluster)) == 2

    run(story)


def test_no_process_outlives_its_controllers(tmp_path: Path) -> None:
    seen: dict[int, str] = {}

    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(deployment("web", replicas=2))
            await cluster.until("v1", "Pod", lambda pods: len(ready_pods(pods)) == 2)
            seen.update(pids(cluster))

    run(story)
    assert len(seen) == 2
    assert [pid for pid in seen if started_at(pid) is not None] == []


def test_scaling_to_zero_keeps_the_pod_until_its_process_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            made = await cluster.client.create(deployment("web"))
            await cluster.until("v1", "Pod", ready_pods)
            (pid,) = pids(cluster)
            os.kill(pid, signal.SIGSTOP)
            await cluster.client.patch(made, {"spec": {"replicas": 0}})
            await cluster.until("v1", "Pod", lambda pods: not any(ns == SHOP for ns, _ in pods))
            assert started_at(pid) is None

    run(story)


def test_a_process_that_dies_is_started_again_on_the_same_port(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(deployment("web"))
            (pod,) = await cluster.until("v1", "Pod", ready_pods)
            cluster.directory.lab.set_fault(f"pod:blue/{SHOP}/{pod['metadata']['name']}", "kill")

            def restarted(pods: Objects) -> list[Json]:
                return [p for p in ready_pods(pods) if p["status"]["containerStatuses"][0]["restartCount"] == 1]

            (again,) = await cluster.until("v1", "Pod", restarted)
            assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
            assert real_port(again, 8080) == real_port(pod, 8080)
            assert await answers(again)

    run(story)


def test_a_changed_template_replaces_pods_without_a_moment_of_none_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            made = await cluster.client.create(deployment("web"))
            (old,) = await cluster.until("v1", "Pod", ready_pods)
            await cluster.client.patch(made, {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}})
            least = 1

            def replaced(pods: Objects) -> bool:
                nonlocal least
                least = min(least, len([p for p in pods.values() if p["metadata"]["namespace"] == SHOP]))
                return bool(ready_pods(pods)) and (SHOP, old["metadata"]["name"]) not in pods

            await cluster.until("v1", "Pod", replaced)
            assert least == 1

    run(story)


def test_a_container_waits_for_the_secret_it_names(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            wanting = deployment("web")
            env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "auth", "key": "password"}}}]
            wanting["spec"]["template"]["spec"]["containers"][0]["env"] = env
            await cluster.client.create(wanting)

            def refused(pods: Objects) -> bool:
                states = [c["state"] for p in pods.values() for c in (p.get("status") or {}).get("containerStatuses") or []]
                return any((s.get("waiting") or {}).get("reason") == "CreateContainerConfigError" for s in states)

            await cluster.until("v1", "Pod", refused)
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth", "namespace": SHOP}, "stringData": {"password": "x"}}
            await cluster.client.create(secret)
            await cluster.until("v1", "Pod", ready_pods)

    run(story)


def test_an_unknown_image_is_emulated(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(deployment("source-controller", image="ghcr.io/fluxcd/source-controller:v1.7.0"))
            await cluster.until("v1", "Pod", ready_pods)
            assert pids(cluster) == {}

    run(story)


def test_a_job_completes_with_its_process(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(job("--exit", "0", ttlSecondsAfterFinished=1))

            def complete(jobs: Objects) -> bool:
                return any(c["type"] == "Complete" for j in jobs.values() for c in (j.get("status") or {}).get("conditions") or [])

            await cluster.until("batch/v1", "Job", complete)
            await cluster.until("batch/v1", "Job", lambda jobs: not jobs)
            await cluster.until("v1", "Pod", lambda pods: not any(ns == SHOP for ns, _ in pods))

    run(story)


def test_a_job_fails_when_its_pods_do(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            await cluster.client.create(job("--exit", "3", backoffLimit=1))

            def failed(jobs: Objects) -> bool:
                return any(c["type"] == "Failed" for j in jobs.values() for c in (j.get("status") or {}).get("conditions") or [])

            await cluster.until("batch/v1", "Job", failed)
            pods = await cluster.client.list("v1", "Pod", SHOP)
            assert [p["status"]["phase"] for p in pods] == ["Failed", "Failed"]

    run(story)


def test_a_cronjob_runs_each_time_and_a_suspended_one_never(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:
            await cluster.namespace(SHOP)
            suspended = cronjob("--exit", "0", suspend=True)
            suspended["metadata"]["name"] = "warm"
            await cluster.client.create(suspended)
            made = await cluster.client.create(cronjob("--exit", "0"))

            def ended(jobs: Objects) -> bool:
                return sum(int((j.get("status") or {}).get("succeeded", 0)) for j in jobs.values()) >= 3

            await cluster.until("batch/v1", "Job", ended)
            jobs = await cluster.client.list("batch/v1", "Job", SHOP)
            assert {j["metadata"]["ownerReferences"][0]["name"] for j in jobs} == {"settlement"}
            await cluster.client.delete(made)
            await cluster.until("batch/v1", "Job", lambda jobs: not jobs)

    run(story)


def test_the_node_is_ready_and_its_lease_is_renewed(tmp_path: Path) -> None:
    async def story() -> None:
        async with lab_cluster(tmp_path, "blue") as cluster:

            def ready(nodes: Objects) -> bool:
                return any(c["type"] == "Ready" and c["status"] == "True" for n in nodes.values() for c in (n.get("status") or {}).get("conditions") or [])

            await cluster.until("v1", "Node", ready)

            async def leased() -> bool:
                return await cluster.client.find("coordination.k8s.io/v1", "Lease", "node-blue-1", "kube-node-lease") is not None

            await eventually(leased)

    run(story)
