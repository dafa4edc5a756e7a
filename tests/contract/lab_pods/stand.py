"""A cluster whose API serves and where nothing else runs, so that a test says where every endpoint is; and users to send requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.pods.http import Handler, Pool, Request, served
from tests.contract.lab_node.clusters import LabCluster, free_ports, lab_cluster

Json = dict[str, Any]
NAMESPACE = "payments"


class Idle:
    """A controller that controls nothing."""

    @staticmethod
    async def run(context: ControllerContext) -> None:
        await context.stop.wait()


@contextlib.asynccontextmanager
async def quiet_cluster(root: Path, *namespaces: str) -> AsyncIterator[LabCluster]:
    async with lab_cluster(root, "blue", only=[Idle]) as cluster:
        for namespace in namespaces or (NAMESPACE,):
            await cluster.namespace(namespace)
        yield cluster


class Backend:
    """A service that counts what it gets, and answers ``status``."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.status = 200
        self.paths: list[str] = []

    async def handle(self, request: Request) -> tuple[int, bytes]:
        self.paths.append(request.path)
        return self.status, b"answered"


@contextlib.asynccontextmanager
async def listening(handler: Handler, port: int = 0) -> AsyncIterator[int]:
    where = port or free_ports(1)[0]
    server = await served(where, handler)
    try:
        yield where
    finally:
        server.close()


async def endpoint(cluster: LabCluster, service: str, *ports: int, namespace: str = NAMESPACE, port_name: str = "http") -> None:
    """Where *service* is served: one ready address for each of *ports*; none leaves it without any."""
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": port_name, "port": port}]} for port in ports]
    meta = {"name": service, "namespace": namespace}
    await cluster.client.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets}, "test")


async def sent(port: int, paths: Iterable[str], *, users: int = 8, method: str = "GET") -> Counter[int]:
    """Send a request for each of *paths*, by so many users at once; answers by status."""
    found: Counter[int] = Counter()
    queue = iter(paths)

    async def user(number: int) -> None:
        pool = Pool(f"user-{number}")
        for path in queue:
            status, _ = await pool.ask(("127.0.0.1", port), method, path)
            found[status] += 1

    await asyncio.gather(*(user(number) for number in range(users)))
    return found
