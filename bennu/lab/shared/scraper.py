"""Scrapes the clusters: their controllers (``gateway_alive``) and their ingress pods (what the traffic really did).

As Prometheus: every sample carries its target's ``instance``; what a target does not tell any more ends, and so does all of a target that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bennu.lab.places import LabDir
from bennu.lab.shared.samples import Labels, Store, parsed

PERIOD = 0.25
"""Seconds between two scrapes: an inherent period."""
_TIMEOUT = 1.0


@dataclass(frozen=True)
class Target:
    """Something that serves ``/metrics`` on loopback."""

    cluster: str
    port: int


class Scraper:
    """Fills a store until it is stopped."""

    def __init__(self, lab: LabDir) -> None:
        self._lab = lab
        self._told: dict[Target, set[tuple[str, Labels]]] = {}
        self.store = Store()

    async def run(self, stop: asyncio.Event) -> None:
        """Scrape every target once a period."""
        while not stop.is_set():
            await self.once()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PERIOD)

    async def once(self) -> None:
        """Scrape every target."""
        targets = set(self._targets())
        for gone in self._told.keys() - targets:
            self._ended(gone, set())
            del self._told[gone]
        await asyncio.gather(*(self._scraped(target) for target in targets))
        self.store.forget(time.time())

    def _targets(self) -> Iterator[Target]:
        for cluster in self._lab.clusters():
            # A cluster that is being removed: its files go one by one.
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                facts = cluster.load()
                yield Target(facts.colour, facts.metrics_port)
                yield Target(facts.colour, int((cluster.root / "ingress-metrics-port").read_text(encoding="utf-8")))

    async def _scraped(self, target: Target) -> None:
        try:
            text = await asyncio.wait_for(_got(target.port), _TIMEOUT)
        except (OSError, TimeoutError):
            text = ""
        now, told = time.time(), set()
        for name, labels, value in parsed(text, {"cluster": target.cluster, "instance": f"127.0.0.1:{target.port}"}):
            self.store.add(name, labels, now, value)
            told.add((name, labels))
        self._ended(target, told)
        self._told[target] = told

    def _ended(self, target: Target, told: set[tuple[str, Labels]]) -> None:
        for name, labels in self._told.get(target, set()) - told:
            self.store.end(name, labels, time.time())


async def _got(port: int) -> str:
    """The body; empty for anything but 200. Raises OSError."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    return body.decode(errors="replace") if b" 200 " in head.partition(b"\r\n")[0] else ""
