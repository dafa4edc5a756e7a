"""Time, and waiting for it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for people, boot time for deadlines (CLOCK_MONOTONIC stops while a laptop sleeps, CLOCK_BOOTTIME does not)."""

    def wall(self) -> datetime:
        """Now, with zone UTC."""

    def boot(self) -> float:
        """Seconds since boot, counting sleep; only differences mean something."""

    def lapsed(self) -> float:
        """Seconds, in all since the first call, that passed without this process running (suspend, SIGSTOP, a paused virtual machine) or by which the wall clock was set; hiccups of less than
        some seconds left out. Only grows; safe to ask from any thread.
        """

    def wait(self, seconds: float) -> bool:
        """Let up to *seconds* pass between two observations; True if woken early (a signal, a request that came in through the local socket)."""

    def wake(self) -> None:
        """End the wait that is under way, or the next one: from a signal handler or another thread."""
