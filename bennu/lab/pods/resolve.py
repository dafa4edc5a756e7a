"""Stands for cluster DNS and kube-proxy: ``<svc>.<ns>.svc.cluster.local`` → the first ready endpoint, asked of the pod's own API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bennu.lab.places import ClusterDir
from bennu.lab.pods.api import Api

SUFFIX = ".svc.cluster.local"
EXTERNAL_REDIS = "redis.lab.test"
"""A Redis outside the clusters, as a managed one is."""


def first_ready(endpoints: Mapping[str, Any], port: int) -> tuple[str, int] | None:
    """(ip, port) of the first ready address; *port* is the Service's and picks by name only where there are several."""
    for subset in endpoints.get("subsets") or []:
        ports = subset.get("ports") or []
        for address in subset.get("addresses") or []:
            if ports:
                named = next((one for one in ports if str(one.get("name", "")).endswith(str(port))), ports[0])
                return str(address["ip"]), int(named["port"])
    return None


async def resolved(api: Api, host: str, port: int) -> tuple[str, int]:
    """Where *host* is now. Other names are taken as they are. Raises OSError where no endpoint is ready."""
    if host == EXTERNAL_REDIS:
        return "127.0.0.1", ClusterDir(Path(os.environ["BENNU_LAB_CLUSTER"])).lab.load().ports["redis"]
    if not host.endswith(SUFFIX):
        return host, port
    service, namespace = host.removesuffix(SUFFIX).split(".")[:2]
    found = await api.get(f"/api/v1/namespaces/{namespace}/endpoints/{service}")
    address = first_ready(found or {}, port)
    if address is None:
        raise OSError(f"{host} has no ready endpoint")
    return address
