"""The heartbeat: that the holder lives, and what it is at, at least every ``heartbeat_s``, whatever it is at.

The run writes it between two polls. While a step acts (a provisioner's quarter of an hour), or a system lets a poll wait, a thread beside it does, with the same pen, one at a time: late, so that it writes
nothing where the run does, and early enough for whoever watches for two heartbeats. Between pause and release of a hand-over it is quiet (``Journal.undisturbed``).
"""

from __future__ import annotations

from collections.abc import Callable

from bennu.core.record import Kind
from bennu.engine.beside import beside
from bennu.engine.journal import LOOK_S, Entry
from bennu.engine.lookout import Lookout
from bennu.engine.silence import heard, unheard
from bennu.errors import BennuError, DependencyDown, LockLost
from bennu.phases.base import Phase, World

_LATE = 1.25  # of heartbeat_s; a push may take the rest up to 2


def beat(world: World, phase: Phase, lookout: Lookout, awaiting: str, *, meanwhile: Callable[[], None]) -> None:
    """Between two polls of the run: written where one is due. Raises LockLost; Unheard or DependencyDown as ``engine.silence`` has it."""
    now, counters = world.systems.clock.boot(), lookout.counters
    counters.awaiting = awaiting
    if now < (counters.heartbeat_at + world.policy.heartbeat_s if counters.silence.since is None else counters.silence.again_at):
        return
    try:
        beside(lookout, world, lambda: lookout.journal.append(_entry(lookout), limit_s=LOOK_S), meanwhile=meanwhile)
    except DependencyDown as error:
        unheard(lookout, world, error, phase)
    else:
        counters.heartbeat_at = now
        heard(lookout, world)


def beat_beside(world: World, lookout: Lookout) -> None:
    """From another thread: written where the run has written nothing for too long. Raises LockLost. What else fails, the run's own next record meets."""
    journal, clock, late = lookout.journal, world.systems.clock, _LATE * world.policy.heartbeat_s
    if clock.boot() < journal.written_at + late or lookout.counters.silence.since is not None:
        return
    try:
        journal.beside(_entry(lookout), limit_s=LOOK_S)
    except LockLost:
        raise
    except BennuError:
        return


def _entry(lookout: Lookout) -> Entry:
    return Entry(Kind.HEARTBEAT, data={"awaiting": lookout.counters.awaiting[:300]})
