"""Threads for what must happen at the same moment: both pointers beside the promotion, both servers asked at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from threading import Barrier


class Crew(ThreadPoolExecutor):
    """*size* threads. A simulation puts one in its place that does things one by one, in an order that it chooses."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._size = size

    def gather(self) -> None:
        """Start all of them, before anybody waits: starting them takes as long as a quick pointer's write."""
        together = Barrier(self._size, timeout=1)
        wait([self.submit(together.wait) for _ in range(self._size)])
