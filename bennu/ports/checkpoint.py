"""The local copy of the journal, and the lock between two terminals of one machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bennu.core.clusters import Group
from bennu.core.record import Record


@dataclass(frozen=True)
class Dump:
    """A file that was kept."""

    path: str
    sha256: str


class Checkpoint(Protocol):
    """A file of 0600 per group, replaced atomically (temp, fsync, rename, fsync of the folder), with a checksum."""

    def save(self, group: Group, tip: str, records: Sequence[Record]) -> None:
        """Write all records of the current rotation. Raises StoppedSafe if the disk refuses."""

    def load(self, group: Group) -> tuple[str, tuple[Record, ...]] | None:
        """(journal tip, records); None if missing or damaged (it is a cache: Git and the world outrank it).

        Raises UsageError for a symlink or a foreign owner, DurableStateError for a file that a newer Bennu wrote or that the disk does not give.
        """

    def exclusive(self, group: Group) -> AbstractContextManager[None]:
        """The file lock between processes of this machine; LockHeld at once if taken, naming the pid."""

    def save_dump(self, name: str, content: Iterable[bytes]) -> Dump:
        """Keep a file (0600) beside the checkpoints, for what must not be lost, and one that ``sha256sum -c`` reads. Whole or not at all. Raises StoppedSafe if the disk refuses."""
