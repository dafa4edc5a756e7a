"""The cluster's own gateway: what other clusters' mirrors reach it through, and the probe port that says it is there.

A connection's first line names ``<service>.<namespace>:<port>``; only Services labelled as exported are served, at a ready endpoint. It stands for
linkerd-gateway without mTLS and without policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from bennu.lab.controllers.network_informers import Watched, following, shared
from bennu.lab.controllers.outbound import LISTEN_BACKLOG, Address
from bennu.lab.controllers.outbound_pipe import Stream, Valve, join
from bennu.lab.controllers.runtime import ControllerContext

EXPORTED = "mirror.linkerd.io/exported"
Lookup = Callable[[str, str], Mapping[str, Any] | None]
_FIRST_LINE_TIMEOUT = 5.0
_READY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Refused(Exception):
    """Nothing is served under that authority; its text says why, for the log."""


def parse_authority(line: bytes) -> tuple[str, str, int]:
    """(service, namespace, port) of ``redis.database:6379``. Raises Refused."""
    try:
        name, _, port = line.decode("ascii").strip().rpartition(":")
        service, _, namespace = name.partition(".")
        if not (service and namespace):
            raise ValueError
        return service, namespace, int(port)
    except ValueError:
        raise Refused(f"{line[:80]!r} is not <service>.<namespace>:<port>") from None


def ready_addresses(service: Mapping[str, Any], endpoints: Mapping[str, Any] | None, port: int) -> Iterator[Address]:
    """Where *port* of *service* is served now. Raises Refused if the Service isn't exported or hasn't the port."""
    meta = service["metadata"]
    if (meta.get("labels") or {}).get(EXPORTED) != "true":
        raise Refused(f"{meta['namespace']}/{meta['name']} is not exported")
    names = [p.get("name") for p in service["spec"].get("ports") or [] if int(p["port"]) == port]
    if not names:
        raise Refused(f"{meta['namespace']}/{meta['name']} has no port {port}")
    for subset in (endpoints or {}).get("subsets") or []:
        for real in subset.get("ports") or []:
            if real.get("name") == names[0]:
                for address in subset.get("addresses") or []:
                    yield Address(str(address["ip"]), int(real["port"]))


class Gateway:
    """Serves connections from two looks into the cluster: ``service(namespace, name)`` and ``endpoints(namespace, name)``."""

    def __init__(self, service: Lookup, endpoints: Lookup) -> None:
        self._service = service
        self._endpoints = endpoints
        self._turn = itertools.count()
        self._open = Valve()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self, port: int, probe_port: int) -> AsyncIterator[None]:
        """Both ports are open while the context is; leaving it resets every connection."""
        tunnel = await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=LISTEN_BACKLOG)
        probe = await asyncio.start_server(_answer_probe, "127.0.0.1", probe_port)
        try:
            yield
        finally:
            tunnel.close()
            probe.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(Stream(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Stream) -> None:
        try:
            line = await asyncio.wait_for(client.reader.readline(), _FIRST_LINE_TIMEOUT)
            backend = await self._dial(self._pick(line))
            client.writer.write(b"ok\n")
            await join(client, backend, self._open)
        except (Refused, OSError, TimeoutError, ValueError):
            client.reset()
        except asyncio.CancelledError:
            client.reset()
            raise

    def _pick(self, line: bytes) -> Address:
        name, namespace, port = parse_authority(line)
        service = self._service(namespace, name)
        if service is None:
            raise Refused(f"there is no Service {namespace}/{name}")
        addresses = list(ready_addresses(service, self._endpoints(namespace, name), port))
        if not addresses:
            raise Refused(f"{namespace}/{name} has no ready endpoint")
        return addresses[next(self._turn) % len(addresses)]

    @staticmethod
    async def _dial(address: Address) -> Stream:
        return Stream(*await asyncio.open_connection(address.host, address.port))


async def _answer_probe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _FIRST_LINE_TIMEOUT)
        writer.write(_READY)
        await writer.drain()
    writer.close()


async def run(ctx: ControllerContext) -> None:
    """Serve the cluster's gateway until the context's stop event is set."""
    facts = ctx.cluster.load()
    services = shared(ctx.client, Watched("v1", "Service"))
    endpoints = shared(ctx.client, Watched("v1", "Endpoints"))
    async with following([services, endpoints]), Gateway(services.get, endpoints.get).listening(facts.gateway_port, facts.gateway_probe_port):
        await ctx.stop.wait()
