"""Two TCP streams joined, and the valve that a fault turns.

What flows is never looked at. No buffer grows without bound: a side that doesn't take its bytes makes the other side's reading stop. The end of one direction is
handed on (half-close) while the other goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 65536
_RESET = struct.pack("ii", 1, 0)


class Flow(enum.StrEnum):
    """What a valve lets through: all, nothing and no reset either, or resets."""

    OPEN = "open"
    STALL = "stall"
    CUT = "cut"


@dataclass(frozen=True)
class Stream:
    """One TCP connection as asyncio hands it out."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def prepare(self) -> None:
        """No Nagle delay: a proxy that holds small packets back would be measured as the mesh's latency."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self) -> None:
        """End at once with a RST, as a connection that lost its path does."""
        sock = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()


class Valve:
    """Sits in every stream of one direction of a link; a fault turns it, for the streams that exist as for new ones."""

    def __init__(self) -> None:
        self._flow = Flow.OPEN
        self._passing = asyncio.Event()
        self._passing.set()
        self._streams: set[Stream] = set()

    @property
    def flow(self) -> Flow:
        """How it stands."""
        return self._flow

    def turn(self, flow: Flow) -> None:
        """CUT resets every stream that runs through it; STALL holds their bytes until it is turned again."""
        self._flow = flow
        if flow is Flow.STALL:
            self._passing.clear()
            return
        if flow is Flow.CUT:
            for stream in tuple(self._streams):
                stream.reset()
        # Also when cut: whoever waited through a stall must wake up to see it.
        self._passing.set()

    async def passing(self) -> None:
        """Wait until bytes may flow. Raises ConnectionResetError when cut."""
        await self._passing.wait()
        if self._flow is Flow.CUT:
            raise ConnectionResetError("the link is cut")

    @contextlib.contextmanager
    def holding(self, *streams: Stream) -> Iterator[None]:
        """While the context is open, cutting the valve resets *streams*."""
        self._streams.update(streams)
        try:
            yield
        finally:
            self._streams.difference_update(streams)


async def join(one: Stream, other: Stream, valve: Valve) -> None:
    """Carry bytes both ways until both directions ended; an error in either ends both with a reset."""
    one.prepare()
    other.prepare()
    with valve.holding(one, other):
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_carry(one.reader, other.writer, valve))
                both.create_task(_carry(other.reader, one.writer, valve))
        except* (OSError, asyncio.IncompleteReadError):
            one.reset()
            other.reset()
        finally:
            for stream in (one, other):
                stream.writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, valve: Valve) -> None:
    while data := await reader.read(_CHUNK):
        await valve.passing()
        writer.write(data)
        await writer.drain()
    await valve.passing()
    with contextlib.suppress(OSError):
        writer.write_eof()
