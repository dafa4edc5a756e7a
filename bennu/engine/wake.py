"""Waking up: this machine slept, or the process stood still, or its clock was set. Whatever it had read by then says nothing of now, and somebody may lead the group in its stead.

So each effect outside Git asks ``Wake.check`` first (``wiring/awake.py``), and so does the engine between two looks. The first to find out raises ``Slept``, and nothing is written any more until
the lock was read again at the remote; then the step in hand begins anew, at its ``observe``, with nothing of what it remembered. In S6 that is what a resume does: connections opened, the lock
proved, the pointers claimed, older connections cut, and only then the roles read. A push needs no such care for the lock: it is a compare-and-swap.

What was on its way out when the machine fell asleep cannot be called back; S6 alone guards against that, by its epochs and its connections (row 11 of the fault catalogue).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bennu.engine.journal import Journal


class Slept(Exception):
    """Raised instead of an effect, or of a look: what was read before is old. Control flow of the engine; never reaches a user."""


@dataclass
class Wake:
    """*lapsed* is the clock's; ``seen`` how much of it the run has answered to."""

    lapsed: Callable[[], float]
    seen: float = 0.0

    def __post_init__(self) -> None:
        self.seen = self.lapsed()

    def check(self) -> None:
        """Raise Slept where the lock was not read since the process last stood still. Safe to ask from any thread."""
        if self.slept:
            raise Slept

    @property
    def slept(self) -> bool:
        """Whether it stood still since."""
        return self.lapsed() > self.seen

    def answered(self, journal: Journal) -> float:
        """Read the lock again; how many seconds had passed unseen. Raises LockLost, DependencyDown. A sleep in mid-reading is one more."""
        upto = self.lapsed()
        journal.reread()
        slept, self.seen = upto - self.seen, upto
        return slept
