"""The probe of another cluster's gateway, as the service mirror makes it: GET the probe path once a period, believe a run of failures.

It knows nothing of Links; it says *alive* or *dead* to whoever asked, and counts. Before its first answer there is no verdict at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bennu.lab.controllers.cronjobs_schedule import seconds
from bennu.lab.controllers.outbound import Address
from bennu.lab.controllers.outbound_pipe import Flow, Valve


@dataclass(frozen=True)
class ProbeSpec:
    """A Link's ``probeSpec``: ``period`` and ``timeout`` in seconds, ``threshold`` failures in a row make a gateway dead."""

    path: str
    port: int
    period: float
    timeout: float
    threshold: int

    @classmethod
    def of(cls, link_spec: Mapping[str, Any]) -> ProbeSpec:
        """From a Link's spec; raises ValueError where a number or a duration isn't one. Defaults are the CRD's and the chart's."""
        probe = link_spec.get("probeSpec") or {}
        return cls(
            path=str(probe.get("path", "/ready")),
            port=int(probe.get("port", 4191)),
            period=seconds(str(probe.get("period", "3s"))),
            timeout=seconds(str(probe.get("timeout", "30s"))),
            threshold=max(1, int(probe.get("failureThreshold", 3))),
        )


class Prober:
    """Probes one gateway until *stop* is set; tells *changed* of the first verdict and of each change."""

    def __init__(self, address: Callable[[], Address], spec: ProbeSpec, valve: Valve) -> None:
        self._address = address
        self._spec = spec
        self._valve = valve
        self._failures = 0
        self.alive: bool | None = None

    async def run(self, stop: asyncio.Event, changed: Callable[[bool], Awaitable[None]]) -> None:
        """One probe a period, for as long as *stop* isn't set."""
        while not stop.is_set():
            await self._judge(await self._probe(), changed)
            try:
                await asyncio.wait_for(stop.wait(), self._spec.period)
            except TimeoutError:
                continue

    async def _judge(self, answered: bool, changed: Callable[[bool], Awaitable[None]]) -> None:
        self._failures = 0 if answered else self._failures + 1
        verdict = True if answered else (False if self._failures >= self._spec.threshold else self.alive)
        if verdict is not None and verdict != self.alive:
            self.alive = verdict
            await changed(verdict)

    async def _probe(self) -> bool:
        # A probe that hangs is one failure a period: the threshold is counted in periods (9.8 s for 3 x 3 s, measured).
        try:
            return await asyncio.wait_for(self._ask(), min(self._spec.timeout, self._spec.period))
        except (OSError, TimeoutError, ValueError):
            return False

    async def _ask(self) -> bool:
        if self._valve.flow is not Flow.OPEN:
            await self._valve.passing()
        gateway = self._address()
        reader, writer = await asyncio.open_connection(gateway.host, self._spec.port)
        try:
            writer.write(f"GET {self._spec.path} HTTP/1.1\r\nHost: {gateway.host}\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
            status = (await reader.readline()).split()
            await self._valve.passing()
            return len(status) > 1 and status[1] == b"200"
        finally:
            writer.close()
