"""Taking the group: for a new rotation, for a resume, or from a holder that died.

The lock is the tip of the group's journal. A holder is whoever wrote the last ``lock`` record that no ``release`` followed. The epoch rises at each taking, so
that whatever a former holder left behind can be told from ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from bennu.core.clusters import Colour, RotationId
from bennu.core.record import Kind
from bennu.core.standing import Lock, Standing
from bennu.core.states import Direction, State, Status
from bennu.engine.journal import Entry, Journal, Uncopied
from bennu.errors import DependencyDown, LockHeld


@dataclass(frozen=True)
class Opening:
    """A rotation to be begun."""

    source: Colour
    target: Colour
    ticket: str = ""
    options: tuple[tuple[str, str], ...] = ()


def begin(journal: Journal, opening: Opening) -> RotationId:
    """Open a rotation and take its lock in one swap. Raises LockHeld (4) if one is open or held."""
    standing = fresh(journal)
    if standing.open:
        raise LockHeld(
            f"rotation {standing.rotation} is open in {standing.state} ({standing.status}), {_held(standing.lock)}",
            next_step="'bennu rotate resume' goes on with it, 'bennu rotate rollback' undoes it",
        )
    if standing.lock is not None:
        raise LockHeld(f"the group is {_held(standing.lock)}", next_step=f"if that holder is dead: 'bennu rotate resume --take-over {standing.lock.id}'")
    rotation = RotationId(journal.group, standing.number + 1)
    journal.rotation, journal.epoch = str(rotation), standing.epoch + 1
    journal.recopied()
    data = {"source": opening.source.value, "target": opening.target.value}
    data |= {f"option.{name}": value for name, value in opening.options}
    if opening.ticket:
        data["ticket"] = opening.ticket
    idle = {"state": State.IDLE_STABLE, "status": Status.RUNNING, "direction": Direction.FORWARD}
    _taken(
        journal,
        Entry(Kind.LOCK, data={"pid": str(journal.holder.pid)}, **idle),  # type: ignore[arg-type]  # a mapping of the three fields
        Entry(Kind.BEGIN, data=data, **idle),  # type: ignore[arg-type]
    )
    return rotation


def take(journal: Journal, *, over: str = "") -> Standing:
    """Take the lock of an open rotation. Free, or our own machine's dead process: at once. Else *over* must be the lock's id (``--take-over``). Raises LockHeld."""
    standing = fresh(journal)
    lock = standing.lock
    # The caller holds this machine's file lock, so a holder of our own name on this host is a process that has ended.
    if lock is not None and lock.holder != journal.holder.name and over != lock.id:
        raise LockHeld(
            f"rotation {standing.rotation} is {_held(lock)}, last seen {standing.heartbeat}",
            next_step=f"if that holder is dead: 'bennu rotate resume --take-over {lock.id}'",
        )
    journal.recopied()
    journal.rotation, journal.epoch = standing.rotation, standing.epoch + 1
    _taken(journal, Entry(Kind.LOCK, data={"pid": str(journal.holder.pid)} | ({"over": over} if over else {})))
    return journal.standing


def release(journal: Journal) -> None:
    """Let go of the group."""
    journal.append(Entry(Kind.RELEASE))


def fresh(journal: Journal) -> Standing:
    """The standing as the remote has it now. Raises DependencyDown: nothing may be begun from a stale clone."""
    freshness = journal.refresh()
    if freshness.problem:
        raise silent(freshness.problem)
    return journal.standing


def silent(problem: str) -> DependencyDown:
    """The remote does not answer, as an error."""
    return DependencyDown(f"the Git remote does not answer: {problem}", next_step="try again when it does; 'bennu status' reads from the clone meanwhile")


def _taken(journal: Journal, *entries: Entry) -> None:
    """Push what takes the lock. Where the disk refuses its copy just then, nothing else was done, and the lock is let go of."""
    try:
        journal.append(*entries)
    except Uncopied as full:
        release(journal)
        full.changed = "the rotation was entered in the journal, and its lock let go of again"
        raise
    lock = journal.standing.lock
    journal.lock_id = lock.id if lock else ""


def _held(lock: Lock | None) -> str:
    return "held by nobody" if lock is None else f"held by {lock.holder} since {lock.since} (lock {lock.id})"
