"""The least HTTP/1.1: a keep-alive server and a pooled client, on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Handler = Callable[["Request"], Awaitable[tuple[int, bytes]]]
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}


@dataclass(frozen=True)
class Request:
    """What came in. ``path`` with its query."""

    method: str
    path: str
    agent: str

    def parameter(self, name: str) -> str:
        """A query parameter, empty where there is none."""
        query = self.path.partition("?")[2]
        return next((value for key, _, value in (pair.partition("=") for pair in query.split("&")) if key == name), "")


async def served(port: int, handler: Handler) -> asyncio.Server:
    """Listen on 127.0.0.1."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, asyncio.LimitOverrunError):
                while await _exchanged(reader, writer, handler):
                    pass
        finally:
            writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", port)


async def _exchanged(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> bool:
    """One request and its answer; whether the connection stays open. Raises ValueError for what is no request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
    first, *lines = head.split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines if ": " in line)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ", 2)
    status, body = await handler(Request(method, path, headers.get("user-agent", "unknown")))
    writer.write(f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return headers.get("connection", "").lower() != "close"


@dataclass
class Pool:
    """Keep-alive connections by address."""

    agent: str
    idle: dict[tuple[str, int], list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = field(default_factory=dict)

    async def ask(self, address: tuple[str, int], method: str, path: str, timeout: float = 5.0) -> tuple[int, bytes]:
        """(status, body). Raises OSError (also for a timeout). An idle connection that died is replaced once, before anything was answered on it."""
        while self.idle.get(address):
            reader, writer = self.idle[address].pop()
            if reader.at_eof() or writer.is_closing():
                writer.close()
                continue
            return await self._exchanged(address, (reader, writer), method, path, timeout)
        fresh = await asyncio.wait_for(asyncio.open_connection(*address), 2)
        return await self._exchanged(address, fresh, method, path, timeout)

    async def _exchanged(
        self, address: tuple[str, int], pair: tuple[asyncio.StreamReader, asyncio.StreamWriter], method: str, path: str, timeout: float
    ) -> tuple[int, bytes]:
        reader, writer = pair
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: {address[0]}\r\nUser-Agent: {self.agent}\r\nContent-Length: 0\r\n\r\n".encode())
            async with asyncio.timeout(timeout):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(line.split(": ")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length: "))
                body = await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, StopIteration, ValueError) as error:
            writer.close()
            raise ConnectionError(str(error) or type(error).__name__) from error
        except BaseException:
            writer.close()
            raise
        self.idle.setdefault(address, []).append((reader, writer))
        return int(head.split(" ", 2)[1]), body
