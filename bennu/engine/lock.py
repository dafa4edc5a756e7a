"""Taking the group: for a new rotation, for a resume, from a holder that died, or only to let go of it.

The lock is the tip of the group's journal. A holder is whoever wrote the last ``lock`` record that no ``release`` followed. The epoch rises at each taking, so
that whatever a former holder left behind can be told from ours.

Whether another machine's holder is dead, nobody can know from here; that it has written nothing for two heartbeats, anybody can see. What allows a take-over is that this machine saw the journal
stand still for so long, by its own clock alone. The age by the record's clock and ours only refuses, at once instead of after a wait, and it refuses no longer than that either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from bennu.core.clusters import Colour, RotationId
from bennu.core.holding import age_s, aged, held, is_ours, ways, where, who
from bennu.core.record import Kind
from bennu.core.standing import Lock, Standing
from bennu.core.states import Direction, State, Status
from bennu.core.switchover import announced
from bennu.engine.journal import Entry, Journal, Uncopied
from bennu.errors import BennuError, GateRefused, LockHeld, LockLost
from bennu.ports.repository import Freshness


@dataclass(frozen=True)
class Opening:
    """A rotation to be begun."""

    source: Colour
    target: Colour
    ticket: str = ""
    options: tuple[tuple[str, str], ...] = ()
    clusters: tuple[str, ...] = ()  # UIDs that the lock shall hold


@dataclass(frozen=True)
class Patience:
    """How a holder is believed dead: *heartbeat_s* is what it writes by, *poll_s* how often we look. ``force``: believed without a look. ``look`` may raise, and ends the watch by that."""

    heartbeat_s: float
    poll_s: float
    force: bool = False
    tell: Callable[[str], None] = lambda line: None
    look: Callable[[], None] = lambda: None

    @property
    def needed_s(self) -> float:
        """How long a journal must have stood still."""
        return 2 * self.heartbeat_s


def begin(journal: Journal, opening: Opening) -> RotationId:
    """Open a rotation and take its lock in one swap. Raises LockHeld (4) if one is open or held."""
    standing = free(journal)
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
        Entry(Kind.LOCK, data=journal.holder.signature, **idle),  # type: ignore[arg-type]  # a mapping of the three fields
        Entry(Kind.BEGIN, data=data, **idle),  # type: ignore[arg-type]
        clusters=opening.clusters,
    )
    return rotation


def free(journal: Journal) -> Standing:
    """The standing of a group that nobody holds and that has no open rotation. Raises LockHeld (4) for any other."""
    standing = fresh(journal)
    if standing.open:
        raise LockHeld(f"rotation {standing.rotation} is open in {where(standing)}, {_held(journal)}", next_step=ways(standing))
    if standing.lock is not None:
        raise LockHeld(f"the group is {_held(journal)}", next_step=ways(standing))
    return standing


def take(journal: Journal, *, over: str = "", patience: Patience | None = None, clusters: Collection[str] = ()) -> Standing:
    """Take the lock of an open rotation, and with it *clusters* by their UIDs. Free, or our own machine's dead process: at once. Else *over* must be the lock's id (``--take-over``), and its holder silent as *patience* says (None: it
    is known to be dead). Raises LockHeld, and what *patience* looks at.
    """
    standing = fresh(journal)
    lock = _present(journal, over)
    # The caller holds this machine's file lock, so a holder of our own is a process that has ended.
    if lock is not None and not _is_ours(journal, lock):
        if not over:
            raise LockHeld(f"rotation {standing.rotation} is open in {where(standing)}, {_held(journal)}", next_step=ways(standing))
        _silent_for_long(journal, lock, patience, "take it over")
    journal.recopied()
    journal.rotation, journal.epoch = standing.rotation, standing.epoch + 1
    _taken(journal, Entry(Kind.LOCK, data=journal.holder.signature | ({"over": over} if over else {})), clusters=clusters)
    return journal.standing


def unlockable(journal: Journal, over: str, patience: Patience) -> Lock:
    """The lock that ``unlock`` may let go of. Raises LockHeld where it is another's than *over*, or its holder lives; GateRefused where only a resume may decide."""
    standing = fresh(journal)
    lock = _present(journal, over)
    assert lock is not None  # noqa: S101  # with an id, _present refuses
    if announced(standing.facts):
        raise GateRefused(
            f"rotation {standing.rotation} is open in {where(standing)}: a hand-over of the write authority was announced, and its end is not written down",
            next_step=f"only who goes on can find out what it had reached: 'bennu rotate resume --take-over {lock.id}'",
        )
    if not _is_ours(journal, lock):
        _silent_for_long(journal, lock, patience, "unlock it")
    return lock


def unlock(journal: Journal, lock: Lock, *, forced: bool) -> Standing:
    """Let go of a dead holder's lock, as found by ``unlockable``: taken and released in one swap, from the journal as it was then, so that whatever its holder does next fails. Raises LockHeld."""
    standing = journal.standing
    journal.rotation, journal.epoch = standing.rotation, standing.epoch + 1
    data = journal.holder.signature | {"over": lock.id, "unlock": "true"} | ({"forced": "true"} if forced else {})
    _swapped(journal, Entry(Kind.LOCK, data=data), Entry(Kind.RELEASE, data={"unlocked": lock.id}))
    return journal.standing


def release(journal: Journal) -> None:
    """Let go of the group."""
    journal.append(Entry(Kind.RELEASE))


def fresh(journal: Journal) -> Standing:
    """The standing as the remote has it now. Raises DependencyDown, StoppedSafe: nothing may be begun from a stale clone."""
    freshness = journal.refresh()
    if freshness.problem:
        raise stale(freshness)
    return journal.standing


def stale(freshness: Freshness) -> BennuError:
    """What was fetched earlier will not do."""
    return freshness.refusal("try again when it answers; 'bennu status' reads from the clone meanwhile")


def _present(journal: Journal, over: str) -> Lock | None:
    """The lock as it is now. Raises LockHeld where *over* names another: what somebody means to take is not there any more."""
    lock, standing = journal.standing.lock, journal.standing
    if over and lock is None:
        goes_on = "'bennu rotate resume' goes on with it" if standing.open else "'bennu status' shows the group"
        raise LockHeld(f"nobody holds {journal.group}: there is no lock {over} to take", next_step=f"{goes_on}, without a lock's id")
    if over and lock is not None and over != lock.id:
        raise LockHeld(f"{over} is not the present lock: the group is {_held(journal)}", next_step=ways(standing))
    return lock


def _silent_for_long(journal: Journal, lock: Lock, patience: Patience | None, deed: str) -> None:
    """See the journal stand still for two heartbeats. Raises LockHeld."""
    if patience is None or patience.force:
        return
    clock = journal.clock
    age = age_s(journal.standing.heartbeat, clock.wall())
    if journal.still_s < patience.needed_s and age is not None and 0 <= age < patience.needed_s:
        raise _too_young(journal, patience, deed, f"the last heartbeat of {who(lock)} is young: {aged(journal.standing.heartbeat, clock.wall())}")
    if journal.still_s < patience.needed_s:
        left = patience.needed_s - journal.still_s
        patience.tell(f"watching for {left:.0f} s whether {lock.holder} still writes; its last heartbeat is {journal.standing.heartbeat} by its own clock")
    tip = journal.tip
    while (left := patience.needed_s - journal.still_s) > 0:
        clock.wait(min(left, patience.poll_s))
        patience.look()
        fresh(journal)
        if journal.tip != tip:
            raise _too_young(journal, patience, deed, f"{who(lock)} lives: it wrote while this machine watched")


def _too_young(journal: Journal, patience: Patience, deed: str, why: str) -> LockHeld:
    left = max(1.0, patience.needed_s - journal.still_s)
    rule = f"a holder that lives writes every {patience.heartbeat_s:g} s, and two of those must pass"
    standing = journal.standing
    return LockHeld(
        f"{why}; rotation {standing.rotation} is open in {where(standing)}, {_held(journal)}",
        next_step=f"{rule}: type it again in {left:.0f} s; --force will {deed} now; 'bennu rotate abort' asks a holder that lives to stop",
    )


def _swapped(journal: Journal, *entries: Entry, clusters: Collection[str] = ()) -> None:
    """Push from the journal as it was seen. Raises LockHeld where somebody else wrote first."""
    try:
        journal.append(*entries, clusters=clusters)
    except LockLost as lost:
        standing = fresh(journal)
        at = f"rotation {standing.rotation} is open in {where(standing)}, " if standing.open else "the group is "
        raise LockHeld(f"somebody else was first: {at}{_held(journal)}", next_step=ways(standing)) from lost


def _taken(journal: Journal, *entries: Entry, clusters: Collection[str] = ()) -> None:
    """Push what takes the lock for a run. Where the disk refuses its copy just then, nothing else was done, and the lock is let go of. Raises LockHeld, StoppedSafe."""
    try:
        _swapped(journal, *entries, clusters=clusters)
    except Uncopied as full:
        release(journal)
        full.changed = "the rotation was entered in the journal, and its lock let go of again"
        raise
    _remember(journal)


def _is_ours(journal: Journal, lock: Lock) -> bool:
    return is_ours(lock, journal.holder.name, journal.holder.machine)


def _remember(journal: Journal) -> None:
    lock = journal.standing.lock
    journal.lock_id = lock.id if lock else ""


def _held(journal: Journal) -> str:
    return held(journal.standing, journal.clock.wall())
