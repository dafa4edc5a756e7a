"""The GitOps repository: files on the branch, and the journal in notes refs.

Bennu never works in the user's checkout; it keeps a bare clone of its own. All writes are fast-forward pushes; a journal append is a compare-and-swap of the
group's notes ref, in the same atomic push as the step's commit.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bennu.core.clusters import Group
from bennu.core.record import Record
from bennu.errors import BennuError, DependencyDown


@dataclass(frozen=True)
class Edit:
    """A file as it shall be; ``text`` None removes it. ``path`` is relative to the repository's root, with forward slashes."""

    path: str
    text: str | None


@dataclass(frozen=True)
class Change:
    """A commit to make on the branch's tip: *edits* and a message whose trailers are already in it."""

    edits: tuple[Edit, ...]
    message: str


@dataclass(frozen=True)
class Commit:
    """A commit on the branch, as history shows it."""

    id: str
    subject: str
    author: str
    at: datetime
    trailers: Mapping[str, str]


@dataclass(frozen=True)
class Journal:
    """The group's journal: the notes ref's tip (empty = no ref yet) and all records, oldest first."""

    tip: str
    records: tuple[Record, ...]


@dataclass(frozen=True)
class Claim:
    """Which group's lock holds a cluster. ``cluster`` is the UID of its kube-system, ``lock`` the id of the group's lock: a claim whose lock was let go of holds nothing."""

    cluster: str
    group: Group
    lock: str
    holder: str
    since: str


@dataclass(frozen=True)
class Claimed:
    """A cluster's ref as the remote has it: its tip, what it says (None: nothing that Bennu wrote), and its name there."""

    tip: str
    claim: Claim | None
    ref: str = ""


@dataclass(frozen=True)
class Move:
    """A cluster's ref to be moved by compare-and-swap: from tip *seen* (empty: there is none) to *claim*, None to delete it."""

    cluster: str
    seen: str
    claim: Claim | None


@dataclass(frozen=True)
class Advance:
    """What a push reached: the branch's tip (``commit`` empty where none was asked for) and the journal's new tip."""

    commit: str
    tip: str


@dataclass(frozen=True)
class Freshness:
    """When the clone last heard from the remote, and what went wrong since (empty = nothing). ``cause``: the error, where it is none of the remote's."""

    fetched_at: datetime | None
    problem: str = ""
    cause: BennuError | None = None

    def refusal(self, next_step: str) -> BennuError:
        """The error for whom what was fetched earlier will not do. DependencyDown, or what is wrong on this machine."""
        return self.cause or DependencyDown(self.problem, next_step=next_step)


class Repository(Protocol):
    """The user's GitOps repository through Bennu's own clone."""

    @property
    def branch(self) -> str:
        """The branch's name, e.g. ``main``."""

    def fetch(self, *, limit_s: float | None = None) -> Freshness:
        """Bring branch and notes refs up to date, within *limit_s* where given. With the remote down, or the own disk full: no exception, but ``problem`` says it, and reads go on from the clone."""

    def head(self) -> str:
        """The branch's tip as last fetched. Raises ConfigError if the branch doesn't exist."""

    def read(self, path: str, at: str = "") -> str | None:
        """A file's text on the branch's tip (or at a commit); None if there is none."""

    def files(self, folder: str, at: str = "") -> tuple[str, ...]:
        """All files below *folder* as paths from the root, sorted."""

    def log(self, paths: Sequence[str] = (), since: str = "", limit: int = 0) -> tuple[Commit, ...]:
        """Commits newest first, of *paths*, after commit *since*."""

    def diff(self, edits: Sequence[Edit]) -> str:
        """A unified diff of the edits against the branch's tip (what ``plan`` shows); empty if they change nothing."""

    def journal(self, group: Group) -> Journal:
        """The group's journal as last fetched. Raises DurableStateError if a record can't be read."""

    def claims(self, *, limit_s: float | None = None) -> Mapping[str, Claimed]:
        """Every cluster that is held, by its UID (``refs/notes/bennu-clusters/<uid>``), freshly asked; where there are any, the journals are read anew after them. Raises DependencyDown."""

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        """Append *records* to the journal by compare-and-swap from tip *seen*, together with a commit of *change* and the *moves* of clusters' refs, in one atomic push.

        The records become lines of the note of the new commit (or, without a change, of the branch's tip). If only the branch moved on, the commit is built
        anew on the new tip (at most 5 times) unless a foreign commit touched one of the change's paths (StoppedSafe, naming the commit). LockLost if the notes ref
        is no longer *seen*, ClusterHeld if a cluster's ref is not as its move says. A push of unknown outcome is looked up by ``ls-remote`` before anything is tried again. DependencyDown if the remote does not
        answer, or takes longer than *limit_s* for one of its answers; StoppedSafe if the own disk takes nothing, before anything was pushed. Refuses (a bug, BennuError) a change outside ``clusters/`` or inside ``catalogs/``.
        """

    def probe_push(self) -> str:
        """A push to the branch as far as it can be tried without one: empty, or the words of whoever refuses. The host's hooks, and so most of its rules, are not asked by that."""

    def probe_notes(self, group: Group) -> str:
        """Create and delete test refs in the namespaces of the journals, of the requests and of the clusters; empty if the host allows it, else which one it refuses, in its words."""


@dataclass(frozen=True)
class Request:
    """Something typed elsewhere for the holder to take up: ``verb`` is promote, rollback, abort or pause. ``rotation`` is the one it was asked of; empty in what an older Bennu left."""

    id: str
    verb: str
    by: str
    at: str
    data: Mapping[str, str]
    rotation: str = ""


@dataclass(frozen=True)
class Reply:
    """The holder's answer to a request: accepted or not, and why in words."""

    id: str
    accepted: bool
    text: str


class RequestBox(Protocol):
    """A ref beside the journal's, ``refs/notes/bennu-requests/<env>/<region>`` by default: requests and replies, append-only, by compare-and-swap like the journal."""

    def pending(self, group: Group) -> tuple[Request, ...]:
        """Requests without a reply, oldest first, freshly fetched; empty when the remote is down."""

    def post(self, group: Group, request: Request) -> None:
        """Leave a request. Raises DependencyDown."""

    def reply(self, group: Group, reply: Reply) -> None:
        """Answer one."""

    def answer(self, group: Group, request_id: str) -> Reply | None:
        """The reply to a request, freshly fetched, or None so far."""


def unified(path: str, before: str | None, after: str | None) -> str:
    """A file's change as ``git diff`` shows it: None = the file is not there. Empty where nothing changes."""
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    try:
        ((before or "") + (after or "")).encode()
    except UnicodeEncodeError:
        return f"Binary files {names[0]} and {names[1]} differ\n" if before != after else ""
    # An empty file that comes or goes has no lines to show, and is a change all the same.
    found = list(difflib.unified_diff(_lines(before), _lines(after), *names)) or ([f"--- {names[0]}\n", f"+++ {names[1]}\n"] if before != after else [])
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)


def _lines(text: str | None) -> list[str]:
    """As Git counts them: by newline alone, not by what else Unicode calls a line's end."""
    return re.findall(r"[^\n]*\n|[^\n]+", text or "")
