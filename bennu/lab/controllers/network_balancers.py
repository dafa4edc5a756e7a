"""Services of type LoadBalancer get a hostname, and are freed before they go.

Stands for a cloud's controller: ``<cluster dir>/balancers.json`` is the cloud account, in which a balancer exists until the Service's finalizer was honoured.
It balances nothing: the lab's DNS leads from the hostname to the ingress pod.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.workloads_templates import is_terminating
from bennu.lab.places import write_json

Json = dict[str, Any]
GUARD = "service.kubernetes.io/load-balancer-cleanup"


class Balancers:
    """The load balancers of one cluster, all under one hostname."""

    def __init__(self, client: ApiClient, account: Path, hostname: str) -> None:
        self._client = client
        self._account = account
        self._hostname = hostname
        self._known: dict[str, str] = json.loads(account.read_text()) if account.exists() else {}

    async def look(self, service: Json) -> None:
        """One look at one Service of any type."""
        meta = service["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        guarded = GUARD in (meta.get("finalizers") or [])
        wanted = service["spec"].get("type") == "LoadBalancer" and not is_terminating(service)
        if wanted and (not guarded or not _has_ingress(service)):
            await self._make(service, key, guarded=guarded)
        elif not wanted and guarded:
            self._forget(key)
            kept = [f for f in meta["finalizers"] if f != GUARD]
            await self._client.patch(service, {"metadata": {"finalizers": kept}})

    async def _make(self, service: Json, key: str, *, guarded: bool) -> None:
        if not guarded:
            finalizers = [*(service["metadata"].get("finalizers") or []), GUARD]
            await self._client.patch(service, {"metadata": {"finalizers": finalizers}})
        self._known[key] = self._hostname
        self._write()
        await self._client.patch_status(service, {"loadBalancer": {"ingress": [{"hostname": self._hostname}]}})

    def _forget(self, key: str) -> None:
        if self._known.pop(key, None) is not None:
            self._write()

    def _write(self) -> None:
        write_json(self._account, dict(sorted(self._known.items())))


def _has_ingress(service: Mapping[str, Any]) -> bool:
    return bool(((service.get("status") or {}).get("loadBalancer") or {}).get("ingress"))
