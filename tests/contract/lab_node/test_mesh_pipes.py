"""Outbound proxy and gateway carry bytes over real sockets; a valve cuts and stalls them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from bennu.lab.controllers.gateway import Gateway
from bennu.lab.controllers.mirror_probe import Prober, ProbeSpec
from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.outbound import Address, OutboundProxy, Route
from bennu.lab.controllers.outbound_pipe import Flow, Valve

Json = dict[str, Any]
DEADLINE = 5.0


class Mesh:
    """An echo server, exported; a gateway before it; a proxy before that."""

    def __init__(self, book: PortBook) -> None:
        self.valve = Valve()
        self.labels = {"mirror.linkerd.io/exported": "true"}
        self.endpoint = 0
        self.tunnel, self.probe = book.port("gateway"), book.port("probe")
        self.port = 0

    def service(self, namespace: str, name: str) -> Json | None:
        if (namespace, name) != ("database", "redis"):
            return None
        return {"metadata": {"name": name, "namespace": namespace, "labels": self.labels}, "spec": {"ports": [{"name": "redis", "port": 6379}]}}

    def endpoints(self, namespace: str, name: str) -> Json | None:
        return {"subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "redis", "port": self.endpoint}]}]}

    def address(self) -> Address:
        return Address("127.0.0.1", self.tunnel)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def mesh(book: PortBook, authority: str = "redis.database:6379") -> AsyncIterator[Mesh]:
    made = Mesh(book)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    made.endpoint = server.sockets[0].getsockname()[1]
    proxy = OutboundProxy(Route(authority, made.address, made.valve))
    made.port = await proxy.start(0)
    try:
        async with Gateway(made.service, made.endpoints).listening(made.tunnel, made.probe):
            yield made
    finally:
        await proxy.stop()
        server.close()


@pytest.fixture
def book(tmp_path: Any) -> PortBook:
    return PortBook(tmp_path / "ports.json")


def within(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), DEADLINE)

    asyncio.run(bounded())


async def is_reset(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_go_there_and_back(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            reader, writer = await made.open()
            writer.write(b"PING\r\n")
            assert await reader.readexactly(6) == b"PING\r\n"
            writer.close()

    within(work)


def test_a_half_closed_stream_still_brings_the_answer(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            reader, writer = await made.open()
            writer.write(b"x" * 300_000)
            writer.write_eof()
            assert len(await reader.read(-1)) == 300_000
            writer.close()

    within(work)


def test_a_cut_resets_what_runs_and_refuses_what_comes(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            reader, writer = await made.open()
            writer.write(b"a")
            await reader.readexactly(1)
            made.valve.turn(Flow.CUT)
            assert await is_reset(reader)
            later, _ = await made.open()
            assert await is_reset(later)
            made.valve.turn(Flow.OPEN)
            healed, again = await made.open()
            again.write(b"b")
            assert await healed.readexactly(1) == b"b"
            again.close()

    within(work)


def test_a_stall_holds_bytes_and_resets_nothing(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            reader, writer = await made.open()
            writer.write(b"a")
            await reader.readexactly(1)
            made.valve.turn(Flow.STALL)
            writer.write(b"b")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), 0.2)
            made.valve.turn(Flow.OPEN)
            assert await reader.readexactly(1) == b"b"
            writer.close()

    within(work)


def test_a_service_that_is_not_exported_is_not_served(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            made.labels = {}
            reader, _ = await made.open()
            assert await is_reset(reader)

    within(work)


def test_an_unknown_service_is_not_served(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book, "other.database:6379") as made:
            reader, _ = await made.open()
            assert await is_reset(reader)

    within(work)


def test_a_reader_that_stops_reading_stops_the_writer(book: PortBook) -> None:
    """No buffer without bound: far fewer bytes are taken than are offered."""

    async def work() -> None:
        async with mesh(book) as made:
            _, writer = await made.open()
            offered = 64 * 1024 * 1024
            writer.write(b"x" * offered)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.5)
            held = writer.transport.get_write_buffer_size()
            assert held > offered / 4
            writer.transport.abort()

    within(work)


def test_a_gateway_is_alive_at_its_first_answer_and_dead_after_a_run_of_failures(book: PortBook) -> None:
    async def work() -> None:
        async with mesh(book) as made:
            spec = ProbeSpec.of({"probeSpec": {"path": "/ready", "port": str(made.probe), "period": "20ms", "failureThreshold": "3"}})
            prober = Prober(made.address, spec, made.valve)
            said: asyncio.Queue[bool] = asyncio.Queue()
            stop = asyncio.Event()
            assert prober.alive is None
            probing = asyncio.create_task(prober.run(stop, said.put))
            assert await said.get()
            made.valve.turn(Flow.STALL)
            assert not await said.get()
            made.valve.turn(Flow.OPEN)
            assert await said.get()
            stop.set()
            await probing

    within(work)
