"""A process at the other end of a terminal, or of a pipe, that the test can take away."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
FENCED = "redis.blue.fence"  # after it, until the promotion, nobody is writable
LOCKED = "repository.advance"  # the first one is the lock's


@dataclass
class Rehearsed:
    """A rehearsal under way."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]
    heard: int

    def met(self) -> None:
        """Wait for the place that was asked for."""
        assert self._line() == b"met\n"

    def go_on(self) -> None:
        os.write(self.heard, b"x")

    def proof(self) -> Any:
        """What it says of the world at its end."""
        return json.loads(self._line())

    def _line(self, seconds: float = 60) -> bytes:
        assert select.select((self.said,), (), (), seconds)[0], "it says nothing any more"
        return self.said.readline()

    def code(self, seconds: float = 30) -> int:
        return self.process.wait(seconds)


@contextmanager
def rehearsed(
    effect: str, *words: str, controlling: bool = False, ignored: tuple[int, ...] = (), closed: tuple[int, ...] = (), **streams: Any
) -> Iterator[Rehearsed]:
    """``bennu rehearse`` with the given *streams*. *controlling*: stdin is its controlling terminal, whose end is a HUP. *ignored* signals, *closed* descriptors: as its parent left them."""
    told, said = os.pipe()
    heard, tell = os.pipe()
    command = [sys.executable, "-m", "tests.cli.rehearse", "rehearse", effect, str(said), str(heard), *words]

    def prepare() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
        for descriptor in closed:
            os.close(descriptor)
        if controlling:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    environ = {name: value for name, value in os.environ.items() if not name.startswith("BENNU_")} | {"TERM": "xterm"}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, pass_fds=(said, heard), start_new_session=True, preexec_fn=prepare, **streams)  # noqa: PLW1509
    os.close(said)
    os.close(heard)
    try:
        with os.fdopen(told, "rb") as reader:
            yield Rehearsed(process, reader, tell)
    finally:
        os.close(tell)
        process.kill()
        process.wait()


@contextmanager
def terminal() -> Iterator[tuple[IO[bytes], int]]:
    """The two ends of a pty: the terminal's own (unbuffered), and what a process gets."""
    master, slave = pty.openpty()
    screen = os.fdopen(master, "rb", buffering=0)
    try:
        yield screen, slave
    finally:
        screen.close()
        os.close(slave)


def seen(screen: IO[bytes], until: bytes = b"") -> str:
    """What stands on the terminal up to *until*, or up to the end of the process."""
    found = b""
    while not until or until not in found:
        try:
            more = screen.read(4096)
        except OSError:
            break
        if not more:
            break
        found += more
    return found.decode(errors="replace")
