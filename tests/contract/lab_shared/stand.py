"""The lab's shared services in a test's own directory: targets to scrape, the query API, the name server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from bennu.lab.places import ClusterFacts, LabDir, LabFacts
from bennu.lab.pods.http import Request, served
from bennu.lab.shared import name_server, prometheus_api
from bennu.lab.shared.scraper import Scraper
from tests.contract.lab_node.clusters import free_ports

TOKEN = "a-test's-token"
SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


def lab_dir(root: Path) -> LabDir:
    """A lab with its secrets, its ports, and nothing else."""
    lab = LabDir(root)
    dns, prometheus, git = free_ports(3)
    lab.save(LabFacts("test", "2026-01-01T00:00:00+00:00", {"dns": dns, "prometheus": prometheus, "git": git}))
    (root / "prometheus-token").write_text(f"{TOKEN}\n")
    (root / "tsig.key").write_text(f"lab-key:{SECRET}\n")
    return lab


def described(lab: LabDir, colour: str, *, metrics_port: int = 1, ingress_port: int = 0) -> None:
    """A cluster as its files tell it; nothing of it runs."""
    cluster = lab.cluster(colour)
    facts = ClusterFacts(colour, "prod/us-east-1", "https://127.0.0.1:1", "", "", f"uid-{colour}", 1, 1, metrics_port, f"ingress-{colour}.lab.test", "")
    cluster.save(facts)
    if ingress_port:
        (cluster.root / "ingress-port").write_text(str(ingress_port))


class Target:
    """Something that serves /metrics. ``lines`` is what it tells, ``status`` how."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lines: dict[str, float] = {}
        self.status = 200

    async def handle(self, request: Request) -> tuple[int, bytes]:
        return self.status, "".join(f"{name} {value!r}\n" for name, value in self.lines.items()).encode()


@contextlib.asynccontextmanager
async def target(port: int = 0) -> AsyncIterator[Target]:
    made = Target(port or free_ports(1)[0])
    server = await served(made.port, made.handle)
    try:
        yield made
    finally:
        server.close()


@contextlib.asynccontextmanager
async def prometheus(lab: LabDir) -> AsyncIterator[Scraper]:
    """The query API over what the scraper was told; the test calls ``once``."""
    scraper = Scraper(lab)
    runner = web.AppRunner(prometheus_api.app(lab, scraper.store), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", lab.load().ports["prometheus"]).start()
    try:
        yield scraper
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def names(lab: LabDir) -> AsyncIterator[int]:
    """The name server; its port."""
    port = lab.load().ports["dns"]
    listening = await name_server.started(lab, port)
    try:
        yield port
    finally:
        listening.close()
        # One turn of the loop: a datagram socket is closed at the next one.
        await asyncio.sleep(0)
