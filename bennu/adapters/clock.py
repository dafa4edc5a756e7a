"""The machine's clocks, and the one place where the process lets time pass."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

# CLOCK_BOOTTIME counts a laptop's sleep, CLOCK_MONOTONIC does not (PEP 418). macOS has no BOOTTIME; its CLOCK_MONOTONIC_RAW stops in sleep, so there a jump
# between wall and boot time is all that tells.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The port ``Clock``."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wall(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """See the port."""
        return time.clock_gettime(_CLOCK)

    def wait(self, seconds: float) -> bool:
        """See the port."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken

    def wake(self) -> None:
        """End a wait now (from a signal handler)."""
        self._woken.set()
