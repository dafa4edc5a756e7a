"""The least Redis client: one pipelined connection on asyncio, RESP2."""

from __future__ import annotations

import asyncio
from collections import deque

Reply = str | int | None | list["Reply"]


class RedisRefusal(Exception):
    """An error reply, e.g. ``READONLY …``."""


class Connection:
    """One connection; many callers may wait on it at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._waiting: deque[asyncio.Future[Reply]] = deque()
        self._task = asyncio.create_task(self._read())
        self.closed = False

    @classmethod
    async def opened(cls, address: tuple[str, int], password: str, username: str = "") -> Connection:
        """Connected and authenticated. Raises OSError, RedisRefusal."""
        made = cls(*await asyncio.wait_for(asyncio.open_connection(*address), 2))
        try:
            if password:
                await made.ask("AUTH", *([username] if username else []), password)
        except BaseException:
            made.close()
            raise
        return made

    async def ask(self, *words: str) -> Reply:
        """The reply to one command. Raises OSError when the connection ends, RedisRefusal for an error reply."""
        if self.closed:
            raise ConnectionError("closed")
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        parts = [word.encode() for word in words]
        self._writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return await future

    def close(self) -> None:
        """End it."""
        self.closed = True
        self._writer.close()
        self._task.cancel()
        self._fail(ConnectionError("closed"))

    async def _read(self) -> None:
        try:
            while True:
                try:
                    reply: Reply | RedisRefusal = await self._one()
                except RedisRefusal as refusal:
                    reply = refusal
                future = self._waiting.popleft()
                if future.done():
                    continue
                if isinstance(reply, RedisRefusal):
                    future.set_exception(reply)
                else:
                    future.set_result(reply)
        except (OSError, asyncio.IncompleteReadError, ValueError, IndexError):
            self.closed = True
            self._writer.close()
            self._fail(ConnectionError("connection lost"))

    async def _one(self) -> Reply:
        line = (await self._reader.readuntil(b"\r\n"))[:-2].decode()
        kind, rest = line[:1], line[1:]
        if kind == "+":
            return rest
        if kind == "-":
            raise RedisRefusal(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else (await self._reader.readexactly(int(rest) + 2))[:-2].decode(errors="replace")
        if kind == "*":
            return [await self._one() for _ in range(int(rest))]
        raise ValueError(line)

    def _fail(self, error: Exception) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)
