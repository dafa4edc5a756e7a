"""One Link: exported Services of another cluster become mirror Services here, for as long as the Link is there.

It behaves as Linkerd's service mirror was measured to (``facts`` of the project): the gateway is believed alive until a run of probes failed, a dead one moves
addresses to notReadyAddresses and leaves the Link's status alone, an unreachable API changes nothing, and ending leaves every mirror where it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.mirror_objects import (
    CLUSTER_NAME,
    MIRRORED,
    REMOTE_VERSION,
    Outcome,
    Remote,
    matches,
    mirror_endpoints,
    mirror_service,
    refers,
    with_outcome,
)
from bennu.lab.controllers.mirror_probe import Prober, ProbeSpec
from bennu.lab.controllers.mirror_proxies import Proxies
from bennu.lab.controllers.network_informers import REFUSALS, Informer, Watched, reconcile
from bennu.lab.controllers.outbound import Address
from bennu.lab.controllers.outbound_pipe import Valve
from bennu.lab.controllers.workloads_jobs import stamp

Json = dict[str, Any]
_log = logging.getLogger(__name__)
_MANAGER = "linkerd-service-mirror"
REPAIR = 3.0
"""Seconds between two looks by itself (the real one's repair period is a minute)."""


@dataclass(frozen=True)
class Local:
    """The importing side: its client, and what it knows of its own cluster."""

    client: ApiClient
    services: Informer
    endpoints: Informer
    namespaces: Informer
    proxies: Proxies
    gauge: Callable[[str, bool | None], None]


class LinkMirror:
    """Mirrors what one Link asks for, from a client of the other cluster's API."""

    def __init__(self, local: Local, link: Json, remote_client: ApiClient, valve: Valve) -> None:
        self._local = local
        self._link = link
        self._remote = Remote.of(link)
        self._exports = Informer(remote_client, Watched("v1", "Service"))
        self._prober = Prober(self._gateway, ProbeSpec.of(link["spec"]), valve)
        self._status: list[Json] = list((link.get("status") or {}).get("mirrorServices") or [])
        self._quiet = True

    async def run(self, stop: asyncio.Event, changed: asyncio.Event) -> None:
        """Mirror and probe until *stop*; *changed* is set by whoever sees the local side change."""
        self._exports.join(changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._prober.run(stop, self._turned))
                # With the other API down this waits, and the probe goes on.
                await self._exports.synced.wait()
                await reconcile(stop, changed, self._look)
        finally:
            self._local.gauge(self._remote.cluster, None)
            await self._exports.leave(changed)

    def _gateway(self) -> Address:
        host, _, port = self._remote.gateway.rpartition(":")
        return Address(host, int(port))

    @property
    def _alive(self) -> bool:
        """Linkerd starts out believing in the gateway: never probed counts as alive here (and as unknown in the metric)."""
        return self._prober.alive is not False

    async def _turned(self, alive: bool) -> None:
        self._local.gauge(self._remote.cluster, alive)
        for endpoints in self._ours(self._local.endpoints):
            service = self._local.services.get(endpoints["metadata"]["namespace"], endpoints["metadata"]["name"])
            if service is not None:
                await self._write_endpoints(service)

    async def _look(self) -> float | None:
        selector = self._link["spec"].get("selector")
        wanted = {
            (str(s["metadata"]["namespace"]), self._remote.mirror_name(str(s["metadata"]["name"]))): s
            for s in self._exports
            if matches(selector, s["metadata"].get("labels") or {})
        }
        for mirror in self._ours(self._local.services):
            key = (str(mirror["metadata"]["namespace"]), str(mirror["metadata"]["name"]))
            if key not in wanted:
                await self._remove(mirror)
        for exported in wanted.values():
            await self._report(await self._mirror(exported))
        await self._forget({(str(s["metadata"]["namespace"]), str(s["metadata"]["name"])) for s in wanted.values()})
        self._quiet = False
        return REPAIR

    async def _mirror(self, exported: Json) -> Outcome | None:
        """Make or renew one mirror; None where there was nothing to do and nothing to say."""
        meta = exported["metadata"]
        namespace, name = str(meta["namespace"]), str(meta["name"])
        if not exported["spec"].get("ports"):
            return Outcome(namespace, name, "InvalidService", "the service has no port")
        if self._local.namespaces.get("", namespace) is None:
            return Outcome(namespace, name, "MissingNamespace", f"namespace {namespace} does not exist in the local cluster")
        try:
            return await self._renew(exported)
        except REFUSALS as problem:
            return Outcome(namespace, name, "Error", str(problem))

    async def _renew(self, exported: Json) -> Outcome | None:
        wanted = mirror_service(self._remote, exported)
        meta = wanted["metadata"]
        current = self._local.services.get(meta["namespace"], meta["name"])
        version = ((current or {}).get("metadata", {}).get("annotations") or {}).get(REMOTE_VERSION)
        fresh = current is None or version != meta["annotations"][REMOTE_VERSION]
        if fresh:
            self._local.services.note(await self._local.client.apply(wanted, _MANAGER))
        await self._write_endpoints(wanted)
        # A Link made again over existing mirrors has no status for a while: it is written when something is done.
        if self._quiet and not fresh and not self._status:
            return None
        return Outcome(str(exported["metadata"]["namespace"]), str(exported["metadata"]["name"]), "Mirrored")

    async def _write_endpoints(self, service: Json) -> None:
        meta = service["metadata"]
        numbers = [int(p["port"]) for p in service["spec"].get("ports") or []]
        ports = {n: self._local.proxies.port(meta["namespace"], meta["name"], n) for n in numbers}
        wanted = mirror_endpoints(self._remote, service, ports, alive=self._alive)
        current = self._local.endpoints.get(meta["namespace"], meta["name"])
        if current is None or _differs(current, wanted):
            self._local.endpoints.note(await self._local.client.apply(wanted, _MANAGER))

    async def _remove(self, mirror: Json) -> None:
        meta = mirror["metadata"]
        await self._local.client.delete(mirror)
        endpoints = self._local.endpoints.get(meta["namespace"], meta["name"])
        if endpoints is not None:
            await self._local.client.delete(endpoints)

    def _ours(self, informer: Informer) -> list[Json]:
        def is_ours(obj: Mapping[str, Any]) -> bool:
            labels = obj["metadata"].get("labels") or {}
            return labels.get(CLUSTER_NAME) == self._remote.cluster and labels.get(MIRRORED) == "true"

        return [o for o in informer if is_ours(o)]

    async def _report(self, outcome: Outcome | None) -> None:
        if outcome is None:
            return
        await self._write_status(with_outcome(self._status, self._remote, outcome, stamp(datetime.now(UTC))))

    async def _forget(self, exported: set[tuple[str, str]]) -> None:
        """Drop the status lines of what is exported no more."""
        kept = [e for e in self._status if any(refers(e, *key) for key in exported)]
        await self._write_status(kept)

    async def _write_status(self, entries: list[Json]) -> None:
        if entries != self._status:
            await self._local.client.patch_status(self._link, {"mirrorServices": entries})
            self._status = entries


def _differs(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    annotations = current["metadata"].get("annotations") or {}
    stale = any(annotations.get(k) != v for k, v in wanted["metadata"]["annotations"].items())
    return stale or (current.get("subsets") or []) != wanted["subsets"]
