"""The outbound proxies of a cluster: one listener for each port of each mirror Service, as long as that Service is there.

They don't depend on Links: a mirror that outlived its Link, or whose controller restarted while the other API was down, still carries traffic, as Linkerd's
does. A fault turns the valve of one importing-exporting pair for all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from bennu.lab.controllers.mirror_objects import CLUSTER_NAME, GATEWAY, MIRRORED, REMOTE_NAME
from bennu.lab.controllers.network_informers import Informer
from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.outbound import Address, OutboundProxy, Route
from bennu.lab.controllers.outbound_pipe import Flow, Valve

_log = logging.getLogger(__name__)
_Key = tuple[str, str, int]


class Proxies:
    """Keeps the listeners as the mirror Services and their Endpoints ask for them."""

    def __init__(self, services: Informer, endpoints: Informer, ports: PortBook) -> None:
        self._services = services
        self._endpoints = endpoints
        self._ports = ports
        self._running: dict[_Key, OutboundProxy] = {}
        self._valves: dict[str, Valve] = {}

    def port(self, namespace: str, mirror: str, number: int) -> int:
        """The local port that stands for port *number* of a mirror Service; the same for ever."""
        return self._ports.port(f"mirror/{namespace}/{mirror}/{number}")

    def valve(self, cluster: str) -> Valve:
        """The valve of all streams to *cluster* (its Linkerd name)."""
        return self._valves.setdefault(cluster, Valve())

    def turn(self, colour: str, flow: Flow) -> None:
        """Turn the valve towards the cluster of *colour*."""
        valve = self.valve(f"cluster-{colour}")
        if valve.flow is not flow:
            valve.turn(flow)

    async def look(self) -> None:
        """Start what is missing, stop what stands for a Service that is gone."""
        wanted = {(str(s["metadata"]["namespace"]), str(s["metadata"]["name"]), n): s for s in self._mirrors() for n in _numbers(s)}
        for key in [k for k in self._running if k not in wanted]:
            await self._running.pop(key).stop()
        for key, service in wanted.items():
            if key not in self._running and self._gateway_of(key) is not None:
                await self._start(key, service)

    async def stop(self) -> None:
        """Stop them all."""
        while self._running:
            await self._running.popitem()[1].stop()

    async def _start(self, key: _Key, service: Mapping[str, Any]) -> None:
        meta = service["metadata"]
        name, namespace = str(meta["annotations"][REMOTE_NAME]).split(".")[:2]
        proxy = OutboundProxy(Route(f"{name}.{namespace}:{key[2]}", lambda: self._gateway(key), self.valve(str(meta["labels"][CLUSTER_NAME]))))
        port = self.port(*key)
        try:
            await proxy.start(port)
        except OSError as problem:
            _log.warning("mirror %s/%s: port %d: %s", *key[:2], port, problem)
            return
        self._running[key] = proxy

    def _mirrors(self) -> Iterator[Mapping[str, Any]]:
        for service in self._services:
            meta = service["metadata"]
            if (meta.get("labels") or {}).get(MIRRORED) == "true" and REMOTE_NAME in (meta.get("annotations") or {}):
                yield service

    def _gateway_of(self, key: _Key) -> Address | None:
        endpoints = self._endpoints.get(key[0], key[1]) or {"metadata": {}}
        host, _, port = str((endpoints["metadata"].get("annotations") or {}).get(GATEWAY, "")).rpartition(":")
        return Address(host, int(port)) if host else None

    def _gateway(self, key: _Key) -> Address:
        """Where the gateway is now. Raises ConnectionRefusedError where nobody knows any more."""
        found = self._gateway_of(key)
        if found is None:
            raise ConnectionRefusedError(f"no gateway for {key[0]}/{key[1]}")
        return found


def _numbers(service: Mapping[str, Any]) -> list[int]:
    return [int(p["port"]) for p in service["spec"].get("ports") or []]
