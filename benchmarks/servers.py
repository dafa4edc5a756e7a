"""Two real servers, source and target, on loopback, and the way to them: straight, or with a delay between tool and server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bennu.adapters.redis_link import Link, RedisEndpoint, Refusal
from bennu.ports.redis import Address

PASSWORD = "open-sesame"  # noqa: S105  # of servers that live for a minute on loopback
_PACE = threading.Event()  # never set: a wait between two looks at a condition


def awaited(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Look until *condition* holds. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        _PACE.wait(0.01)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def realtime(argv: list[str], *, rt: bool) -> list[str]:
    """*argv* under SCHED_RR where asked (root), which keeps other load of the machine out of the figures."""
    return ["chrt", "--rr", "10", *argv] if rt else argv


class Server:
    """One server process with a configuration file of its own. *aof* False = no persistence at all."""

    def __init__(self, program: str, folder: Path, *, aof: bool, rt: bool) -> None:
        folder.mkdir()
        self.address = Address("127.0.0.1", free_port())
        lines = [
            f"port {self.address.port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            'save ""',
            f"appendonly {'yes' if aof else 'no'}",
            "repl-diskless-sync-delay 0",
        ]
        lines += ["repl-backlog-size 64mb", f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", f"logfile {folder}/log"]
        (folder / "redis.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process = subprocess.Popen(realtime([program, str(folder / "redis.conf")], rt=rt), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        awaited(lambda: self.says("PING") == "PONG", f"the server on {self.address}")

    def link(self) -> Link:
        """A new connection."""
        return Link(RedisEndpoint("a server", lambda: self.address, lambda: PASSWORD), "judge")

    def says(self, *command: str | int) -> object:
        """One command's reply; None where the server does not answer."""
        try:
            link = self.link()
        except ConnectionError:
            return None
        try:
            reply = link.one(*command)
        finally:
            link.close()
        return None if isinstance(reply, Refusal) else reply

    def info(self) -> dict[str, str]:
        """INFO."""
        text = self.says("INFO")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line) if isinstance(text, str) else {}

    def follow(self, master: Server) -> None:
        """Become its replica; returns when both sides see the link up."""
        self.says("REPLICAOF", master.address.host, master.address.port)
        awaited(lambda: self.info().get("master_link_status") == "up" and "state=online" in master.info().get("slave0", ""), "the first synchronisation")

    def stop(self) -> None:
        """End the process."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Delayed:
    """A way to a server that takes *one_way_s* in each direction, as a process of its own."""

    def __init__(self, server: Address, one_way_s: float, *, rt: bool) -> None:
        self.address = Address("127.0.0.1", free_port())
        argv = [sys.executable, __file__, str(self.address.port), str(server.port), str(one_way_s)]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
        self._process = subprocess.Popen(realtime(argv, rt=rt), env=environ)
        awaited(self._listens, "the delaying way")

    def stall(self) -> None:
        """From now on nothing comes through, and nobody is told: no reset, no refusal."""
        self._process.send_signal(signal.SIGSTOP)

    def flow(self) -> None:
        """Let everything through again, what waited first."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.address.host, self.address.port), 1).close()
        except OSError:
            return False
        return True


async def _delaying(port: int, server: int, one_way_s: float) -> None:
    loop = asyncio.get_running_loop()

    def late(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data) if data else writer.close()

    async def one_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b"-"
        while data:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            loop.call_later(one_way_s, late, writer, data)  # of equal delays, those asked for first end first

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", server)
        except OSError:
            writer.close()
            return
        await asyncio.gather(one_way(reader, back), one_way(there, writer))

    listening = await asyncio.start_server(accepted, "127.0.0.1", port)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(_delaying(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
