"""What happened to one resource, in order: the source of every watch.

A watcher is a cursor into the log, never a queue that somebody fills: an event committed while another one is being sent waits in the log, so none can be
lost. A cursor that fell behind the oldest remembered change is told so (``Forgotten``) and its client lists again, as with etcd's compaction.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from bennu.lab.kubeapi.problems import Obj

REMEMBERED = 4096


class Forgotten(Exception):
    """The changes after the asked revision are no longer all known."""


@dataclass(frozen=True)
class Change:
    """``type`` is ADDED, MODIFIED or DELETED; ``previous`` is the object before, for selectors that it matched then."""

    revision: int
    type: str
    object: Obj
    previous: Obj | None


class ChangeLog:
    """The last changes of one resource, and a bell that rings at each new one."""

    def __init__(self, since: int, remembered: int = REMEMBERED) -> None:
        self._changes: deque[Change] = deque(maxlen=remembered)
        self._complete_after = since
        self._bell = asyncio.Event()

    def append(self, change: Change) -> None:
        """Record a change and wake all watchers."""
        if len(self._changes) == self._changes.maxlen:
            self._complete_after = self._changes[0].revision
        self._changes.append(change)
        self._bell.set()
        self._bell = asyncio.Event()

    def after(self, revision: int) -> list[Change]:
        """All changes later than *revision*, oldest first. Raises Forgotten."""
        if revision < self._complete_after:
            raise Forgotten
        fresh: list[Change] = []
        for change in reversed(self._changes):
            if change.revision <= revision:
                break
            fresh.append(change)
        fresh.reverse()
        return fresh

    @property
    def latest(self) -> int:
        """The revision of the last change, or where the log began."""
        return self._changes[-1].revision if self._changes else self._complete_after

    @property
    def bell(self) -> asyncio.Event:
        """Set at the next append. Take it before reading ``after``, then wait on it: nothing can slip in between."""
        return self._bell
