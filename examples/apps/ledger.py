"""What the four examples share: writes that survive a hand-over. Copy it, or do the same with your own client.

Three rules. A write that was not acknowledged is sent again **with the same id**, so that one which had arrived all the same changes nothing. READONLY (the old master, fenced) and a connection that is
cut or refused are no errors of the request: drop the connection, ask again where the master is, try again, for as long as the caller can wait. And no retry inside the client library: it
would go on asking the same server.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PASSES_BY_ITSELF = (redis.exceptions.ReadOnlyError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, redis.exceptions.BusyLoadingError)


def address(host: str) -> tuple[str, int]:
    """The name as the cluster's DNS has it. HOSTS (a file of lines ``name host port``) stands for that DNS where there is none."""
    for line in Path(os.environ["HOSTS"]).read_text(encoding="utf-8").splitlines() if "HOSTS" in os.environ else []:
        name, ip, port = line.split()
        if name == host:
            return ip, int(port)
    return host, 6379


def connected(host: str) -> redis.Redis:
    """A client for one server, which never tries again by itself. Short timeouts: while writes are paused an answer may never come."""
    ip, port = address(host)
    password = os.environ.get("REDIS_PASSWORD")
    return redis.Redis(ip, port, password=password, socket_timeout=2, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0), single_connection_client=True)


class Ledger:
    """Writes one entry after the other to whoever *where* names. *moved* is set when *where* would answer otherwise, by ways that can tell."""

    def __init__(self, where: Callable[[], str], moved: threading.Event | None = None) -> None:
        self._where, self._moved = where, moved or threading.Event()
        self._client: redis.Redis | None = None

    def write(self, identity: str) -> None:
        """Returns once the master acknowledged the entry."""
        while True:
            try:
                if self._client is None or self._moved.is_set():
                    self._moved.clear()
                    self._client = connected(self._where())
                self._client.set(f"entry:{identity}", identity)
                return
            except PASSES_BY_ITSELF:
                self._client = None
                # Jitter: all pods are cut at the same moment, and must not come back at the same moment. A pointer that moves ends the wait.
                self._moved.wait(random.uniform(0.01, 0.05))


def run(where: Callable[[], str], moved: threading.Event | None = None) -> None:
    """Write for ever, and note each acknowledged entry with its time in ACKNOWLEDGED, a file. EVERY_S: seconds between two entries, none where it is not set."""
    ledger, process = Ledger(where, moved), f"{os.getpid()}-{time.time_ns()}"
    pace, never = float(os.environ.get("EVERY_S", "0")), threading.Event()
    with Path(os.environ["ACKNOWLEDGED"]).open("a", encoding="utf-8") as acknowledged:
        for number in itertools.count():
            identity = f"{process}-{number}"
            ledger.write(identity)
            acknowledged.write(f"{time.monotonic_ns()} {identity}\n")
            acknowledged.flush()
            never.wait(pace)
