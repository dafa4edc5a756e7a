"""What the kubelet and the controllers of workloads do: pods that come a tick after they are wanted and go a tick after they are not, load balancers, claims, Jobs."""

from __future__ import annotations

from typing import Any

from bennu.phases.kinds import (
    CONFIGMAP,
    CRD,
    CRONJOB,
    DEPLOYMENT,
    JOB,
    POD,
    PVC,
    SERVICE,
    STATEFULSET,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    wanted,
)
from bennu.ports.kubernetes import Json, Ref
from bennu.ports.redis import Address
from tests.sim.memory_kubernetes import MemoryKubernetes
from tests.sim.memory_redis import MemoryRedis

PARKED = Address("127.0.0.1", 1)


def step(cluster: MemoryKubernetes, redis: MemoryRedis | None, colour: str) -> None:
    """One tick of one cluster."""
    idle = cluster.looked.get("node") == _looked_at(cluster, redis)
    for cronjob in cluster.peek(CRONJOB):
        _cronjob(cluster, cronjob)
    begin = _looked_at(cluster, redis)
    if not idle:
        _stepped(cluster, redis, colour)
    # Jobs that come and go by the minute are nobody else's work.
    if idle or _looked_at(cluster, redis) == begin:
        cluster.looked["node"] = _looked_at(cluster, redis)


def _looked_at(cluster: MemoryKubernetes, redis: MemoryRedis | None) -> object:
    kinds = (CRD, SERVICE, DEPLOYMENT, CRONJOB, POD, STATEFULSET, PVC, CONFIGMAP, JOB)
    return cluster.changes(*kinds), redis is not None and redis.knobs.up


def _stepped(cluster: MemoryKubernetes, redis: MemoryRedis | None, colour: str) -> None:
    for crd in cluster.peek(CRD):
        _put(cluster, crd, {"conditions": [{"type": "Established", "status": "True"}]})
    for service in cluster.peek(SERVICE):
        if service.get("spec", {}).get("type") == "LoadBalancer":
            _put(cluster, service, {"loadBalancer": {"ingress": [{"hostname": f"{name_of(service)}-{colour}.test"}]}})
    for deployment in cluster.peek(DEPLOYMENT):
        _deployment(cluster, deployment)
    _orphans(cluster)
    if redis is not None:
        _redis(cluster, redis)
        for job in cluster.peek(JOB):
            if not job.get("status", {}).get("conditions") and "args" in str(job.get("spec")):
                _sync_job(cluster, job, redis)


def _deployment(cluster: MemoryKubernetes, one: Json) -> None:
    labels = one["spec"]["template"]["metadata"]["labels"]
    namespace = namespace_of(one)
    running = [pod for pod in cluster.peek(POD, namespace) if labels.items() <= labels_of(pod).items()]
    _put(cluster, one, {"availableReplicas": min(len(running), wanted(one))})
    for pod in running[wanted(one) :]:
        cluster.remove(Ref(POD, name_of(pod), namespace))
    for index in range(len(running), wanted(one)):
        cluster.put(_pod(f"{name_of(one)}-{index}", namespace, labels))


def _cronjob(cluster: MemoryKubernetes, one: Json) -> None:
    """A Job each tick that lasts for one; none is begun while it is suspended."""
    name, namespace = name_of(one), namespace_of(one)
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"{name}-job", "namespace": namespace, **_owned("CronJob", name)}, "spec": {}}
    pod = _pod(f"{name}-pod", namespace, {"job": name})
    if cluster.remove(Ref(JOB, f"{name}-job", namespace)):
        cluster.remove(Ref(POD, f"{name}-pod", namespace))
    elif not one["spec"].get("suspend"):
        cluster.put(job)
        cluster.put({**pod, "metadata": {**pod["metadata"], **_owned("Job", f"{name}-job")}})


def _orphans(cluster: MemoryKubernetes) -> None:
    """Pods of Deployments that are gone."""
    kept = [(namespace_of(one), one["spec"]["template"]["metadata"]["labels"]) for one in cluster.peek(DEPLOYMENT)]
    for pod in cluster.peek(POD):
        if "app" in labels_of(pod) and not any(ns == namespace_of(pod) and labels.items() <= labels_of(pod).items() for ns, labels in kept):
            cluster.remove(Ref(POD, name_of(pod), namespace_of(pod)))


def _redis(cluster: MemoryKubernetes, redis: MemoryRedis) -> None:
    """The pod reads its role at its start only; its claim outlives it."""
    workload = cluster.at(Ref(STATEFULSET, "redis", "database"))
    if workload is None:
        redis.knobs.up = False
        return
    _put(cluster, workload, {"readyReplicas": 1})
    claim = Ref(PVC, "data-redis-0", "database")
    if cluster.at(claim) is None:
        cluster.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim.name, "namespace": claim.namespace}})
    config = cluster.at(Ref(CONFIGMAP, "redis-config", "database"))
    if not redis.knobs.up and config is not None and "started" not in annotations_of(workload):
        cluster.put({**workload, "metadata": {**workload["metadata"], "annotations": {**annotations_of(workload), "started": "true"}}})
        redis.knobs.up = True
        if config["data"]["variant"] == "warm-reader":
            redis.follow(PARKED)
            redis.written_master = PARKED


def _sync_job(cluster: MemoryKubernetes, job: Json, redis: MemoryRedis) -> None:
    arguments = job["spec"]["template"]["spec"]["containers"][0]["args"]
    redis.replicate(Address(arguments[-2], int(arguments[-1])))
    _put(cluster, job, {"conditions": [{"type": "Complete", "status": "True"}]})


def _pod(name: str, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "status": {"phase": "Running", "containerStatuses": [{"name": "main", "restartCount": 0}]},
    }


def _owned(kind: str, name: str) -> dict[str, Any]:
    return {"ownerReferences": [{"kind": kind, "name": name}]}


def _put(cluster: MemoryKubernetes, one: Json, status: dict[str, Any]) -> None:
    if any((one.get("status") or {}).get(key) != value for key, value in status.items()):
        cluster.put({**one, "status": {**(one.get("status") or {}), **status}}, manager="node")
