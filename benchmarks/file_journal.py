"""The journal of a benchmark: an append-only file with the repository's compare-and-swap, and the two traffic-state files that S6 reads.

``FileRepository`` keeps the port ``Repository`` as far as S6 asks it. A tip is the number of lines and a digest of them; an append under another tip is LockLost, as a lost swap of
the notes ref is. The lines are on disk (fsync) before an append returns. There is no branch: a commit is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from benchmarks.file_pointer import locked
from bennu.core.clusters import Group
from bennu.core.record import Record, parse_all, rendered
from bennu.errors import LockLost
from bennu.ports.repository import Advance, Change, Claimed, Commit, Edit, Freshness, Journal, Move


class FileRepository:
    """Port ``Repository`` over one file below *folder*."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self._journal, self._files = folder / "journal.jsonl", dict(files)
        self._lock = folder / "journal.lock"

    @property
    def branch(self) -> str:
        """See the port."""
        return "main"

    def fetch(self, *, limit_s: float | None = None) -> Freshness:
        """See the port: a file is never stale."""
        return Freshness(datetime.now().astimezone())

    def head(self) -> str:
        """See the port."""
        return "0" * 40

    def read(self, path: str, at: str = "") -> str | None:
        """See the port."""
        return self._files.get(path)

    def files(self, folder: str, at: str = "") -> tuple[str, ...]:
        """See the port."""
        return tuple(sorted(path for path in self._files if path.startswith(f"{folder.rstrip('/')}/")))

    def log(self, paths: Sequence[str] = (), since: str = "", limit: int = 0) -> tuple[Commit, ...]:
        """See the port: nobody commits here."""
        return ()

    def diff(self, edits: Sequence[Edit]) -> str:
        """See the port."""
        raise NotImplementedError("a benchmark's repository has no branch to compare with")

    def journal(self, group: Group) -> Journal:
        """See the port."""
        text = self._text()
        return Journal(_tip(text), parse_all(text))

    def claims(self, *, limit_s: float | None = None) -> Mapping[str, Claimed]:
        """See the port."""
        return {}

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        """See the port. One write a call, so that a killed process leaves whole lines."""
        if change is not None:
            raise NotImplementedError("a benchmark's repository takes no commits")
        with locked(self._lock):
            text = self._text()
            if _tip(text) != seen:
                raise LockLost("the journal has moved on: somebody took over", next_step="bennu rotate status")
            handle = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, rendered(records).encode())
                os.fsync(handle)
            finally:
                os.close(handle)
            return Advance("", _tip(self._text()))

    def probe_push(self) -> str:
        """Nobody refuses."""
        return ""

    def probe_notes(self, group: Group) -> str:
        """See the port."""
        return ""

    def _text(self) -> str:
        return self._journal.read_text(encoding="utf-8") if self._journal.exists() else ""


def _tip(text: str) -> str:
    return f"{text.count(chr(10))}-{hashlib.sha256(text.encode()).hexdigest()}" if text else ""
