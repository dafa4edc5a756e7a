"""Endpoints and EndpointSlices of a Service, from the pods behind it.

Pure. Every pod lives on 127.0.0.1, told apart by its real ports alone, so each pod gets a subset (and a slice) of its own; Kubernetes would group them. Services
without selector keep the Endpoints somebody made for them; their slices mirror those, as in Kubernetes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bennu.lab.controllers.workloads_templates import is_ready, is_terminating, phase_of

Json = dict[str, Any]

PORT = "lab.bennu.io/port."
"""Prefix of the pod annotations that name the real port of a container port."""
BY_SELECTOR = "endpointslice-controller.k8s.io"
BY_MIRRORING = "endpointslicemirroring-controller.k8s.io"
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def selects(service: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether the Service's selector (which must not be empty) matches the pod."""
    selector = service["spec"].get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    same = pod["metadata"].get("namespace") == service["metadata"].get("namespace")
    return bool(selector) and same and all(labels.get(k) == v for k, v in selector.items())


def endpoints_of(service: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> Json:
    """The Endpoints of a Service with selector: ready pods under ``addresses``, the others under ``notReadyAddresses``."""
    subsets = []
    for pod in sorted(pods, key=lambda p: str(p["metadata"]["name"])):
        ports = _real_ports(service, pod)
        if not ports or phase_of(pod) in ("Succeeded", "Failed"):
            continue
        ready = is_ready(pod) and not is_terminating(pod)
        subsets.append({"addresses" if ready else "notReadyAddresses": [_address(pod)], "ports": ports})
    meta = service["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {**(meta.get("labels") or {}), "endpoints.kubernetes.io/managed-by": "endpoint-controller"},
            "ownerReferences": [service_reference(service)],
        },
        "subsets": subsets,
    }


def service_reference(service: Mapping[str, Any]) -> Json:
    """The owner reference of what is made for a Service."""
    return {"apiVersion": "v1", "kind": "Service", "name": service["metadata"]["name"], "uid": service["metadata"]["uid"], "controller": True}


def slices_of(service: Mapping[str, Any], endpoints: Mapping[str, Any]) -> Iterator[Json]:
    """One EndpointSlice for each subset of *endpoints*."""
    meta = service["metadata"]
    manager = BY_SELECTOR if service["spec"].get("selector") else BY_MIRRORING
    for subset in endpoints.get("subsets") or []:
        found = [_endpoint(a, ready=True) for a in subset.get("addresses") or []]
        found += [_endpoint(a, ready=False) for a in subset.get("notReadyAddresses") or []]
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{meta['name']}-{_digest(subset)}",
                "namespace": meta["namespace"],
                "labels": {**(endpoints["metadata"].get("labels") or {}), SERVICE_NAME: meta["name"], MANAGED_BY: manager},
                "ownerReferences": [service_reference(service)],
            },
            "addressType": "IPv4",
            "endpoints": found,
            "ports": [dict(p) for p in subset.get("ports") or []],
        }


def real_port(pod: Mapping[str, Any], container_port: int) -> int | None:
    """The real port behind a container port, once the kubelet chose it."""
    real = (pod["metadata"].get("annotations") or {}).get(f"{PORT}{container_port}")
    return int(real) if real else None


def _real_ports(service: Mapping[str, Any], pod: Mapping[str, Any]) -> list[Json]:
    ports = []
    for port in service["spec"].get("ports") or []:
        wanted = port.get("targetPort", port["port"])
        number = _container_port(pod, wanted) if isinstance(wanted, str) and not wanted.isdigit() else int(wanted)
        real = None if number is None else real_port(pod, number)
        if real is not None:
            entry: Json = {"port": real, "protocol": port.get("protocol", "TCP")}
            # A Service with one port may leave it unnamed; then the endpoint's is too.
            ports.append({"name": port["name"], **entry} if port.get("name") else entry)
    return ports


def _container_port(pod: Mapping[str, Any], name: str) -> int | None:
    for container in pod["spec"].get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == name:
                return int(port["containerPort"])
    return None


def _address(pod: Mapping[str, Any]) -> Json:
    meta = pod["metadata"]
    target = {"kind": "Pod", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
    return {"ip": "127.0.0.1", "nodeName": pod["spec"].get("nodeName", ""), "targetRef": target}


def _endpoint(address: Mapping[str, Any], *, ready: bool) -> Json:
    found: Json = {"addresses": [address["ip"]], "conditions": {"ready": ready, "serving": ready, "terminating": False}}
    return found | {k: address[k] for k in ("targetRef", "nodeName") if address.get(k)}


def _digest(subset: Mapping[str, Any]) -> str:
    """Stable for a subset whatever its readiness: the slice of a pod changes, it isn't replaced."""
    target = [a.get("targetRef", {}).get("uid") or a["ip"] for k in ("addresses", "notReadyAddresses") for a in subset.get(k) or []]
    ports = [p["port"] for p in subset.get("ports") or []]
    return hashlib.sha256(repr((sorted(target), ports)).encode()).hexdigest()[:8]
