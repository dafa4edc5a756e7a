"""The cluster's one Node, ``node-<colour>-1``: registered Ready, with a lease as heartbeat.

Its capacity is said, not measured. It is Ready as long as the kubelet lives; nobody marks it otherwise when it does not, since nodes and kubelet share one process.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_informers import REFUSALS
from bennu.lab.controllers.workloads_jobs import stamp

Json = dict[str, Any]
LEASES = "kube-node-lease"
VERSION = "v1.32.4"
_PERIOD = 5.0
_CAPACITY = {"cpu": "8", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi"}


def node_name(colour: str) -> str:
    """``node-<colour>-1``."""
    return f"node-{colour}-1"


def node_of(name: str) -> Json:
    """The Node object, without status."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "lab.bennu.io/emulated": "true"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}


def node_status(now: str) -> Json:
    """Its status: Ready, under no pressure."""
    healthy = {"status": "False", "lastHeartbeatTime": now, "lastTransitionTime": now}
    pressures = [{"type": t, "reason": f"KubeletHasNo{t}", **healthy} for t in ("MemoryPressure", "DiskPressure", "PIDPressure")]
    ready = {"type": "Ready", "reason": "KubeletReady", "message": "the lab's kubelet runs", **healthy, "status": "True"}
    return {
        "capacity": _CAPACITY,
        "allocatable": _CAPACITY,
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "conditions": [*pressures, ready],
        "nodeInfo": {
            "kubeletVersion": VERSION,
            "kubeProxyVersion": VERSION,
            "containerRuntimeVersion": "processes://bennu-lab",
            "osImage": "Bennu lab (emulated)",
            "operatingSystem": "linux",
            "architecture": "amd64",
            "kernelVersion": "",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
        },
    }


def lease_of(name: str, now: datetime) -> Json:
    """The heartbeat."""
    renewed = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASES},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed},
    }


async def keep_alive(client: ApiClient, name: str, stop: asyncio.Event) -> None:
    """Register the node, then renew its lease until *stop*; an API that doesn't answer is asked again."""
    registered = False
    while not stop.is_set():
        try:
            if not registered:
                await client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": LEASES}}, "lab-kubelet")
                node = await client.apply(node_of(name), "lab-kubelet")
                await client.patch_status(node, node_status(stamp(datetime.now(UTC))))
                registered = True
            await client.apply(lease_of(name, datetime.now(UTC)), "lab-kubelet")
        except REFUSALS:
            registered = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PERIOD if registered else 0.25)
