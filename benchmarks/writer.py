"""One app of the benchmark, a process: reads the pointer, writes unique keys at a pace, remembers every acknowledgement, and on an error reads the pointer again and retries.

A written value is never written again, so that a key which is missing later was lost. The ledger is binary: for each acknowledgement three 64-bit integers, the monotonic clock in ns, the
sequence number, and the port of the server that acknowledged. Standard library only: a client library's own retries would hide what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from array import array
from pathlib import Path

_RETRY_S = 0.001
_TIMEOUT_S = 10.0


class Refused(Exception):
    """An error reply."""


class Server:
    """A connection, as bare as one can be."""

    def __init__(self, host: str, port: int, password: str) -> None:
        self.port = port
        self._socket = socket.create_connection((host, port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask("AUTH", password)

    def ask(self, *words: str) -> bytes:
        """One command, its one-line reply. Raises Refused, OSError."""
        self._socket.sendall(b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)]))
        reply = b""
        while not reply.endswith(b"\r\n"):
            more = self._socket.recv(4096)
            if not more:
                raise ConnectionResetError("cut")
            reply += more
        if reply.startswith(b"-"):
            raise Refused(reply[1:].split(b" ", 1)[0].decode())
        return reply

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class App:
    """The loop. *rate* is writes a second; *retry_s* passes before a server that has just refused is asked again."""

    def __init__(self, number: int, pointer: Path, ledger: Path, rate: float, password: str, retry_s: float = _RETRY_S) -> None:
        self._retry_s = retry_s
        self._number, self._pointer, self._ledger, self._rate, self._password = number, pointer, ledger, rate, password
        self._server: Server | None = None
        self._acks = array("q")
        self._stop = threading.Event()
        self.errors: dict[str, int] = {}

    def stop(self) -> None:
        """End after the write under way."""
        self._stop.set()

    @property
    def acknowledged(self) -> int:
        """How many writes so far."""
        return len(self._acks) // 3

    def run(self) -> None:
        """Until stopped; then the ledger is complete."""
        sequence, due = 0, time.monotonic()
        pad = "x" * 48
        while not self._stop.is_set():
            now = time.monotonic()
            if now < due:
                self._stop.wait(due - now)
            due = max(due + 1 / self._rate, time.monotonic())
            while not self._stop.is_set() and not self._written(f"w:{self._number}:{sequence}", f"{sequence}:{pad}", sequence):
                pass
            sequence += 1
        with self._ledger.open("wb") as file:
            self._acks.tofile(file)
        self._ledger.with_suffix(".errors").write_text(json.dumps(self.errors), encoding="utf-8")

    def _written(self, key: str, value: str, sequence: int) -> bool:
        try:
            server = self._server or self._connected()
            server.ask("SET", key, value)
            self._acks.extend((time.monotonic_ns(), sequence, server.port))
        except (Refused, OSError) as error:
            name = str(error) if isinstance(error, Refused) else type(error).__name__
            self.errors[name] = self.errors.get(name, 0) + 1
            self._parted()
            return False
        return True

    def _connected(self) -> Server:
        host, port, _ = self._pointer.read_text(encoding="utf-8").split()
        self._server = Server(host, int(port), self._password)
        return self._server

    def _parted(self) -> None:
        """Where the pointer still names the server that has just refused, a moment is waited; else the app goes there at once."""
        at = None if self._server is None else self._server.port
        if self._server is not None:
            self._server.close()
            self._server = None
        if at is None or f" {at} " in self._pointer.read_text(encoding="utf-8"):
            self._stop.wait(self._retry_s)


def main() -> None:
    """Arguments: number, pointer, ledger, rate; the password comes by the environment."""
    number, pointer, ledger, rate = sys.argv[1:]
    app = App(int(number), Path(pointer), Path(ledger), float(rate), os.environ.get("REDIS_PASSWORD", ""))
    signal.signal(signal.SIGTERM, lambda *_: app.stop())
    app.run()


if __name__ == "__main__":
    main()
