"""The payment service acknowledges what a Redis said OK to, and nothing else, whatever the pointer and the servers do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bennu.lab.places import LabDir
from bennu.lab.pods.http import Pool
from tests.contract.lab_node.clusters import LabCluster, eventually, free_ports, run
from tests.contract.lab_pods.programs import running
from tests.contract.lab_pods.stand import NAMESPACE, endpoint, quiet_cluster
from tests.contract.redis.servers import RealHands, program

PASSWORD = "open-sesame"
HOST = "redis.database.svc.cluster.local"
OTHER = "redis-cluster-green.database.svc.cluster.local"


@dataclass
class Stand:
    """The service, and the cluster whose pointer it follows."""

    cluster: LabCluster
    port: int
    pool: Pool = field(default_factory=lambda: Pool("a-user"))

    async def points(self, write: str = HOST, *, maintenance: bool = False) -> None:
        data = {"REDIS_READ_HOST": HOST, "REDIS_WRITE_HOST": write, "MAINTENANCE_MODE": str(maintenance).lower()}
        meta = {"name": "global-traffic-state", "namespace": NAMESPACE}
        await self.cluster.client.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}, "test")

    async def located(self, redis: int, *, service: str = "redis") -> None:
        await endpoint(self.cluster, service, redis, namespace="database", port_name="redis")

    async def pay(self, identity: str) -> int:
        return (await self.pool.ask(("127.0.0.1", self.port), "POST", f"/pay?id={identity}", timeout=20))[0]

    async def held(self, name: str) -> tuple[str, asyncio.Task[int]]:
        """A payment (its id, and itself) that was not answered while two dozen other requests were: what is refused to it takes a moment to reach everybody."""
        for number in itertools.count():
            payment = asyncio.create_task(self.pay(f"{name}-{number}"))
            for _ in range(24):
                await self.asked("/ready")
            if not payment.done():
                return f"{name}-{number}", payment
        raise AssertionError

    async def asked(self, path: str) -> tuple[int, bytes]:
        return await self.pool.ask(("127.0.0.1", self.port), "GET", path, timeout=20)

    async def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return (await self.asked("/ready"))[0] == 200
        return False


@contextlib.asynccontextmanager
async def stand(root: Path, *, pointing: bool = True) -> AsyncIterator[Stand]:
    (port,) = free_ports(1)
    async with (
        quiet_cluster(root, NAMESPACE, "database") as cluster,
        running("payment", cluster.directory.root, PORT_8080=str(port), REDIS_PASSWORD=PASSWORD),
    ):
        made = Stand(cluster, port)
        if pointing:
            await made.points()
            await eventually(made.ready)
        yield made


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[RealHands]:
    """A real server."""
    binary = program("valkey")
    assert binary is not None
    made = RealHands(binary, folder, PASSWORD)
    try:
        yield made
    finally:
        made.stop()


def paid(redis: RealHands) -> set[str]:
    found = redis.ask("KEYS", "pay:*")
    assert isinstance(found, list)
    return {str(key).removeprefix("pay:") for key in found}


class Scripted:
    """Speaks RESP; answers each SET as its script says, and OK from then on. ``seen`` holds the ids that it was sent."""

    def __init__(self, *script: bytes) -> None:
        self.script = list(script)
        self.seen: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                words = [await self._word(reader) for _ in range(int((await reader.readuntil(b"\r\n"))[1:]))]
                reply = b"+OK\r\n"
                if words[0] == "SET":
                    self.seen.append(words[2])
                    reply = self.script.pop(0) if self.script else reply
                writer.write(reply)
                await writer.drain()
                if not reply.endswith(b"\r\n"):
                    break
        writer.close()

    @staticmethod
    async def _word(reader: asyncio.StreamReader) -> str:
        size = int((await reader.readuntil(b"\r\n"))[1:])
        return (await reader.readexactly(size + 2))[:-2].decode()


def test_what_is_acknowledged_is_in_redis(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                assert [await here.pay(str(number)) for number in range(20)] == [200] * 20
                assert paid(redis) == {str(number) for number in range(20)}
                assert await here.asked("/balance") == (200, b"20")
                assert await here.pay("") == 400

    run(story)


def test_without_a_pointer_it_is_not_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path, pointing=False) as here:

            async def answers() -> bool:
                with contextlib.suppress(OSError):
                    return (await here.asked("/ready"))[0] == 503
                return False

            await eventually(answers)
            await here.points()
            await eventually(here.ready)

    run(story)


def test_in_maintenance_a_payment_is_held_and_goes_on_with_the_pointer(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                assert await here.pay("before") == 200
                await here.points(maintenance=True)
                identity, payment = await here.held("held")
                assert identity not in paid(redis)
                await here.points()
                assert await payment == 200
                assert identity in paid(redis)

    run(story)


def test_a_server_that_refuses_writes_is_asked_again_until_it_takes_them(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                assert await here.pay("before") == 200
                redis.ask("REPLICAOF", "127.0.0.1", 1)
                identity, payment = await here.held("held")
                assert paid(redis) == {"before"}
                redis.ask("REPLICAOF", "NO", "ONE")
                assert await payment == 200
                assert paid(redis) == {"before", identity}

    run(story)


def test_a_pause_of_writes_is_waited_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                assert await here.pay("before") == 200
                redis.ask("CLIENT", "PAUSE", 60_000, "WRITE")
                identity, payment = await here.held("held")
                assert paid(redis) == {"before"}
                redis.ask("CLIENT", "UNPAUSE")
                assert await payment == 200
                assert paid(redis) == {"before", identity}

    run(story)


def test_a_payment_that_nobody_takes_is_given_up_without_an_acknowledgement(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            assert await here.pay("nowhere") == 503
            assert (await here.asked("/balance"))[0] == 503

    run(story)


def test_writes_move_with_the_pointer_and_none_is_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "source") as source, valkey(tmp_path / "target") as target:
                await here.located(source.address.port)
                await here.located(target.address.port, service="redis-cluster-green")
                acknowledged: list[str] = []

                async def user(name: str) -> None:
                    for number in range(400):
                        assert await here.pay(f"{name}-{number}") == 200
                        acknowledged.append(f"{name}-{number}")

                users = [asyncio.create_task(user(name)) for name in "abcd"]
                await eventually(lambda: _said(len(acknowledged) > 100))
                source.ask("REPLICAOF", "127.0.0.1", 1)
                await here.points(OTHER)
                await asyncio.gather(*users)
                assert paid(target)
                assert set(acknowledged) == paid(source) | paid(target)

    run(story)


def test_what_was_acknowledged_survives_a_server_that_is_killed(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                acknowledged: list[str] = []

                async def user(name: str) -> None:
                    for number in range(200):
                        if await here.pay(f"{name}-{number}") == 200:
                            acknowledged.append(f"{name}-{number}")

                users = [asyncio.create_task(user(name)) for name in "abcd"]
                await eventually(lambda: _said(len(acknowledged) > 100))
                redis.crash()
                await asyncio.gather(*users)
                assert set(acknowledged) <= paid(redis)
                assert len(acknowledged) == 800

    run(story)


@pytest.mark.parametrize(
    "reply",
    [b"-READONLY You can't write against a read only replica.\r\n", b"-OOM command not allowed\r\n", b"+QUEUED\r\n", b":1\r\n", b"$-1\r\n", b"*1\r\n:1\r\n"],
)
def test_nothing_but_ok_is_an_acknowledgement(tmp_path: Path, reply: bytes) -> None:
    async def story() -> None:
        redis = Scripted(reply, reply)
        listener = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
        async with listener, stand(tmp_path) as here:
            await here.located(listener.sockets[0].getsockname()[1])
            assert await here.pay("once") == 200
            assert redis.seen == ["once"] * 3

    run(story)


@pytest.mark.parametrize("reply", [b"", b"+O", b"$5\r\nOK"], ids=["no word", "half a word", "half a string"])
def test_a_connection_that_ends_in_an_answer_is_no_acknowledgement(tmp_path: Path, reply: bytes) -> None:
    async def story() -> None:
        redis = Scripted(reply)
        listener = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
        async with listener, stand(tmp_path) as here:
            await here.located(listener.sockets[0].getsockname()[1])
            assert await here.pay("once") == 200
            assert redis.seen == ["once"] * 2

    run(story)


def test_broken_as_asked_it_fails_some_requests_of_its_own_cluster_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with stand(tmp_path) as here:
            with valkey(tmp_path / "redis") as redis:
                await here.located(redis.address.port)
                lab = LabDir(tmp_path)
                lab.set_fault("payment:green", "errors")
                assert {await here.pay(f"g{number}") for number in range(50)} == {200}
                lab.set_fault("payment:blue", "errors")
                # One in five: none of a hundred would be one chance in five billion.
                answers = [await here.pay(f"b{number}") for number in range(100)]
                assert set(answers) == {200, 500}
                assert {f"b{number}" for number, status in enumerate(answers) if status == 200} <= paid(redis)

    run(story)


async def _said(value: bool) -> bool:
    return value
