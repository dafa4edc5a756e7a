"""Services get Endpoints, EndpointSlices and load balancers; claims get volumes. All of them are freed as they were made.

Each part's rules stand in a module of their own; here is the loop that looks at everything after each change. Nothing here carries traffic.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_balancers import Balancers
from bennu.lab.controllers.network_claims import Storage
from bennu.lab.controllers.network_endpoints import BY_MIRRORING, BY_SELECTOR, MANAGED_BY, SERVICE_NAME, endpoints_of, selects, slices_of
from bennu.lab.controllers.network_informers import REFUSALS, Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.controllers.workloads_templates import is_terminating

Json = dict[str, Any]
_log = logging.getLogger(__name__)
_MANAGER = "lab-network"
_AGAIN = 0.25


class Services:
    """Keeps Endpoints and EndpointSlices as the Services and pods ask for them."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.services = shared(client, Watched("v1", "Service"))
        self.endpoints = shared(client, Watched("v1", "Endpoints"))
        self.slices = shared(client, Watched("discovery.k8s.io/v1", "EndpointSlice"))
        self.pods = shared(client, Watched("v1", "Pod"))

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All that must be followed."""
        return (self.services, self.endpoints, self.slices, self.pods)

    async def look_at(self, service: Json) -> None:
        """One look at one Service."""
        if is_terminating(service) or service["spec"].get("type") == "ExternalName":
            return
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        if service["spec"].get("selector"):
            wanted = endpoints_of(service, [p for p in self.pods.of(namespace) if selects(service, p)])
            await self._write(self.endpoints, wanted, ("subsets",))
        found = self.endpoints.get(namespace, name)
        await self._slice(service, found or {"metadata": {}, "subsets": []})

    async def _slice(self, service: Json, endpoints: Mapping[str, Any]) -> None:
        wanted = {s["metadata"]["name"]: s for s in slices_of(service, endpoints)}
        for made in wanted.values():
            await self._write(self.slices, made, ("endpoints", "ports"))
        for old in self.slices.of(service["metadata"]["namespace"]):
            labels = old["metadata"].get("labels") or {}
            ours = labels.get(SERVICE_NAME) == service["metadata"]["name"] and labels.get(MANAGED_BY) in (BY_SELECTOR, BY_MIRRORING)
            if ours and old["metadata"]["name"] not in wanted:
                await self._client.delete(old)

    async def _write(self, informer: Informer, wanted: Json, keys: tuple[str, ...]) -> None:
        meta = wanted["metadata"]
        current = informer.get(meta["namespace"], meta["name"])
        same = current is not None and all((current.get(k) or []) == wanted[k] for k in keys)
        if not same:
            informer.note(await self._client.apply(wanted, _MANAGER))

    async def sweep(self) -> None:
        """Delete Endpoints and slices whose Service is gone."""
        for informer in (self.endpoints, self.slices):
            for obj in informer:
                owner = next((r for r in obj["metadata"].get("ownerReferences") or [] if r.get("kind") == "Service"), None)
                if owner is None or is_terminating(obj):
                    continue
                service = self.services.get(obj["metadata"]["namespace"], owner["name"])
                if service is None or service["metadata"]["uid"] != owner["uid"]:
                    await self._client.delete(obj)


class Network:
    """One look at all of it; a Service that can't be understood holds up no other."""

    def __init__(self, services: Services, balancers: Balancers, storage: Storage) -> None:
        self._services = services
        self._balancers = balancers
        self._storage = storage

    async def look(self) -> float | None:
        """Services first: a claim's data may take a moment to go."""
        again: float | None = None
        for service in self._services.services:
            try:
                await self._balancers.look(service)
                await self._services.look_at(service)
            except (*REFUSALS, KeyError, TypeError, ValueError) as problem:
                _log.warning("Service %s: %r", service["metadata"]["name"], problem)
                again = _AGAIN
        await self._services.sweep()
        await self._storage.look(self._services.pods)
        return again


async def run(ctx: ControllerContext) -> None:
    """Serve the cluster's Services and claims until the context's stop event is set."""
    facts = ctx.cluster.load()
    services = Services(ctx.client)
    claims = shared(ctx.client, Watched("v1", "PersistentVolumeClaim"))
    volumes = shared(ctx.client, Watched("v1", "PersistentVolume"))
    network = Network(
        services,
        Balancers(ctx.client, ctx.cluster.root / "balancers.json", facts.lb_host),
        Storage(ctx.client, Path(facts.volumes), claims, volumes),
    )
    async with following([*services.informers, claims, volumes]) as changed:
        await reconcile(ctx.stop, changed, network.look)
