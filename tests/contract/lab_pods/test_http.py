"""The pods' own HTTP: keep-alive both ways, and what is no request harms nobody else."""

from __future__ import annotations

import asyncio

import pytest

from bennu.lab.pods.http import Pool, Request
from tests.contract.lab_node.clusters import free_ports, run
from tests.contract.lab_pods.stand import Backend, listening


def test_one_connection_serves_many_requests(tmp_path: object) -> None:
    async def story() -> None:
        seen = Backend(0)
        async with listening(seen.handle) as port:
            pool = Pool("a-user")
            for number in range(3):
                assert await pool.ask(("127.0.0.1", port), "GET", f"/{number}?a=b") == (200, b"answered")
            assert [len(found) for found in pool.idle.values()] == [1]
            assert seen.paths == ["/0?a=b", "/1?a=b", "/2?a=b"]

    run(story)


def test_an_idle_connection_that_its_server_closed_is_replaced() -> None:
    async def story() -> None:
        (port,) = free_ports(1)
        pool, address = Pool("a-user"), ("127.0.0.1", port)
        async with listening(Backend(0).handle, port):
            await pool.ask(address, "GET", "/")
        reader, writer = pool.idle[address][0]
        writer.close()
        await writer.wait_closed()
        async with listening(Backend(0).handle, port):
            assert (await pool.ask(address, "GET", "/"))[0] == 200
        assert reader.at_eof()

    run(story)


@pytest.mark.parametrize(
    "rubbish", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"\xff" * 100_000]
)
def test_what_is_no_request_is_hung_up_on(rubbish: bytes) -> None:
    async def story() -> None:
        async with listening(Backend(0).handle) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(rubbish)
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            assert (await Pool("a-user").ask(("127.0.0.1", port), "GET", "/"))[0] == 200

    run(story)


def test_an_answer_that_does_not_come_in_time_is_an_error_and_its_connection_is_not_used_again() -> None:
    async def never(request: Request) -> tuple[int, bytes]:
        await asyncio.Event().wait()
        return 200, b""

    async def story() -> None:
        async with listening(never) as port:
            pool = Pool("a-user")
            with pytest.raises(ConnectionError):
                await pool.ask(("127.0.0.1", port), "GET", "/", timeout=0.05)
            assert not any(pool.idle.values())
        with pytest.raises(OSError):
            await pool.ask(("127.0.0.1", port), "GET", "/")

    run(story)
