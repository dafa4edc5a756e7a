"""A Git remote that does not answer: the state is held, the journal tried again with backoff, up to the policy's limit (row 24 of the fault catalogue).

S6 has rows of its own. Before it is announced, a silence ends it at once, and what the way back needs of Git is tried as everywhere else (row 25). Announced, nothing is decided without the lock,
and once the authority has moved it only goes forward (row 26): both are waited out, with Flux held off the pointers until Git names the new master.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from bennu.core.disaster import BY
from bennu.core.record import Kind
from bennu.core.states import Direction, State
from bennu.core.switchover import FLIP_COMMIT, HAND_OVER, announced
from bennu.engine.beside import beside
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout
from bennu.engine.turns import Unheard
from bennu.errors import BennuError, DependencyDown, StoppedSafe
from bennu.phases.base import Phase, World
from bennu.ports.repository import Change

T = TypeVar("T")


def waits(lookout: Lookout, phase: Phase | None) -> bool:
    """Whether a silence is waited out in *phase* (None: by whoever asks, whatever the phase): not in a switchover that goes forward and was not announced."""
    standing = lookout.journal.standing
    if phase is None or not phase.turnable or phase.state is not State.SWITCHOVER_LOCKED:
        return True
    return announced(standing.facts) or HAND_OVER in standing.done or bool(standing.facts.get(BY))


def unheard(lookout: Lookout, world: World, error: DependencyDown, phase: Phase | None = None) -> None:
    """A try went unanswered: say when the next one is due. Raises DependencyDown (in S6 StoppedSafe) past the limit, and Unheard where it is not waited for."""
    silence, now = lookout.counters.silence, world.systems.clock.boot()
    if not waits(lookout, phase):
        raise Unheard(error.message)
    limit = world.policy.git_silence_s
    if silence.since is None:
        silence.since, silence.pause_s = now, world.policy.poll_s
        held = (
            f"{new_master(lookout, world)} has the write authority, Flux is held off the pointers until Git says so, too"
            if moved(lookout)
            else f"{lookout.journal.standing.state} is held"
        )
        silence.tell(f"{error.message}; {held}, and Git tried again for up to {limit:.0f} s")
    if now >= silence.since + limit:
        raise _given_up(error, lookout, world, now - silence.since)
    silence.again_at = min(now + silence.pause_s, silence.since + limit)
    silence.pause_s = min(2 * silence.pause_s, world.policy.heartbeat_s)


def heard(lookout: Lookout, world: World) -> None:
    """The remote has answered, and the lock was proved by that."""
    silence = lookout.counters.silence
    if silence.since is not None:
        silence.tell(f"Git answers again after {world.systems.clock.boot() - silence.since:.0f} s; the lock is still ours")
    silence.since = None


def written(
    lookout: Lookout,
    world: World,
    *entries: Entry,
    change: Change | None = None,
    clusters: Collection[str] = (),
    meanwhile: Callable[[], None],
    phase: Phase | None = None,
) -> str:
    """Append to the journal, however often it takes within the limit; *meanwhile* is called between two tries, and ends them by what it raises."""
    return until_heard(lookout, world, lambda: lookout.journal.append(*entries, change=change, clusters=clusters), meanwhile=meanwhile, phase=phase)


def until_heard(lookout: Lookout, world: World, tried: Callable[[], T], *, meanwhile: Callable[[], None], phase: Phase | None = None) -> T:
    """What *tried* gives, called again while the remote is silent, as ``written`` does."""
    clock = world.systems.clock
    while True:
        try:
            found = beside(lookout, world, tried, meanwhile=meanwhile)
        except DependencyDown as error:
            unheard(lookout, world, error, phase)
        else:
            heard(lookout, world)
            return found
        while (left := lookout.counters.silence.again_at - clock.boot()) > 0:
            meanwhile()
            clock.wait(min(left, world.policy.poll_s))


def moved(lookout: Lookout) -> bool:
    """Whether the authority has moved in this S6, and Git has no word of it yet."""
    done = lookout.journal.standing.done | {one.step for one in lookout.journal.unheard if one.kind is Kind.DONE}
    return HAND_OVER in done and FLIP_COMMIT not in done


def _given_up(error: DependencyDown, lookout: Lookout, world: World, lasted_s: float) -> BennuError:
    standing = lookout.journal.standing
    # Whether it's ours at the remote can't be known: somebody may have taken over meanwhile.
    lock = f"; for others the lock is {standing.lock.id}" if standing.lock else ""
    said, on = (
        f"Git has been silent for {lasted_s:.0f} s in {standing.state}: {error.message}",
        f"when Git answers: 'bennu rotate resume' on this machine{lock} ('--take-over')",
    )
    if standing.state is State.SWITCHOVER_LOCKED:
        return _in_switchover(said, on, lookout, world)
    canary = "; the weights stay as they are, since traffic is taken back through Git alone" if standing.state is State.TRAFFIC_CANARY else ""
    return DependencyDown(said, changed=f"nothing since, and the lock was not released{canary}", next_step=on)


def _in_switchover(said: str, on: str, lookout: Lookout, world: World) -> BennuError:
    standing, master = lookout.journal.standing, new_master(lookout, world)
    if moved(lookout):
        return StoppedSafe(
            f"{master} has the write authority, and Git does not say so yet. {said}",
            changed="both clusters' pointers name it; Flux is held off them, and must stay so until Git names it, too: it would restore the old pointer. The lock was not released",
            next_step=f"leave Flux as it is; {on}",
        )
    if HAND_OVER in standing.done:
        return StoppedSafe(said, changed=f"{master} has the write authority, by Git and by the pointers; the lock was not released", next_step=on)
    if announced(standing.facts):
        return DependencyDown(
            said,
            changed="nothing is decided; possibly the source is fenced: nobody accepts writes then, and none is lost; the lock was not released",
            next_step=on,
        )
    return StoppedSafe(
        said,
        changed="nothing was handed over, and the source is writable; what was stopped or armed for the switchover stays so until Git answers; the lock was not released",
        next_step=on,
    )


def new_master(lookout: Lookout, world: World) -> str:
    """The cluster that this S6 hands the authority to."""
    rotation = world.rotation
    return (rotation.target if lookout.journal.standing.direction is Direction.FORWARD else rotation.source).cluster
