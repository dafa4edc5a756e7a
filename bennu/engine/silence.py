"""A Git remote that does not answer: the state is held, the journal tried again with backoff, up to the policy's limit (row 24 of the fault catalogue).

S6 is left out: there a silence is decided at once, by what has been done so far.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from bennu.core.states import State
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout
from bennu.errors import DependencyDown
from bennu.phases.base import World
from bennu.ports.repository import Change

T = TypeVar("T")


def unheard(lookout: Lookout, world: World, error: DependencyDown, *, holds: bool = False) -> None:
    """A try went unanswered: say when the next one is due. Raises DependencyDown past the limit, and at once in S6 (unless it *holds* there, too)."""
    silence, state, now = lookout.counters.silence, lookout.journal.standing.state, world.systems.clock.boot()
    if state is State.SWITCHOVER_LOCKED and not holds:
        raise error
    limit = world.policy.git_silence_s
    if silence.since is None:
        silence.since, silence.pause_s = now, world.policy.poll_s
        silence.tell(f"{error.message}; {state} is held, and Git tried again for up to {limit:.0f} s")
    if now >= silence.since + limit:
        raise _given_up(error, lookout, now - silence.since)
    silence.again_at = min(now + silence.pause_s, silence.since + limit)
    silence.pause_s = min(2 * silence.pause_s, world.policy.heartbeat_s)


def heard(lookout: Lookout, world: World) -> None:
    """The remote has answered, and the lock was proved by that."""
    silence = lookout.counters.silence
    if silence.since is not None:
        silence.tell(f"Git answers again after {world.systems.clock.boot() - silence.since:.0f} s; the lock is still ours")
    silence.since = None


def written(
    lookout: Lookout, world: World, *entries: Entry, change: Change | None = None, clusters: Collection[str] = (), meanwhile: Callable[[], None]
) -> str:
    """Append to the journal, however often it takes within the limit; *meanwhile* is called between two tries, and ends them by what it raises."""
    return until_heard(lookout, world, lambda: lookout.journal.append(*entries, change=change, clusters=clusters), meanwhile=meanwhile)


def until_heard(lookout: Lookout, world: World, tried: Callable[[], T], *, meanwhile: Callable[[], None], holds: bool = False) -> T:
    """What *tried* gives, called again while the remote is silent, as ``written`` does."""
    clock = world.systems.clock
    while True:
        try:
            found = tried()
        except DependencyDown as error:
            unheard(lookout, world, error, holds=holds)
        else:
            heard(lookout, world)
            return found
        while (left := lookout.counters.silence.again_at - clock.boot()) > 0:
            meanwhile()
            clock.wait(min(left, world.policy.poll_s))


def _given_up(error: DependencyDown, lookout: Lookout, lasted_s: float) -> DependencyDown:
    standing = lookout.journal.standing
    # Whether it's ours at the remote can't be known: somebody may have taken over meanwhile.
    lock = f"; for others the lock is {standing.lock.id}" if standing.lock else ""
    canary = "; the weights stay as they are, since traffic is taken back through Git alone" if standing.state is State.TRAFFIC_CANARY else ""
    return DependencyDown(
        f"Git has been silent for {lasted_s:.0f} s in {standing.state}: {error.message}",
        changed=f"nothing since, and the lock was not released{canary}",
        next_step=f"when Git answers: 'bennu rotate resume' on this machine{lock} ('--take-over')",
    )
