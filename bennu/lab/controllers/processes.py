"""Child processes that stand for containers: started, watched, ended, and never left behind.

A child dies with the process that started it: by the kernel's parent-death signal on Linux, by the orderly end on SIGTERM everywhere, and what survives both
(macOS after a kill -9) stands in ``pids.json`` with its start time, for ``lab down``. It restarts nothing: the kubelet decides that.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bennu.lab.controllers.processes_book import PidBook

_PR_SET_PDEATHSIG = 1
_GONE = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Launch:
    """What to start. ``name`` is for ``pids.json``; standard output and error are appended to ``log``."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path


def _death_with_parent() -> Callable[[], None] | None:
    """A function for the child to run before it executes: die when the parent does. None where the kernel can't."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the call: then no signal ever comes.
        if os.getppid() != parent:
            os._exit(_GONE)

    return arrange


class Child:
    """One running process, the leader of its own process group (so that Ctrl-C in the terminal reaches the lab, not it)."""

    def __init__(self, process: asyncio.subprocess.Process, book: PidBook) -> None:
        self._process = process
        self._book = book

    @classmethod
    async def start(cls, launch: Launch, book: PidBook) -> Child:
        """Start it and write it into the book. Raises OSError where it can't be executed."""
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(launch.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(launch.env),
                cwd=launch.cwd,
                process_group=0,
                preexec_fn=_death_with_parent(),
            )
        finally:
            os.close(log)
        book.add(process.pid, launch.name)
        return cls(process, book)

    @property
    def pid(self) -> int:
        """Its process id, which is its group's too."""
        return self._process.pid

    async def wait(self) -> int:
        """Its exit code, once it ended: 128 + signal where one ended it, as containers report it."""
        code = await self._process.wait()
        self._book.remove(self.pid)
        return 128 - code if code < 0 else code

    def signal(self, number: signal.Signals) -> None:
        """Send *number* to its whole group; nothing happens if it is gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def end(self, grace: float) -> int:
        """SIGTERM, and SIGKILL after *grace* seconds; returns the exit code. A stopped process is woken to take the signal."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            return await asyncio.wait_for(asyncio.shield(self.wait()), grace)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()
        except asyncio.CancelledError:
            # Whoever ends the lab in a hurry must not leave a process behind.
            self.signal(signal.SIGKILL)
            raise
