"""The consumer, the settlement and the seed: real processes, judged by what they leave behind."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

from bennu.lab import ledgers
from bennu.lab.pods.resp import Connection
from tests.contract.lab_node.clusters import eventually, free_ports, run
from tests.contract.lab_pods.programs import lines, ran, running
from tests.contract.redis.servers import program

PASSWORD = 'it\'s "secret" \\ #1'


def cluster(lab: Path, colour: str) -> Path:
    root = lab / "clusters" / colour
    root.mkdir(parents=True)
    return root


def test_a_consumer_writes_down_when_it_ran_where(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = tmp_path / "ledgers" / "consumer.jsonl"
        async with running("consumer", cluster(tmp_path, "blue")) as consumer:
            told = await lines(ledger, 3)
            assert [line["event"] for line in told[:3]] == ["start", "tick", "tick"]
            assert {(line["cluster"], line["pid"]) for line in told} == {("blue", consumer.pid)}
            consumer.send_signal(signal.SIGTERM)
            assert await consumer.wait() == 0
        assert ledgers.read(ledger)[-1]["event"] == "stop"

    run(story)


def test_two_consumers_at_once_are_seen_and_one_after_the_other_is_not(tmp_path: Path) -> None:
    async def story() -> None:
        ledger = tmp_path / "ledgers" / "consumer.jsonl"
        blue, green = cluster(tmp_path, "blue"), cluster(tmp_path, "green")
        async with running("consumer", blue):
            await lines(ledger, 2)
        async with running("consumer", green):
            await lines(ledger, 5)
            assert ledgers.overlaps(ledgers.read(ledger)) == []
            async with running("consumer", blue):
                # Both have ticked since the second one began.
                begun = len(ledgers.read(ledger))
                await lines(ledger, begun + 4)
        ((first, second, seconds),) = ledgers.overlaps(ledgers.read(ledger))
        assert (first, second) == ("green", "blue")
        assert seconds > 0

    run(story)


def test_a_settlement_says_when_it_began_and_ended(tmp_path: Path) -> None:
    async def story() -> None:
        assert await ran("settlement", cluster(tmp_path, "blue")) == 0
        told = ledgers.read(tmp_path / "ledgers" / "cron.jsonl")
        assert [(line["event"], line["job"]) for line in told] == [("start", "a-pod"), ("stop", "a-pod")]
        assert ledgers.intervals(told)[0][0] == "blue"

    run(story)


def test_a_seeded_server_starts_in_a_folder_of_any_name_and_a_restart_is_not_seeded(tmp_path: Path) -> None:
    async def story() -> None:
        data = tmp_path / 'mein "volume", #1 ä'
        data.mkdir()
        template, target = tmp_path / "redis.conf", data / "redis.conf"
        template.write_text("bind 127.0.0.1\nappendonly yes\n")
        where = cluster(tmp_path, "blue")
        assert await ran("seedconf", where, str(template), str(target), REDIS_PASSWORD=PASSWORD) == 0
        assert target.stat().st_mode & 0o777 == 0o600
        (port,) = free_ports(1)
        binary = program("valkey")
        assert binary is not None
        server = await asyncio.create_subprocess_exec(binary, str(target), "--port", str(port), stdout=subprocess.DEVNULL)
        try:

            async def answers() -> bool:
                try:
                    connection = await Connection.opened(("127.0.0.1", port), PASSWORD)
                except OSError:
                    return False
                assert await connection.ask("REPLICAOF", "127.0.0.1", "1") == "OK"
                assert await connection.ask("CONFIG", "REWRITE") == "OK"
                connection.close()
                return True

            await eventually(answers)
            written = target.read_text()
            assert "replicaof 127.0.0.1 1" in written
            assert (data / "appendonlydir").is_dir()
            assert await ran("seedconf", where, str(template), str(target), REDIS_PASSWORD="another") == 0
            assert target.read_text() == written
        finally:
            server.terminate()
            await server.wait()

    run(story)
