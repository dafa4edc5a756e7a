"""The checkpoint without a disk: a ``MemoryDisk`` is one machine's, each ``MemoryCheckpoint`` one process on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from bennu.core.clusters import Group
from bennu.core.record import Record, parse_all, rendered
from bennu.errors import LockHeld, StoppedSafe
from bennu.ports.checkpoint import Copy, Dump, Room, names


@dataclass
class MemoryDisk:
    """``files`` by group: (tip, lines); ``locks``: group → pid; ``full``: refuses every write; ``free``: bytes; ``damaged``: why no file can be read."""

    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    dumps: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, int] = field(default_factory=dict)
    sights: dict[str, tuple[str, float]] = field(default_factory=dict)
    machine: str = ""
    full: bool = False
    takes: int = 1 << 30  # writes, then it is full
    free: int = 1 << 40
    damaged: str = ""


class MemoryCheckpoint:
    """Port ``Checkpoint``."""

    def __init__(self, disk: MemoryDisk, pid: int = 1) -> None:
        self.disk, self.pid = disk, pid

    def save(self, group: Group, tip: str, records: Sequence[Record]) -> None:
        self._writable()
        self.disk.files[str(group)] = (tip, rendered(records))

    def load(self, group: Group) -> Copy | None:
        found = self.disk.files.get(str(group))
        if self.disk.damaged:
            return Copy(damage=self.disk.damaged)
        return None if found is None else Copy(found[0], parse_all(found[1]))

    @contextmanager
    def exclusive(self, group: Group) -> Iterator[None]:
        holder = self.disk.locks.get(str(group))
        if holder is not None:
            raise LockHeld(f"another bennu on this machine drives {group} (pid {holder})")
        self.disk.locks[str(group)] = self.pid
        try:
            yield
        finally:
            # A process that was killed leaves the lock to the kernel, which lets go of it: ``died`` says so.
            self.disk.locks.pop(str(group), None)

    def died(self) -> None:
        """This process is gone; what it had locked is free."""
        self.disk.locks = {group: pid for group, pid in self.disk.locks.items() if pid != self.pid}

    def sighted(self, group: Group, tip: str, boot_s: float) -> float:
        seen, since = self.disk.sights.get(str(group), ("", 0.0))
        if seen != tip or since > boot_s:
            since = boot_s
        if not self.disk.full:
            self.disk.sights[str(group)] = tip, since
        return since

    def machine(self) -> str:
        self.disk.machine = self.disk.machine or f"m{id(self.disk):x}"
        return self.disk.machine

    def save_dump(self, name: str, content: Iterable[bytes]) -> Dump:
        self._writable()
        name = next(one for one in names(name) if one not in self.disk.dumps)
        self.disk.dumps[name] = b"".join(content)
        return Dump(f"memory:{name}", sha256(self.disk.dumps[name]).hexdigest())

    def room(self) -> Room:
        return Room(0, "the disk cannot be written to: No space left on device") if self.disk.full else Room(self.disk.free)

    def _writable(self) -> None:
        self.disk.takes -= 1
        if self.disk.full or self.disk.takes < 0:
            raise StoppedSafe("the checkpoint cannot be written: No space left on device", next_step="free the disk, then 'bennu rotate resume'")
