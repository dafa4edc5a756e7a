"""The port ``Repository``: files of the branch, and the journal advanced by compare-and-swap.

What a push did is believed only from the remote's own refs: a push of unknown outcome is looked up by ``ls-remote`` and compared with our own, unique objects. Refs are fetched
forward only: a history that was rewritten at the remote ends in an error, never in ours being forgotten.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bennu.adapters import git_claims
from bennu.adapters.git_clone import Clone, Remote
from bennu.adapters.git_objects import Pen, refuse_paths
from bennu.adapters.git_process import Ran, last_words, plain
from bennu.adapters.git_refs import CLUSTERS, USUAL, local
from bennu.core.clusters import Group
from bennu.core.record import Record, parse_all
from bennu.errors import ClusterHeld, ConfigError, DurableStateError, GateRefused, LockLost, StoppedSafe
from bennu.ports.repository import Advance, Change, Claimed, Commit, Edit, Freshness, Journal, Move, unified

__all__ = ["GitRepository", "Remote"]

_TRIES = 5  # row 27 of the fault catalogue
_BRANCH = "refs/bennu/branch"
_OF_CLUSTERS = re.compile(rf":(refs/\S*{re.escape(CLUSTERS)})")
# What a user's configuration would change about the output of `git log`.
PLAIN_LOG = ("--no-show-signature", "--no-color", "--no-mailmap", "--encoding=UTF-8")
_BUSY = re.compile(r"cannot lock ref|failed to (update|lock)|File exists")
_REJECTED = re.compile(r"^ ! \[rejected\] +\S+ +-> (\S+)", re.MULTILINE)


@dataclass
class _Look:
    """What was read since the last fetch. Replaced as a whole: what another thread still reads by an older one must not be kept in the next."""

    tip: str = ""
    texts: dict[str, str | None] = field(default_factory=dict)


class GitRepository:
    """One remote through one bare clone. Threads may read while one of them writes."""

    def __init__(self, state: Path, remote: Remote) -> None:
        self._clone = Clone(state, remote)
        self._pen = Pen(self._clone)
        self._remote, self._refs = remote, remote.refs
        self._journals: dict[str, Journal] = {}
        self._look = _Look()
        self._rewritten: frozenset[str] = frozenset()
        self._unknown: set[str] = set()  # notes commits whose push may or may not have arrived

    @property
    def branch(self) -> str:
        """See the port."""
        return self._remote.branch

    @property
    def clone(self) -> Clone:
        """For the request box, which shares it."""
        return self._clone

    # Reading

    def fetch(self, *, limit_s: float | None = None) -> Freshness:
        """See the port."""
        try:
            ran = self._clone.fetched(f"refs/heads/{self.branch}:{_BRANCH}", *self._refs.fetched, limit_s=limit_s)
        except StoppedSafe as own:
            return Freshness(self._fetched_at(), own.message, own)
        self._look_again()
        self._rewritten = frozenset(_REJECTED.findall(ran.err))
        if _BRANCH in self._rewritten:
            raise self._behind(self._clone.reader.id(_BRANCH))
        if not ran.ok and not self._rewritten:
            if "couldn't find remote ref" in ran.err:
                raise ConfigError(f"the remote has no branch {self.branch}", file="bennu.yaml", next_step="check repository.branch and repository.remote")
            return Freshness(self._fetched_at(), self._clone.unreachable(ran).message)
        with contextlib.suppress(OSError):  # a disk that is read only: it only says how old what is there is
            self._stamp().touch()
        return Freshness(self._fetched_at())

    def head(self) -> str:
        """See the port."""
        return self._tip(self._look)

    def _tip(self, look: _Look) -> str:
        if not look.tip:
            look.tip = self._clone.reader.id(_BRANCH)
        if not look.tip:
            freshness = self.fetch()
            look.tip = self._clone.reader.id(_BRANCH)
            if not look.tip:
                raise freshness.refusal("check repository.remote, the network and the credentials")
        return look.tip

    def read(self, path: str, at: str = "") -> str | None:
        """See the port."""
        if at:
            return self._text(at, path)
        look = self._look
        if path not in look.texts:
            look.texts[path] = self._text(self._tip(look), path)
        return look.texts[path]

    def files(self, folder: str, at: str = "") -> tuple[str, ...]:
        """See the port."""
        return tuple(self._clone.reader.files(at or self.head(), folder.strip("/")))

    def log(self, paths: Sequence[str] = (), since: str = "", limit: int = 0) -> tuple[Commit, ...]:
        """See the port."""
        form = "%H%x1f%s%x1f%an%x1f%cI%x1f%(trailers:only,unfold)%x00"
        span = f"{since}..{self.head()}" if since else self.head()
        count = [f"--max-count={limit}"] if limit else []
        # Full history: a colleague's change that a later merge made invisible was still a change.
        out = self._clone.checked("log", *PLAIN_LOG, "--full-history", f"--format={form}", *count, span, "--", *paths)
        return tuple(_commit(part) for part in out.split("\x00") if part.strip())

    def diff(self, edits: Sequence[Edit]) -> str:
        """See the port."""
        return "".join(unified(edit.path, self.read(edit.path), edit.text) for edit in edits)

    def journal(self, group: Group) -> Journal:
        """See the port."""
        ref = local(group)
        if ref in self._rewritten:
            raise self._rewrote(ref, self._refs.journal(group))
        tip = self._clone.reader.id(ref)
        if not tip:
            return Journal("", ())
        if (known := self._journals.get(tip)) is None:
            out = self._clone.checked("log", *PLAIN_LOG, "--first-parent", "--reverse", "--format=%b%x00", tip)
            known = Journal(tip, tuple(record for part in out.split("\x00") for record in parse_all(part)))
            self._anchored(tip)
            self._journals = {tip: known}
        return known

    def claims(self, *, limit_s: float | None = None) -> Mapping[str, Claimed]:
        """See the port."""
        for _ in range(_TRIES):
            ran = self._ls_remote(self._refs.cluster("*"), limit_s=limit_s)
            tips = git_claims.tips(_tips(ran))
            if ran.ok and not tips:
                return {}
            if ran.ok:
                # The journals with them: by these a claim is judged.
                ran = self._clone.fetched(self._refs.claims, *self._refs.fetched, limit_s=limit_s)
                self._rewritten |= frozenset(_REJECTED.findall(ran.err))
            if not ran.ok and not _REJECTED.search(ran.err):
                raise self._clone.unreachable(ran)
            found = git_claims.read(self._clone, self._refs, tips)
            if found is not None:
                return found
        raise StoppedSafe(f"the clusters' refs moved {_TRIES} times while Bennu read them", next_step="try again")

    # Writing

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        """See the port."""
        if change is not None:
            refuse_paths(change.edits, self._remote.clusters, self._remote.catalogs)
        known = self.journal(group)
        if not seen:
            self._refuse_second(group)
        for _ in range(_TRIES):
            base = self.head()
            commit = self._pen.commit(base, change) if change is not None else ""
            notes = self._pen.note(seen, commit or base, records)
            also, clusters = git_claims.pushed(self._pen, self._refs, moves)
            self._pen.flush()
            if self._pushed(_Push(group, seen, commit, notes, tuple(also), clusters), limit_s):
                self._accept(group, commit, notes)
                if known.tip == seen:
                    self._journals = {notes: Journal(notes, (*known.records, *records))}
                return Advance(commit, notes)
            self._moved_on(base, change)
        raise StoppedSafe(f"the branch moved, or was busy, {_TRIES} times while Bennu pushed", next_step="bennu rotate resume")

    def probe_push(self) -> str:
        """See the port."""
        freshness = self.fetch()
        if freshness.problem:
            raise freshness.refusal("try again when it answers")
        probe = self._pen.message(self.head(), "bennu: may this branch be pushed to?", "")
        self._pen.flush()
        ran = self._push("--dry-run", f"{probe}:refs/heads/{self.branch}")
        if not ran.ok and not _verdicts(ran):
            raise self._clone.unreachable(ran)
        return "" if ran.ok else _refusal(ran)

    def probe_notes(self, group: Group) -> str:
        """See the port."""
        refs = self._refs.probes(f"{group.env}-{group.region}-{os.getpid()}-{time.time_ns()}")
        probe = self._pen.message("", "bennu: may this ref be written?", f"{os.getpid()} {time.time_ns()}\n")
        self._pen.flush()
        made = self._push("--atomic", *(f"{probe}:{ref}" for ref in refs))
        gone = self._push("--atomic", *(f":{ref}" for ref in refs)) if made.ok else made
        return "" if gone.ok else _refusal(gone)

    def _push(self, *arguments: str, limit_s: float | None = None) -> Ran:
        fixed = ("push", "--porcelain", "--no-follow-tags", "--no-recurse-submodules")
        flags, specs = [one for one in arguments if one.startswith("--")], [one for one in arguments if not one.startswith("--")]
        return self._clone.network(*fixed, *flags, "--", self._remote.url, *specs, limit_s=limit_s)

    def _pushed(self, push: _Push, limit_s: float | None) -> bool:
        """True: all refs are ours. False: the branch moved on, build anew. Raises LockLost, ClusterHeld, GateRefused, DependencyDown, DurableStateError."""
        group, seen, commit, notes = push.group, push.seen, push.commit, push.notes
        ref, branch = self._refs.journal(group), f"refs/heads/{self.branch}"
        specs = [f"{notes}:{ref}", *([f"{commit}:{branch}"] if commit else []), *push.also]
        ran = self._push("--atomic", f"--force-with-lease={ref}:{seen}", *specs, limit_s=limit_s)
        if ran.ok:
            return True
        refused = bool(_verdicts(ran)) or "does not support" in ran.err
        remote = self._listed(ref, branch, *push.clusters, limit_s=limit_s)
        if remote is None:
            self._unknown.add(notes)
            raise self._clone.unreachable(ran)
        if remote.get(ref, "") == notes:
            return True  # the connection was cut after the push had been done
        if remote.get(ref, "") != seen:
            raise self._lost(group, seen, remote.get(ref, ""))
        if not refused:
            self._unknown.add(notes)  # the host may be at it still
            raise self._clone.unreachable(ran)
        if moved := [name for name, tip in push.clusters.items() if remote.get(name, "") != tip]:
            raise ClusterHeld(f"{moved[0]} moved while it was to be taken", next_step="try again")
        if commit and remote.get(branch, "") != self.head():
            return False
        if _BUSY.search(_refusal(ran)):
            return False  # somebody else's push is at this very ref: the next try shows who won
        raise GateRefused(
            f"the push was rejected by the host's rules: {_refusal(ran)}",
            next_step="let this user push to the branch (protection, required signatures, required checks); Bennu goes around none of them",
        )

    def _listed(self, *refs: str, limit_s: float | None = None) -> Mapping[str, str] | None:
        ran = self._ls_remote(*refs, limit_s=limit_s)
        return _tips(ran) if ran.ok else None

    def _ls_remote(self, *refs: str, limit_s: float | None) -> Ran:
        return self._clone.network("ls-remote", "--quiet", "--", self._remote.url, *refs, limit_s=limit_s)

    def _lost(self, group: Group, seen: str, now: str) -> LockLost | DurableStateError | StoppedSafe:
        if not now:
            ref = self._refs.journal(group)
            return DurableStateError(
                f"the journal {ref} was deleted at the remote; Bennu last saw {seen[:12]}",
                next_step=f"find out who did it; 'git push <remote> {seen}:{ref}' from {self._clone.path} puts it back",
            )
        self.fetch()
        records = self.journal(group).records
        if now in self._unknown:
            return StoppedSafe("a push that got no answer has arrived after all", changed="the journal has it", next_step="bennu rotate resume")
        who = f"{records[-1].holder} ({records[-1].kind} at {records[-1].at})" if records else "somebody"
        return LockLost(f"the lock of {group} was lost to {who}", changed="nothing since; no further effect follows", next_step="bennu rotate status")

    def _refuse_second(self, group: Group) -> None:
        """A journal is begun where the setting says only if none lies where it says nothing: whoever lacks the setting would hold a lock of their own. Raises DurableStateError."""
        usual, chosen = USUAL.journal(group), self._refs.journal(group)
        found = (self._listed(usual) or {}).get(usual, "") if usual != chosen else ""
        if found:
            raise DurableStateError(
                f"repository.journal_ref says {chosen}, and {group} has its journal in {usual}",
                next_step=f"move it while no rotation is open: git fetch <remote> {usual}:{usual}, then git push <remote> {usual}:{chosen} :{usual}",
            )

    def _rewrote(self, ours: str, theirs: str) -> DurableStateError:
        return self._cut_off(self._clone.reader.id(ours), theirs, f"mv {self._clone.path} away")

    def _cut_off(self, before: str, theirs: str, accept: str) -> DurableStateError:
        """*theirs* lacks *before*; *accept* is what to do where that is meant. Bennu itself never decides which history counts."""
        after = (self._listed(theirs) or {}).get(theirs, "")
        return DurableStateError(
            f"{theirs} was rewritten at the remote: it was at {before}, which is no longer part of it, and is at {after or 'an unknown commit'}",
            next_step=f"find out who force-pushed, and compare both. If the old one is right: 'git push --force <remote> {before}:{theirs}' from a clone that has it "
            f"(such as {self._clone.path}). If the new one is: {accept}, and see that Git and the clusters agree. Then 'bennu rotate resume'",
        )

    def _anchored(self, tip: str) -> None:
        """The commit that the journal's last record was noted on is in the clone: a branch that was rewritten lacks it, also for a laptop that never saw it. Raises DurableStateError."""
        reader = self._clone.reader
        parent = next((line[7:].decode() for line in reader.object(tip, "commit").split(b"\n\n", 1)[0].split(b"\n") if line.startswith(b"parent ")), "")
        before = reader.entries(reader.tree_of(parent)) if parent else {}
        notes = reader.entries(reader.tree_of(tip))
        for name in [name for name, entry in notes.items() if before.get(name) != entry] or notes:
            if reader.find(name) is None and (self.fetch().problem or reader.find(name) is None):
                raise self._behind(name)

    def _behind(self, commit: str) -> DurableStateError:
        return self._cut_off(commit, f"refs/heads/{self.branch}", f"make it contain the old one ('git merge -s ours {commit[:12]}'), push that")

    def _moved_on(self, base: str, change: Change | None) -> None:
        freshness = self.fetch()
        if freshness.problem:
            raise freshness.refusal("bennu rotate resume")
        mine = [edit.path for edit in change.edits] if change else []
        for commit in self.log(mine, since=base) if mine else ():
            raise StoppedSafe(
                f"commit {commit.id[:12]} by {commit.author} ('{commit.subject}') changed the same files",
                next_step=f"look at it ('git show {commit.id[:12]}'), then 'bennu rotate resume'",
            )

    def _accept(self, group: Group, commit: str, notes: str) -> None:
        lines = [f"update {local(group)} {notes}\n", *([f"update {_BRANCH} {commit}\n"] if commit else [])]
        try:
            self._clone.changed("update-ref", "--stdin", given="".join(lines).encode())
        except StoppedSafe as own:
            own.changed = "what was pushed is at the remote"
            raise
        if commit:
            self._look_again()

    def _look_again(self) -> None:
        self._look = _Look()

    def _text(self, commit: str, path: str) -> str | None:
        entry = self._clone.reader.entry(commit, path)
        # Bytes that are not UTF-8 survive the way through str and back: a copied image stays the image.
        return self._clone.reader.object(entry.id, "blob").decode("utf-8", "surrogateescape") if entry is not None and entry.is_file else None

    def _stamp(self) -> Path:
        return self._clone.path / "bennu-fetched"

    def _fetched_at(self) -> datetime | None:
        try:
            return datetime.fromtimestamp(self._stamp().stat().st_mtime, UTC)
        except OSError:
            return None


def _verdicts(ran: Ran) -> list[str]:
    """The porcelain's lines about refs that were not taken."""
    return [line for line in ran.out.splitlines() if line.startswith("!")]


def _tips(ran: Ran) -> dict[str, str]:
    return {name: tip for tip, _, name in (line.partition("\t") for line in ran.out.splitlines())}


@dataclass(frozen=True)
class _Push:
    """What one push carries: *also* its arguments for clusters' refs, *clusters* those refs with the tip that each must have."""

    group: Group
    seen: str
    commit: str
    notes: str
    also: tuple[str, ...] = ()
    clusters: Mapping[str, str] = field(default_factory=dict)


def _refusal(ran: Ran) -> str:
    """The host's words: from the porcelain's ``!`` lines, else git's last line. Of a cluster's ref it says that it is one: a host may take the journal's, and not these."""
    parts = [line.split("\t") for line in _verdicts(ran)]
    lines = [f"{beside[1]}*: {part[-1]}" if (beside := _OF_CLUSTERS.search(part[1])) else part[-1] for part in parts if "atomic push fail" not in part[-1]]
    remote = [line.removeprefix("remote: ") for line in ran.err.splitlines() if line.startswith("remote: ")]
    return "; ".join(dict.fromkeys(plain(line) for line in [*lines, *remote[:5]] if plain(line))) or last_words(ran)


def _commit(part: str) -> Commit:
    found = part.strip("\n").split("\x1f")
    trailers = dict(line.split(": ", 1) for line in found[4].splitlines() if ": " in line) if len(found) > 4 else {}
    return Commit(found[0], found[1], found[2], datetime.fromisoformat(found[3]), trailers)
