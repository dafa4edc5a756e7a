"""The local copy of the journal, and the lock between two terminals of one machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from bennu.core.clusters import Group
from bennu.core.record import Record


@dataclass(frozen=True)
class Dump:
    """A file that was kept."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Copy:
    """What the checkpoint file holds: the journal's tip and its records. ``damage`` says why it cannot be read, empty where it can."""

    tip: str = ""
    records: tuple[Record, ...] = ()
    damage: str = ""


@dataclass(frozen=True)
class Room:
    """What the disk that a run writes to still takes: bytes, and why it takes nothing (empty: it does)."""

    free: int
    problem: str = ""


def names(name: str) -> Iterator[str]:
    """*name*, and then that name with a number: for a file that must not take another one's place."""
    yield name
    stem, dot, kind = name.rpartition(".")
    for number in count(2):
        yield f"{stem}-{number}{dot}{kind}"


class Checkpoint(Protocol):
    """A file of 0600 per group, replaced atomically (temp, fsync, rename, fsync of the folder), with a checksum."""

    def save(self, group: Group, tip: str, records: Sequence[Record]) -> None:
        """Write all records of the current rotation. Raises StoppedSafe if the disk refuses."""

    def load(self, group: Group) -> Copy | None:
        """The copy, None where there is none. One that is damaged is no error: it is a cache, Git and the world outrank it.

        Raises UsageError for what is no plain file of the user's own, StoppedSafe for one that the disk does not give, DurableStateError for one that a newer Bennu wrote.
        """

    def exclusive(self, group: Group) -> AbstractContextManager[None]:
        """The file lock between processes of this machine; LockHeld at once if taken, naming the pid. Raises UsageError for what is no plain file of the user's own, StoppedSafe if the disk refuses."""

    def sighted(self, group: Group, tip: str, boot_s: float) -> float:
        """This machine sees the remote's journal at *tip* now (*boot_s*, the clock's boot time). Since when it has seen that one, by the same clock; begun anew with each other tip and each boot.

        What cannot be kept is forgotten: that makes the answer later, never earlier.
        """

    def machine(self) -> str:
        """A name for this machine and this state directory, the same for as long as both last: whoever has it shares the file lock. Raises StoppedSafe if the disk refuses."""

    def save_dump(self, name: str, content: Iterable[bytes]) -> Dump:
        """Keep a file (0600) beside the checkpoints, for what must not be lost, and one that ``sha256sum -c`` reads. Whole or not at all, under a name that
        no other file has: what was kept is never overwritten. Raises StoppedSafe if the disk refuses."""

    def room(self) -> Room:
        """What is left on the disk below the checkpoints and below Bennu's clone; found out by writing to both."""
