"""How long writes will be held back by a hand-over: predicted from measured round trips before anything is paused. Pure; milliseconds throughout.

The model is the order of the critical section (``phases/section.py``): the pause arrives, the source's offset comes back, the target is seen to hold it, the fence goes out and its proof
comes back, the promotion goes to the target while both pointers flip and the source's clients are let go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# The fence and the promotion each write a configuration file inside their transaction: 0.9 ms each on loopback (Redis 7.0, Valkey 9), and as much again under load.
SERVERS_MS = 4.0


@dataclass(frozen=True)
class RoundTrips:
    """Measured just before: to the source's and the target's Redis, and of one write of a pointer (the slower of both API servers)."""

    source: float
    target: float
    pointer: float


@dataclass(frozen=True)
class Prediction:
    """``redis`` until the target accepts writes, ``pointer`` what telling the apps adds, ``apps`` what the slowest app, by name, takes to hear of it, ``announced`` how long before the pause the
    apps that obey MAINTENANCE_MODE have stopped already.
    """

    redis: float
    pointer: float
    apps: float = 0.0
    slowest: str = ""
    announced: float = 0.0

    @property
    def total(self) -> float:
        """From the first write held back to the first one accepted by the new master."""
        return self.announced + self.redis + self.pointer + self.apps

    def words(self) -> str:
        """For an operator."""
        apps = f", {self.slowest} {self.apps:.0f} ms" if self.slowest else ""
        announced = f"announcement {self.announced:.0f} ms, " if self.announced else ""
        return f"{self.total:.0f} ms ({announced}Redis {self.redis:.0f} ms, pointers {self.pointer:.0f} ms{apps})"


def predicted(trips: RoundTrips, *, apps: float = 0.0, slowest: str = "", announces: bool = False) -> Prediction:
    """The pause as a client of the source will see it. Half a round trip is the way there. *announces*: both pointers say MAINTENANCE_MODE first, and are waited for."""
    paused = trips.source / 2
    caught_up = max(trips.source, paused + trips.target / 2)
    proved = max(caught_up + trips.source, caught_up + trips.source / 2 + trips.target / 2)
    promoted = proved + trips.target / 2
    told = proved + trips.pointer + trips.source / 2
    return Prediction(promoted - paused + SERVERS_MS, max(0.0, told - promoted), apps, slowest, trips.pointer if announces else 0.0)


def measured(trips: RoundTrips, *, began: float, accepts: float, told: float, announced: float | None = None) -> float:
    """The same span afterwards, from instants of the tool's clock in seconds: the pause sent, the promotion answered, the clients let go; *announced* is when the pointers began to say
    MAINTENANCE_MODE, None where they did not. Ways there and back as in ``predicted``, so that both compare.
    """
    held_from = began * 1000 + trips.source / 2 if announced is None else announced * 1000
    return max(accepts * 1000 - trips.target / 2, told * 1000 - trips.source / 2) - held_from


def dead_mans_switch_ms(found: Prediction, least_ms: int, budget_ms: int) -> int:
    """How long the source is told to pause: long enough on a long way that it does not run out before the fence, never longer than was promised."""
    return min(max(least_ms, math.ceil(2 * found.redis)), budget_ms)
