"""Time that passes only when somebody waits, and what is to happen at a given moment."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class VirtualClock:
    """Port ``Clock``. ``boot`` starts at 1,000 s; wall and boot time move together, unless ``jump`` moves the wall alone. ``lapsed`` has what passed by ``sleep_laptop`` and ``jump``."""

    def __init__(self, wall: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._wall, self._boot = wall, 1000.0
        self._woken, self._lapsed = False, 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def wall(self) -> datetime:
        return self._wall

    def boot(self) -> float:
        return self._boot

    def lapsed(self) -> float:
        return self._lapsed

    def wait(self, seconds: float) -> bool:
        end = self._boot + max(0.0, seconds)
        while not self._woken and self._due and self._due[0][0] <= end:
            moment, _, action = heapq.heappop(self._due)
            self._to(moment)
            action()
        woken, self._woken = self._woken, False
        if not woken:
            self._to(end)
        return woken

    def wake(self) -> None:
        """End the wait that is under way, or the next one."""
        self._woken = True

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have *action* happen during the wait that passes this moment."""
        heapq.heappush(self._due, (self._boot + seconds, next(self._order), action))

    def sleep_laptop(self, seconds: float) -> None:
        """The lid is closed: both clocks move on, nothing that was due happens before the next wait."""
        self._lapsed += seconds
        self._to(self._boot + seconds)

    def pass_by(self, seconds: float) -> None:
        """A call takes its time, and the process knows: nothing that was due happens before the next wait."""
        self._to(self._boot + seconds)

    def jump(self, seconds: float) -> None:
        """The wall clock is set; boot time knows nothing of it."""
        self._lapsed += abs(seconds)
        self._wall += timedelta(seconds=seconds)

    def _to(self, moment: float) -> None:
        passed = max(0.0, moment - self._boot)
        self._boot += passed
        self._wall += timedelta(seconds=passed)
