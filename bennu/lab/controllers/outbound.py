"""The outbound proxy of the lab's mesh: a local port that stands for one port of an exported Service of another cluster.

A mirror Service's Endpoints lead here. Each connection is dialled through to the other cluster's gateway, whose protocol stands for mTLS and ALPN: one line
``<service>.<namespace>:<port>``, answered with ``ok``, then raw bytes. It authenticates nobody and encrypts nothing: that is Linkerd's, not the lab's to prove.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bennu.lab.controllers.outbound_pipe import Flow, Stream, Valve, join

DIAL_TIMEOUT = 5.0
"""Seconds until a gateway that doesn't answer is given up."""

LISTEN_BACKLOG = 128


@dataclass(frozen=True)
class Address:
    """A TCP address."""

    host: str
    port: int


@dataclass(frozen=True)
class Route:
    """What a proxy's connections are for: ``authority`` is the gateway's first line, ``gateway()`` where it is at the moment."""

    authority: str
    gateway: Callable[[], Address]
    valve: Valve


class OutboundProxy:
    """One listener. ``start`` binds it, ``stop`` ends it and every connection through it."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int) -> int:
        """Listen on 127.0.0.1:*port* (0: any free one); returns the port. Raises OSError where it is taken."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=LISTEN_BACKLOG)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener and reset what runs."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(Stream(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Stream) -> None:
        valve = self._route.valve
        try:
            if valve.flow is Flow.CUT:
                raise ConnectionResetError("the link is cut")
            with valve.holding(client):
                await valve.passing()
                gateway = await asyncio.wait_for(self._dial(), DIAL_TIMEOUT)
            await join(client, gateway, valve)
        except (OSError, TimeoutError, ValueError):
            client.reset()
        except asyncio.CancelledError:
            client.reset()
            raise

    async def _dial(self) -> Stream:
        address = self._route.gateway()
        reader, writer = await asyncio.open_connection(address.host, address.port)
        stream = Stream(reader, writer)
        try:
            stream.prepare()
            writer.write(f"{self._route.authority}\n".encode())
            if await reader.readline() != b"ok\n":
                raise ConnectionResetError(f"the gateway does not serve {self._route.authority}")
        except BaseException:
            stream.reset()
            raise
        return stream
