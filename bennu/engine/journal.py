"""The pen of one holder: every record goes to Git by compare-and-swap, and then to the checkpoint file.

Losing the swap is losing the lock; no effect may follow it. The checkpoint is written second: it is a copy, and ahead of Git only where S6 could not push what it had done
(``recopied``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import RLock

from bennu.core.clusters import Group
from bennu.core.holding import overtaker
from bennu.core.record import Kind, Record
from bennu.core.standing import Fold, Standing, folded
from bennu.core.states import Direction, State, Status
from bennu.core.switchover import OPEN
from bennu.engine import claims
from bennu.errors import BennuError, ClusterHeld, DependencyDown, GateRefused, LockLost, StoppedSafe
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.clock import Clock
from bennu.ports.repository import Advance, Change, Freshness, Repository
from bennu.ports.repository import Journal as Found

_TRIES = 3  # of a push whose clusters' refs move meanwhile
LOOK_S = 10.0  # a remote that takes longer to say that it is there must not keep the holder from its monitors


class Uncopied(StoppedSafe):
    """Git has the record, this machine's disk took no copy of it: nothing that could wait is begun."""


@dataclass(frozen=True)
class Entry:
    """A record to be, without what the journal itself knows. None = as the standing has it."""

    kind: Kind
    step: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    state: State | None = None
    status: Status | None = None
    direction: Direction | None = None


@dataclass(frozen=True)
class Holder:
    """Who writes: ``name`` is ``user@host``, ``machine`` tells two hosts of one name apart (empty: not known)."""

    name: str
    pid: int
    machine: str = ""

    @property
    def signature(self) -> dict[str, str]:
        """What a lock record says of its holder beside the name."""
        return {"pid": str(self.pid)} | ({"machine": self.machine} if self.machine else {})


class Journal:
    """One group's journal, held open by one process. Threads may write (one at a time) and read."""

    def __init__(self, repository: Repository, checkpoint: Checkpoint, clock: Clock, group: Group, holder: Holder) -> None:
        self._repository, self._checkpoint, self.clock = repository, checkpoint, clock
        self.group, self.holder = group, holder
        self._tip = ""
        self._records: list[Record] = []  # grows, or is another one: readers in other threads hold no lock
        self._fold, self._standing = Fold(), Standing()
        self._writing, self._quiet = RLock(), 0
        self._still_since: float | None = None  # seconds since boot
        self.written_at = -1e9  # when the last swap got through, in seconds since boot
        self.epoch = 0
        self.rotation = ""
        self.lock_id = ""
        self.uncopied = ""  # why the checkpoint could not be written; from then on Git alone has the journal
        self.tell: Callable[[str], None] | None = None  # takes what an operator should read; nobody yet: it waits in ``told``
        self.told: list[str] = []
        self._owed: list[Record] = []  # the checkpoint's alone, to be pushed first
        self._unheard: tuple[tuple[Entry, ...], list[Record]] | None = None  # what was pushed last, where nobody knows whether it arrived

    def refresh(self) -> Freshness:
        """Read the group's records anew from the remote; with the remote down, from the clone (``problem`` says so)."""
        with self._writing:
            freshness = self._repository.fetch()
            found = self._repository.journal(self.group)
            self._read(found)
            self.rotation = self.rotation or self.standing.rotation
            if not freshness.problem:
                self._still_since = self._checkpoint.sighted(self.group, self._tip, self.clock.boot())
            return freshness

    @property
    def still_s(self) -> float:
        """How long this machine has seen the remote's journal stand still, by its own clock and as of the last ``refresh`` that was answered."""
        return 0.0 if self._still_since is None else max(0.0, self.clock.boot() - self._still_since)

    @property
    def tip(self) -> str:
        """The notes ref's tip as last seen: what the next swap expects."""
        return self._tip

    @property
    def records(self) -> Sequence[Record]:
        """All records, oldest first."""
        return tuple(self._records)

    @property
    def standing(self) -> Standing:
        """What they amount to. Folded as they come in, by who drives: a watch beside the run only reads it."""
        return self._standing

    @property
    def unheard(self) -> Sequence[Record]:
        """What was pushed last, where nobody knows whether it arrived."""
        return tuple(self._unheard[1]) if self._unheard is not None else ()

    def _read(self, found: Found) -> None:
        """All records anew."""
        self._tip, self._records, self._fold = found.tip, [], Fold()
        self._take(found.records)

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self._fold.take(record)
            self._records.append(record)
        self._standing = self._fold.standing()

    def append(self, *entries: Entry, change: Change | None = None, clusters: Collection[str] = (), limit_s: float | None = None) -> str:
        """Push *entries* (and a commit) in one swap; the commit's id, empty without a change. *clusters*: UIDs that the lock holds from here on, until its release. *limit_s*: how long each answer of
        the remote's may take. Raises LockLost, ClusterHeld, DependencyDown, GateRefused, StoppedSafe, Uncopied.
        """
        with self._writing:
            if self._unheard is not None and (commit := self._arrived(entries)) is not None:
                return commit
            standing = folded([*self._records, *self._owed]) if self._owed else self.standing
            records = [*self._owed, *(self._record(entry, standing) for entry in entries)]
            try:
                reached = self._advanced(records, change, clusters, limit_s)
            except DependencyDown:
                self._unheard = (entries, records)
                if standing.state is State.SWITCHOVER_LOCKED and change is None:
                    with suppress(Uncopied):
                        self._copied(standing, records)
                raise
            except LockLost as lost:
                raise self.overtaken(lost) from lost
            except GateRefused as refused:
                raise _rejected(refused, standing) from refused
            self._tip = reached.tip
            self._take(records)
            self.written_at = self.clock.boot()
            self._pushed()
            self._copied(standing)
            return reached.commit

    def beside(self, entry: Entry, *, limit_s: float) -> bool:
        """Append from another thread than the run's: only while this holder has the lock, and nobody wants quiet. Whether it did. Raises as ``append``."""
        with self._writing:
            lock = self.standing.lock
            # What the run could not push is its own to try again: another push in between would be taken for it.
            waits = any(one.kind is not Kind.HEARTBEAT for one in self.unheard)
            if self._quiet or waits or lock is None or lock.id != self.lock_id:
                return False
            self.append(entry, limit_s=limit_s)
            return True

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """While open, no other thread writes; one that is at it is waited for first."""
        with self._writing:
            self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def overtaken(self, lost: LockLost) -> LockLost:
        """*lost* with who took the lock from this holder and when, as far as the remote says."""
        try:
            by = overtaker(self._repository.journal(self.group).records, self.epoch)
            if not by and not self._repository.fetch(limit_s=LOOK_S).problem:
                by = overtaker(self._repository.journal(self.group).records, self.epoch)
        except BennuError:
            by = ""
        if not by:
            return lost
        message = f"the lock of {self.group} was {by}: this holder (epoch {self.epoch}) stops"
        return LockLost(message, changed="nothing since; no further effect follows", next_step="'bennu rotate status' shows who drives now")

    def _advanced(self, records: Sequence[Record], change: Change | None, clusters: Collection[str], limit_s: float | None) -> Advance:
        if not claims.concerned(records, clusters):
            return self._repository.advance(self.group, self._tip, records, change, limit_s=limit_s)
        for _ in range(_TRIES - 1):
            moves = claims.moves(self._repository, self.group, self.standing.lock, records, clusters)
            # Its ref moved in between: whoever moved it is judged by the next look.
            with suppress(ClusterHeld):
                return self._repository.advance(self.group, self._tip, records, change, moves=moves, limit_s=limit_s)
        moves = claims.moves(self._repository, self.group, self.standing.lock, records, clusters)
        return self._repository.advance(self.group, self._tip, records, change, moves=moves, limit_s=limit_s)

    def _arrived(self, entries: tuple[Entry, ...]) -> str | None:
        """After a push of unknown outcome: whether the lock is ours still, and whether that push arrived. The branch's tip, where it did and was of these very *entries*. Raises LockLost, DependencyDown."""
        assert self._unheard is not None  # noqa: S101  # narrows
        waiting, records = self._unheard
        arrived = self._looked(records)
        return self._repository.head() if arrived and entries == waiting else None

    def reread(self) -> None:
        """Read the lock again, and write nothing. Raises LockLost where anybody else has written since, DependencyDown."""
        with self._writing:
            self._looked(self._unheard[1] if self._unheard is not None else [])

    def _looked(self, pushed: list[Record]) -> bool:
        """Fetch. Whether *pushed*, of which nobody knew whether it arrived, is what the remote has beyond our tip. Raises LockLost where it has anything else, DependencyDown."""
        freshness = self._repository.fetch(limit_s=LOOK_S)
        if freshness.problem:
            raise freshness.refusal("bennu rotate resume")
        found = self._repository.journal(self.group)
        news = found.records[len(self._records) :]
        if found.tip != self._tip:
            if not pushed or [one.nonce for one in news] != [one.nonce for one in pushed]:
                who = f"{news[-1].holder} ({news[-1].kind} at {news[-1].at})" if news else "somebody"
                raise self.overtaken(
                    LockLost(f"the lock of {self.group} was lost to {who}", changed="nothing since; no further effect follows", next_step="bennu rotate status")
                )
            before = self.standing
            self._read(found)
            self._pushed()
            self._copied(before)
        self._unheard = None
        return bool(news)

    def recopied(self) -> None:
        """Make this machine's copy anew from Git, before anything is begun: what is damaged is said, and a disk that takes nothing is found here. What the copy has beyond Git (what came of a hand-over
        while Git was silent) stays in it, and the next append pushes it first; nothing, where anybody has written since. Raises StoppedSafe, UsageError, DurableStateError.
        """
        found = self._checkpoint.load(self.group)
        if found is not None and found.damage:
            self._say(f"the checkpoint of {self.group} on this machine was damaged ({found.damage}): it is made anew from Git")
        with self._writing:
            seen = len(self._records)
            extends = found is not None and found.tip == self._tip and list(found.records[:seen]) == self._records
            # A release that nobody heard of is the next holder's to outlive, and a heartbeat was one of that moment.
            more = found.records[seen:] if found is not None and extends else ()
            self._owed = [one for one in more if one.kind not in (Kind.RELEASE, Kind.HEARTBEAT)]
            self._checkpoint.save(self.group, self._tip, [*self._records, *self._owed])

    def _pushed(self) -> None:
        if self._owed:
            self._say(f"{len(self._owed)} of the journal's records were on this machine alone, since Git was silent; it has them now")
        self._owed = []

    def _copied(self, standing: Standing, unheard: Sequence[Record] = ()) -> None:
        try:
            self._checkpoint.save(self.group, self._tip, [*self._records, *unheard])
        except StoppedSafe as full:
            # Once S6 was announced the checkpoint is a luxury: Git has the record, or the world. Before it, a full disk stops the run here, before any effect; what is written on the way out goes on.
            again, self.uncopied = bool(self.uncopied), full.message
            if again:
                return
            if standing.state is not State.SWITCHOVER_LOCKED or not any(key in standing.facts for key in OPEN):
                raise Uncopied(full.message, next_step=full.next_step) from None
            self._say(f"{full.message}; the switchover goes on, with the journal in Git alone")
        else:
            self.uncopied = ""

    def _say(self, line: str) -> None:
        (self.tell or self.told.append)(line)

    def reachable(self) -> bool:
        """Whether the remote answers now."""
        try:
            return not self._repository.fetch().problem
        except DependencyDown:
            return False

    def _record(self, entry: Entry, standing: Standing) -> Record:
        return Record(
            kind=entry.kind,
            rotation=self.rotation,
            epoch=self.epoch,
            at=self.clock.wall().isoformat(timespec="milliseconds"),
            nonce=secrets.token_hex(8),
            holder=self.holder.name,
            state=standing.state if entry.state is None else entry.state,
            status=standing.status if entry.status is None else entry.status,
            direction=standing.direction if entry.direction is None else entry.direction,
            step=entry.step,
            data=entry.data,
        )


def _rejected(refused: GateRefused, standing: Standing) -> BennuError:
    """A refusal changes nothing only while no step was done; later the rotation stands where it was."""
    if not standing.open:
        return refused
    then = f"{refused.next_step}; then 'bennu rotate resume'"
    if standing.done:
        return StoppedSafe(refused.message, changed=f"the steps of {standing.state} and before that the journal has as done", next_step=then)
    return GateRefused(refused.message, changed="nothing but the journal, in which the rotation is open", next_step=f"{then}, or 'bennu rotate rollback'")
