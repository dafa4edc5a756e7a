"""A Git remote and its clones without git: a linear branch, journals that move by compare-and-swap, and what fate does to a push.

A ``MemoryRemote`` is shared; each ``MemoryRepository`` is one laptop's clone of it and sees the remote as it last fetched it. What it leaves out: merges, modes, bytes that are no
text, signatures, and how long anything takes.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from bennu.core.clusters import Group, uid
from bennu.core.record import Record, parse_all, rendered
from bennu.errors import BennuError, ClusterHeld, ConfigError, DependencyDown, DurableStateError, GateRefused, LockLost, StoppedSafe
from bennu.ports.repository import Advance, Change, Claimed, Commit, Edit, Freshness, Journal, Move, Reply, Request, unified

_TRIES = 5
_GUARD = threading.RLock()  # of all remotes: a remote itself stays a value that can be copied
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Snapshot:
    """A commit with all its files."""

    commit: Commit
    files: Mapping[str, str]
    touched: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Swap:
    """One advance of a journal: the tip it made, the tip before it, and its records as lines."""

    tip: str
    before: str
    lines: str
    on: str


@dataclass
class MemoryRemote:
    """The host. ``down``: answers nobody; ``refusal``: its words to every push; ``lost_answers``: as many pushes arrive without the pusher hearing of it, and where ``dies_then`` is
    set, the host is down from that moment on. ``before_push``: what happens, once each, just before a push is looked at."""

    branch: str = "main"
    history: list[Snapshot] = field(default_factory=list)
    journals: dict[str, list[Swap]] = field(default_factory=dict)
    requests: dict[str, list[Request | Reply]] = field(default_factory=dict)
    claims: dict[str, Claimed] = field(default_factory=dict)
    down: bool = False
    refusal: str = ""
    lost_answers: int = 0
    dies_then: bool = False
    before_push: list[Callable[[], None]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def of(cls, files: Mapping[str, str]) -> MemoryRemote:
        """With one commit that has *files*."""
        remote = cls()
        remote.commit("Begin", files)
        return remote

    def commit(self, subject: str, edits: Mapping[str, str | None], author: str = "Ada Colleague") -> str:
        """A commit of *edits* (None removes) on the tip; its id."""
        with _GUARD:
            made = self.built(self.history[-1] if self.history else None, subject, edits, author)
            self.history.append(made)
            return made.commit.id

    def built(self, parent: Snapshot | None, message: str, edits: Mapping[str, str | None], author: str) -> Snapshot:
        """A commit that is on no branch yet."""
        number = next(self._numbers)
        text = f"{number} {parent.commit.id if parent else ''} {message} {sorted(edits.items())}"
        files = dict(parent.files) if parent else {}
        for path, content in edits.items():
            files.pop(path, None)
            if content is not None:
                files[path] = content
        lines = message.strip().splitlines()
        tail = list(itertools.takewhile(lambda line: ": " in line, reversed(lines[1:])))
        trailers = dict(line.split(": ", 1) for line in reversed(tail))
        commit = Commit(hashlib.sha1(text.encode()).hexdigest(), lines[0], author, _BEGIN + timedelta(seconds=number), trailers)
        return Snapshot(commit, files, frozenset(edits))

    def tip(self, group: Group) -> str:
        """The journal's tip, empty for none."""
        swaps = self.journals.get(str(group), [])
        return swaps[-1].tip if swaps else ""


@dataclass(frozen=True)
class _Push:
    """What one push carries."""

    group: Group
    swap: Swap
    snapshot: Snapshot | None
    moves: tuple[Move, ...] = ()


class MemoryRepository:
    """Port ``Repository``: one clone. *now* gives the time of a fetch."""

    def __init__(self, remote: MemoryRemote, *, author: str = "Bennu Operator", now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.remote, self._author, self._now = remote, author, now
        self._history: tuple[Snapshot, ...] = ()
        self._swaps: dict[str, tuple[Swap, ...]] = {}
        self._rewritten: set[str] = set()
        self._read: dict[str, tuple[tuple[Swap, ...], tuple[Record, ...]]] = {}
        self._unknown: set[str] = set()
        self._fetched_at: datetime | None = None

    @property
    def branch(self) -> str:
        return self.remote.branch

    # --- reading ---

    def fetch(self, *, limit_s: float | None = None) -> Freshness:
        with _GUARD:
            if self.remote.down:
                return Freshness(self._fetched_at, "the Git remote does not answer: it is down")
            if not self.remote.history:
                raise ConfigError(f"the remote has no branch {self.branch}", file="bennu.yaml")
            theirs = {snapshot.commit.id for snapshot in self.remote.history}
            if self._history and self._history[-1].commit.id not in theirs:
                raise DurableStateError(
                    f"{self.branch} was rewritten at the remote: {self._history[-1].commit.id[:12]} is no longer part of it "
                    f"(now {self.remote.history[-1].commit.id[:12]})"
                )
            self._history = tuple(self.remote.history)
            self._rewritten = set()
            for name, swaps in self.remote.journals.items():
                self._follow(name, tuple(swaps))
            self._fetched_at = self._now()
            return Freshness(self._fetched_at)

    def _follow(self, name: str, theirs: tuple[Swap, ...]) -> None:
        mine = self._swaps.get(name, ())
        if not theirs:
            return
        if mine and mine[-1].tip not in {swap.tip for swap in theirs}:
            self._rewritten.add(name)
        else:
            self._swaps[name] = theirs

    def head(self) -> str:
        if not self._history:
            freshness = self.fetch()
            if not self._history:
                raise DependencyDown(freshness.problem, next_step="check repository.remote, the network and the credentials")
        return self._history[-1].commit.id

    def _at(self, commit: str) -> Snapshot:
        wanted = commit or self.head()
        for snapshot in self._history:
            if snapshot.commit.id == wanted:
                return snapshot
        raise DurableStateError(f"the clone lacks commit {wanted}")

    def read(self, path: str, at: str = "") -> str | None:
        return self._at(at).files.get(path)

    def files(self, folder: str, at: str = "") -> tuple[str, ...]:
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        return tuple(sorted(path for path in self._at(at).files if path.startswith(prefix)))

    def log(self, paths: Sequence[str] = (), since: str = "", limit: int = 0) -> tuple[Commit, ...]:
        self.head()
        snapshots = list(self._history)
        if since:
            snapshots = snapshots[snapshots.index(self._at(since)) + 1 :]
        found = [one.commit for one in reversed(snapshots) if not paths or any(_under(path, paths) for path in one.touched)]
        return tuple(found[:limit] if limit else found)

    def diff(self, edits: Sequence[Edit]) -> str:
        return "".join(unified(edit.path, self.read(edit.path), edit.text) for edit in edits)

    def journal(self, group: Group) -> Journal:
        if str(group) in self._rewritten:
            raise DurableStateError(f"the journal of {group} was rewritten at the remote (now {self.remote.tip(group)[:12]})")
        swaps = self._swaps.get(str(group), ())
        return Journal(swaps[-1].tip if swaps else "", self._records_of(str(group), swaps))

    def _records_of(self, name: str, swaps: tuple[Swap, ...]) -> tuple[Record, ...]:
        """All of them, those that were read before remembered."""
        known, records = self._read.get(name, ((), ()))
        fresh = swaps[len(known) :] if swaps[: len(known)] == known else swaps
        records = (*(records if fresh is not swaps else ()), *(record for swap in fresh for record in records_in(swap.lines)))
        self._read[name] = swaps, records
        return records

    def claims(self, *, limit_s: float | None = None) -> Mapping[str, Claimed]:
        with _GUARD:
            if self.remote.down:
                raise DependencyDown("the Git remote does not answer: it is down", next_step="bennu rotate resume")
            if self.remote.claims:
                for name, swaps in self.remote.journals.items():
                    self._follow(name, tuple(swaps))
            return dict(self.remote.claims)

    # --- writing ---

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        if change is not None:
            self._allowed(change)
        self.journal(group)
        for move in moves:
            uid(move.cluster)
        for _ in range(_TRIES):
            base = self._at("")
            edits = {edit.path: edit.text for edit in change.edits} if change else {}
            snapshot = self.remote.built(base, change.message, edits, self._author) if change else None
            on = snapshot.commit.id if snapshot else base.commit.id
            lines = rendered(records)
            swap = Swap(hashlib.sha1(f"{seen} {on} {lines}".encode()).hexdigest(), seen, lines, on)
            if self._pushed(_Push(group, swap, snapshot, tuple(moves)), base):
                return Advance(snapshot.commit.id if snapshot else "", swap.tip)
            self._moved_on(base, edits)
        raise StoppedSafe(f"the branch moved, or was busy, {_TRIES} times while Bennu pushed", next_step="bennu rotate resume")

    def _allowed(self, change: Change) -> None:
        for edit in change.edits:
            parts = edit.path.split("/")
            strange = any(part in ("", ".", "..", ".git") for part in parts) or "\x00" in edit.path
            if strange or not edit.path.startswith("clusters/"):
                raise BennuError(f"a commit would have touched {edit.path!r}, which is not Bennu's to write")

    def _pushed(self, push: _Push, base: Snapshot) -> bool:
        remote, name = self.remote, str(push.group)
        with _GUARD:
            if remote.before_push:
                remote.before_push.pop(0)()
            if remote.down:
                raise self._unheard(push)
            if remote.tip(push.group) != push.swap.before:
                raise self._lost(push)
            for move in push.moves:
                if (remote.claims[move.cluster].tip if move.cluster in remote.claims else "") != move.seen:
                    raise ClusterHeld(f"the claim of {move.cluster} moved while it was to be taken")
            if push.snapshot is not None and remote.history[-1].commit.id != base.commit.id:
                return False
            if remote.refusal:
                raise GateRefused(f"the push was rejected by the host's rules: {remote.refusal}")
            remote.journals.setdefault(name, []).append(push.swap)
            for move in push.moves:
                remote.claims.pop(move.cluster, None)
                if move.claim is not None:
                    remote.claims[move.cluster] = Claimed(
                        hashlib.sha1(f"{push.swap.tip} {move}".encode()).hexdigest(), move.claim, f"refs/notes/bennu-clusters/{move.cluster}"
                    )
            if push.snapshot is not None:
                remote.history.append(push.snapshot)
            if remote.lost_answers:
                remote.lost_answers -= 1
                if remote.dies_then:
                    remote.down = True
                    raise self._unheard(push)
            self._swaps[name] = (*self._swaps.get(name, ()), push.swap)
            if push.snapshot is not None:
                self._history = (*self._history, push.snapshot)
            return True

    def _unheard(self, push: _Push) -> DependencyDown:
        self._unknown.add(push.swap.tip)
        return DependencyDown("the Git remote does not answer: it is down", next_step="bennu rotate resume")

    def _lost(self, push: _Push) -> BennuError:
        now = self.remote.tip(push.group)
        if not now:
            return DurableStateError(f"the journal of {push.group} was deleted at the remote; Bennu last saw {push.swap.before[:12]}")
        self.fetch()
        records = self.journal(push.group).records
        if now in self._unknown:
            return StoppedSafe("a push that got no answer has arrived after all", changed="the journal has it", next_step="bennu rotate resume")
        who = f"{records[-1].holder} ({records[-1].kind} at {records[-1].at})" if records else "somebody"
        return LockLost(f"the lock of {push.group} was lost to {who}", changed="nothing since; no further effect follows", next_step="bennu rotate status")

    def _moved_on(self, base: Snapshot, edits: Mapping[str, str | None]) -> None:
        freshness = self.fetch()
        if freshness.problem:
            raise DependencyDown(freshness.problem, next_step="bennu rotate resume")
        for commit in self.log(list(edits), since=base.commit.id) if edits else ():
            raise StoppedSafe(f"commit {commit.id[:12]} by {commit.author} ('{commit.subject}') changed the same files")

    def probe_push(self) -> str:
        if self.remote.down:
            raise DependencyDown("the Git remote does not answer: it is down")
        return ""

    def probe_notes(self, group: Group) -> str:
        return "the Git remote does not answer: it is down" if self.remote.down else self.remote.refusal

    # --- another laptop ---

    def elsewhere(self, author: str = "") -> MemoryRepository:
        """A fresh clone of the same remote."""
        return MemoryRepository(self.remote, author=author or self._author, now=self._now)


@lru_cache(maxsize=4000)
def records_in(lines: str) -> tuple[Record, ...]:
    return parse_all(lines)


def rewound(remote: MemoryRemote, group: Group) -> None:
    """Somebody force-pushes the journal: its last swap is replaced by another."""
    swaps = remote.journals[str(group)]
    last = swaps.pop()
    swaps.append(replace(last, tip=hashlib.sha1(f"other {last.tip}".encode()).hexdigest()))


def _under(path: str, wanted: Sequence[str]) -> bool:
    return any(path == one or path.startswith(f"{one.rstrip('/')}/") for one in wanted)
