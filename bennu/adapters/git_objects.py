"""Commits and notes built in memory and handed to the clone as one small pack: no index, no work tree, and files that no edit names keep their very bytes and modes.

Notes commits carry their records twice: in the note of the commit that a step made (what ``git log --notes`` shows to people), and in the notes commit's own message, whose
chain is the journal in exact order.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Mapping, Sequence

from bennu.adapters.git_clone import Clone
from bennu.adapters.git_process import last_words
from bennu.adapters.git_reader import FOLDER, Entry
from bennu.adapters.git_signing import Signing
from bennu.core.record import Kind, Record, rendered
from bennu.errors import BennuError, GateRefused, StoppedSafe, UsageError
from bennu.ports.repository import Change, Edit

_FILE = "100644"
_REGULAR = (_FILE, "100755")
_PACKED = {"commit": 1, "tree": 2, "blob": 3}


def refuse_paths(edits: Sequence[Edit], clusters: str, catalogs: str) -> None:
    """Only below *clusters*, never below *catalogs*: anything else would be a defect of ours. Raises BennuError."""
    for edit in edits:
        parts = edit.path.split("/")
        inside = edit.path.startswith(f"{clusters}/") if clusters else True
        strange = any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or "\x00" in edit.path or "\n" in edit.path
        if not inside or strange or f"{edit.path}/".startswith(f"{catalogs}/"):
            raise BennuError(f"a commit would have touched {edit.path!r}, which is not Bennu's to write")


class Pen:
    """Makes objects of one clone; ``flush`` hands them over. Signs where the user signs (``git_signing``)."""

    def __init__(self, clone: Clone) -> None:
        self._clone = clone
        self._new: dict[str, tuple[str, bytes]] = {}
        self._people: tuple[str, str] | None = None
        self._signing = Signing(clone.run, clone.remote.sign_notes)

    def commit(self, parent: str, change: Change) -> str:
        """A commit of *change* on *parent*; its id. Raises GateRefused for a path that is a link or a folder, UsageError where Git doesn't know the user or can't sign."""
        edits = {edit.path: None if edit.text is None else edit.text.encode("utf-8", "surrogateescape") for edit in change.edits}
        tree = self._tree(self._clone.reader.tree_of(parent), edits, "") or self._add("tree", b"")
        return self._made(tree, parent, change.message, signed=self._signing.commits)

    def note(self, seen: str, on: str, records: Sequence[Record]) -> str:
        """A notes commit after *seen* (empty: the first) that appends *records* to the note of commit *on*; its id. A heartbeat is in the chain alone: nobody reads a night of them."""
        reader, lines = self._clone.reader, rendered(records)
        entries = reader.entries(reader.tree_of(seen)) if seen else {}
        if shown := rendered(one for one in records if one.kind is not Kind.HEARTBEAT):
            before = reader.object(entries[on].id, "blob") if on in entries else b""
            entries[on] = Entry(_FILE, self._add("blob", before + shown.encode()))
        first = records[0]
        subject = f"{first.rotation or 'bennu'}: {first.kind} {first.step or first.state}"[:72]
        return self._made(self._add("tree", _rendered(entries)), seen, f"{subject}\n\n{lines}", signed=self._signing.notes)

    def message(self, seen: str, subject: str, lines: str) -> str:
        """A commit without files after *seen*, whose message holds *lines*; its id."""
        return self._made(self._add("tree", b""), seen, f"{subject}\n\n{lines}", signed=self._signing.notes)

    def flush(self) -> None:
        """Write what was made. Raises DurableStateError where the clone can't take it."""
        if self._new:
            self._clone.checked("unpack-objects", "-q", given=_pack(list(self._new.values())))
            self._new = {}

    def _add(self, kind: str, content: bytes) -> str:
        found = hashlib.sha1(f"{kind} {len(content)}\x00".encode() + content, usedforsecurity=False).hexdigest()
        self._new[found] = (kind, content)
        return found

    def _tree(self, tree: str, edits: Mapping[str, bytes | None], where: str) -> str:
        """*tree* (empty: none) with *edits* applied, paths relative to it; empty where nothing is left, since Git knows no empty folders."""
        found = self._clone.reader.entries(tree) if tree else {}
        below: dict[str, dict[str, bytes | None]] = {}
        for path, content in edits.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = content
                continue
            mode = found[name].mode if name in found else _FILE
            if mode not in _REGULAR:
                raise _not_a_file(f"{where}{name}")
            if content is None:
                found.pop(name, None)
            else:
                found[name] = Entry(mode, self._add("blob", content))
        for name, inner in below.items():
            old = found.pop(name, Entry(FOLDER, ""))
            if old.mode != FOLDER:
                raise _not_a_file(f"{where}{name}")
            made = self._tree(old.id, inner, f"{where}{name}/")
            if made:
                found[name] = Entry(FOLDER, made)
        return self._add("tree", _rendered(found)) if found else ""

    def _made(self, tree: str, parent: str, message: str, *, signed: bool) -> str:
        if signed:
            self.flush()
            return self._signed(tree, parent, message)
        return self._commit(tree, parent, message)

    def _commit(self, tree: str, parent: str, message: str) -> str:
        author, committer = self._who()
        now = f"{time.time():.0f} {time.strftime('%z')}"
        lines = [f"tree {tree}", *([f"parent {parent}"] if parent else []), f"author {author} {now}", f"committer {committer} {now}"]
        return self._add("commit", ("\n".join(lines) + "\n\n" + message.rstrip("\n") + "\n").encode("utf-8", "surrogateescape"))

    def _signed(self, tree: str, parent: str, message: str) -> str:
        self._who()  # so that a missing identity is told from a missing key
        ran = self._clone.run(
            "commit-tree", tree, *(("-p", parent) if parent else ()), "-S", "-F", "-", given=message.encode(), limit_s=self._clone.remote.timeout_s
        )
        if ran.ok:
            return ran.out.strip()
        if ran.err.startswith("no answer within"):
            raise StoppedSafe(f"the signing key gave {ran.err}", next_step="unlock or touch the key, then 'bennu rotate resume'")
        raise UsageError(
            f"Git could not sign the commit: {last_words(ran)}", next_step="check user.signingkey, gpg.format and the key, or unset commit.gpgsign"
        )

    def _who(self) -> tuple[str, str]:
        """Author and committer as ``Name <address>``."""
        if self._people is None:
            self._people = self._ident("GIT_AUTHOR_IDENT"), self._ident("GIT_COMMITTER_IDENT")
        return self._people

    def _ident(self, variable: str) -> str:
        ran = self._clone.run("var", variable)
        if not ran.ok:
            raise UsageError(
                f"Git does not know who you are: {last_words(ran)}", next_step="git config --global user.name '…' and git config --global user.email '…'"
            )
        return ran.out.strip().rsplit(" ", 2)[0]


def _not_a_file(path: str) -> GateRefused:
    return GateRefused(f"{path} is a folder, a symbolic link or a submodule in Git; Bennu edits plain files", next_step="make it a plain file")


def _rendered(entries: Mapping[str, Entry]) -> bytes:
    """A tree object's content: sorted as if folders ended in a slash."""
    raw = [(name.encode("utf-8", "surrogateescape"), entry) for name, entry in entries.items()]
    raw.sort(key=lambda pair: pair[0] + (b"/" if pair[1].mode == FOLDER else b""))
    return b"".join(entry.mode.encode() + b" " + name + b"\x00" + bytes.fromhex(entry.id) for name, entry in raw)


def _pack(objects: Sequence[tuple[str, bytes]]) -> bytes:
    """Git's pack format, version 2, without deltas."""
    body = b"PACK" + (2).to_bytes(4, "big") + len(objects).to_bytes(4, "big")
    parts = [body]
    for kind, content in objects:
        size = len(content)
        byte, size = _PACKED[kind] << 4 | size & 15, size >> 4
        head = bytearray()
        while size:
            head.append(byte | 0x80)
            byte, size = size & 0x7F, size >> 7
        head.append(byte)
        parts += [bytes(head), zlib.compress(content, 1)]
    whole = b"".join(parts)
    return whole + hashlib.sha1(whole, usedforsecurity=False).digest()
