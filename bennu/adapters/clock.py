"""The machine's clocks, and the one place where the process lets time pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

# Time that counts a laptop's sleep. On Linux that is CLOCK_BOOTTIME, since CLOCK_MONOTONIC stops there (PEP 418). macOS has no BOOTTIME; its CLOCK_MONOTONIC goes on while the system is
# asleep (clock_gettime(3); what stops is CLOCK_UPTIME_RAW, which Python's time.monotonic() reads there).
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_UNSEEN_S = 5.0  # between two beats: no scheduler explains that, and a take-over waits longer than this for a heartbeat


class Pulse:
    """Whether the process runs: a thread that looks at the clocks once a second (five times in *unseen_s*). Where it could not, or the two clocks moved apart, the process stood still (suspend, SIGSTOP, a paused virtual
    machine), or the clock was set. Whoever asks looks, too: after a wake the thread may come second.

    *now* gives boot and wall time in seconds.
    """

    def __init__(self, now: Callable[[], tuple[float, float]], unseen_s: float = _UNSEEN_S) -> None:
        self._now, self._unseen_s, self._lock, self._lapsed, self._beating = now, unseen_s, threading.Lock(), 0.0, False
        self._boot, self._wall = now()

    def lapsed(self) -> float:
        """Seconds that have passed unseen, up to now; only grows."""
        with self._lock:
            boot, wall = self._now()
            passed, elsewhere = boot - self._boot, wall - self._wall
            # A virtual machine that was paused may find its boot clock where it was, and only the wall clock moved on.
            unseen = max(passed, abs(elsewhere - passed))
            self._lapsed += unseen if unseen > self._unseen_s else 0.0
            self._boot, self._wall = boot, wall
            return self._lapsed

    def beat(self) -> None:
        """Have the thread look from now on."""
        with self._lock:
            if self._beating:
                return
            self._beating = True
            self._boot, self._wall = self._now()
        threading.Thread(target=self._beats, name="bennu-pulse", daemon=True).start()

    def _beats(self) -> None:
        never = threading.Event()
        while not never.wait(self._unseen_s / 5):
            self.lapsed()


def both() -> tuple[float, float]:
    """Boot and wall time, in seconds."""
    return time.clock_gettime(_CLOCK), time.time()


_PULSE = Pulse(both)  # the process has one


class SystemClock:
    """The port ``Clock``."""

    def __init__(self, pulse: Pulse = _PULSE) -> None:
        self._woken, self._pulse = threading.Event(), pulse

    def wall(self) -> datetime:
        """See the port."""
        return datetime.now(UTC)

    def boot(self) -> float:
        """See the port."""
        return time.clock_gettime(_CLOCK)

    def lapsed(self) -> float:
        """See the port."""
        self._pulse.beat()
        return self._pulse.lapsed()

    def wait(self, seconds: float) -> bool:
        """See the port."""
        woken = self._woken.wait(seconds)
        self._woken.clear()
        return woken

    def wake(self) -> None:
        """End a wait now (from a signal handler)."""
        self._woken.set()
