"""A replica's position, asked ahead of the answers: one thread writes questions at a steady pace and reads what has come.

With a round trip of 20 ms, asking and waiting sees the replica 20 ms late; asking every 2.5 ms sees it 10 ms late, half a round trip, which is all that distance costs.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from bennu.adapters import redis_reading as reading
from bennu.adapters.redis_link import Link
from bennu.ports.redis import Position


class Follower:
    """The port ``Following`` over a link that nobody else uses while the context is open."""

    def __init__(self, link: Link, every_s: float) -> None:
        self._link, self._every_s = link, every_s
        self._news = threading.Condition()
        self._latest: Position | None = None
        self._failed: Exception | None = None
        self._over = False
        self._asked = self._answered = self._counts_from = 0  # questions, numbered in the order in which they go out; answers come in the same order
        self._poke = threading.Event()  # set by who waits: the next question goes out at once
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # What was asked and not answered yet is owed to the link, which reads past it at its next command: nobody waits for it here.
        self._over = True
        self._poke.set()
        self._thread.join()

    def anew(self) -> None:
        """See the port."""
        with self._news:
            self._counts_from, self._latest = self._asked, None

    def reaches(self, offset: int, replid: str, seconds: float) -> bool:
        """See the port."""

        def there(seen: Position) -> bool:
            return not seen.is_master and seen.replid == replid and seen.offset >= offset

        self._poke.set()
        with self._news:
            self._news.wait_for(lambda: self._failed or (self._latest and (self._latest.is_master or there(self._latest))), seconds)
            if self._failed:
                raise self._failed
            return self._latest is not None and there(self._latest)

    def _run(self) -> None:
        try:
            while not self._over:
                due = time.monotonic() + self._every_s
                with self._news:
                    # Before it goes out: a question that crosses an ``anew`` counts as asked before it.
                    self._asked += 1
                self._link.post(*reading.POSITION)
                if self._link.answered(self._every_s):
                    self._tell(reading.position(self._link.replies(len(reading.POSITION))))
                # Else on loopback it would ask ten thousand times a second, and keep the server from its work.
                self._poke.wait(due - time.monotonic())
                self._poke.clear()
        except reading.Unreadable as error:
            self._fail(ConnectionError(f"{self._link.address} does not say where it stands: {error}"))
        except ConnectionError as error:
            self._fail(error)

    def _tell(self, position: Position) -> None:
        with self._news:
            if self._answered >= self._counts_from:
                self._latest = position
            self._answered += 1
            self._news.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._news:
            self._failed = error
            self._news.notify_all()
