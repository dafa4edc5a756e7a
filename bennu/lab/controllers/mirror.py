"""The service mirror controller: one :class:`LinkMirror` for each Link, and the outbound proxies for all mirrors.

A Link that is deleted stops being followed, and its mirrors stay. ``gateway_alive`` is absent until the first verdict of the probe.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from dataclasses import dataclass
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.mirror_faults import LinkFaults
from bennu.lab.controllers.mirror_link import LinkMirror, Local
from bennu.lab.controllers.mirror_proxies import Proxies
from bennu.lab.controllers.network_faults import follow
from bennu.lab.controllers.network_informers import REFUSALS, Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.runtime import ControllerContext, Registry

Json = dict[str, Any]
_log = logging.getLogger(__name__)
NAMESPACE = "linkerd-multicluster"


@dataclass(frozen=True)
class _Following:
    """A Link that is followed. ``print`` changes with its spec and its credentials."""

    print: str
    stop: asyncio.Event
    changed: asyncio.Event
    task: asyncio.Task[None]


class GatewayAlive:
    """Linkerd's ``gateway_alive{target_cluster_name}``: 1 or 0, absent until the probe has a verdict."""

    def __init__(self, metrics: Registry) -> None:
        self._metrics = metrics

    def say(self, cluster: str, verdict: bool | None) -> None:
        """Set it; None takes it back."""
        labels = {"target_cluster_name": cluster}
        if verdict is None:
            self._metrics.drop("gateway_alive", labels)
        else:
            self._metrics.set("gateway_alive", float(verdict), labels)


class Mirrors:
    """Follows every Link of the cluster."""

    def __init__(self, local: Local, links: Informer, secrets: Informer) -> None:
        self._local = local
        self._links = links
        self._secrets = secrets
        self._following: dict[tuple[str, str], _Following] = {}

    async def look(self) -> float | None:
        """One look at all Links, and at the proxies."""
        await self._local.proxies.look()
        links = {(str(o["metadata"]["namespace"]), str(o["metadata"]["name"])): o for o in self._links}
        for key, followed in tuple(self._following.items()):
            if self._outdated(links.get(key), followed):
                await self._leave(key, gone=key not in links)
        for key, link in links.items():
            credentials = self._credentials(link)
            if key not in self._following and credentials is not None:
                self._follow(key, link, credentials)
        for followed in self._following.values():
            followed.changed.set()
        return 1.0 if len(self._following) < len(links) else None

    async def stop(self) -> None:
        """Leave every Link; mirrors stay."""
        for key in tuple(self._following):
            await self._leave(key, gone=False)
        await self._local.proxies.stop()

    def _outdated(self, link: Json | None, followed: _Following) -> bool:
        if link is None or followed.task.done():
            return True
        # Deleting the Secret alone ends nothing: the real controller has read it.
        credentials = self._credentials(link)
        return credentials is not None and followed.print != _print(link, credentials)

    def _credentials(self, link: Json) -> str | None:
        secret = self._secrets.get(str(link["metadata"]["namespace"]), str(link["spec"].get("clusterCredentialsSecret", "")))
        text = ((secret or {}).get("data") or {}).get("kubeconfig")
        return base64.b64decode(text).decode() if text else None

    def _follow(self, key: tuple[str, str], link: Json, kubeconfig: str) -> None:
        stop, changed = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self._run(link, kubeconfig, stop, changed))
        self._following[key] = _Following(_print(link, kubeconfig), stop, changed, task)

    async def _run(self, link: Json, kubeconfig: str, stop: asyncio.Event, changed: asyncio.Event) -> None:
        name = link["metadata"]["name"]
        try:
            valve = self._local.proxies.valve(str(link["spec"].get("targetClusterName", "")))
            async with ApiClient.from_kubeconfig(kubeconfig, user_agent="linkerd-service-mirror") as client:
                await LinkMirror(self._local, link, client, valve).run(stop, changed)
        except (*REFUSALS, KeyError, TypeError, ValueError) as problem:
            _log.warning("Link %s: %r", name, problem)
            await asyncio.wait({asyncio.create_task(stop.wait())}, timeout=1.0)

    async def _leave(self, key: tuple[str, str], *, gone: bool) -> None:
        followed = self._following.pop(key)
        followed.stop.set()
        followed.task.cancel()
        await asyncio.gather(followed.task, return_exceptions=True)
        if gone:
            _log.info("Link %s/%s is gone; its mirrors stay", *key)


def _print(link: Json, credentials: str) -> str:
    return json.dumps([link["metadata"]["uid"], link["spec"], credentials], sort_keys=True)


async def run(ctx: ControllerContext) -> None:
    """Mirror for the cluster's Links until the context's stop event is set."""
    client = ctx.client
    services, endpoints = shared(client, Watched("v1", "Service")), shared(client, Watched("v1", "Endpoints"))
    namespaces, secrets = shared(client, Watched("v1", "Namespace")), shared(client, Watched("v1", "Secret"))
    links = shared(client, Watched("multicluster.linkerd.io/v1alpha3", "Link"))
    proxies = Proxies(services, endpoints, PortBook(ctx.cluster.root / "mirror-ports.json"))
    mirrors = Mirrors(Local(client, services, endpoints, namespaces, proxies, GatewayAlive(ctx.metrics).say), links, secrets)
    valves = LinkFaults(ctx.cluster.load().colour, proxies)
    try:
        async with following([services, endpoints, namespaces, secrets, links]) as changed, asyncio.TaskGroup() as group:
            group.create_task(follow(ctx.cluster.lab, ctx.stop, valves.told))
            await reconcile(ctx.stop, changed, mirrors.look)
    finally:
        await mirrors.stop()
