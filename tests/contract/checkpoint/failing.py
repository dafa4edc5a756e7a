"""A disk that fails when it is told to: the n-th system call of a writer, with any of the errors that a real one has."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from bennu.adapters.disk import Disk

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES)


class FailingDisk(Disk):
    """The real calls, counted by name in ``calls``; the *nth* (from 1; 0: none) fails with *number*, and where it is *lasting* all that follow it do, too. A write takes up to *takes* bytes, as on a disk that is nearly full."""

    def __init__(self, nth: int = 0, number: int = errno.ENOSPC, *, lasting: bool = False, takes: int = 1 << 30) -> None:
        self.nth, self.number, self.lasting, self.takes = nth, number, lasting, takes
        self.calls: list[str] = []
        self.failed: list[str] = []

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        self._reached("open-folder" if flags & os.O_DIRECTORY else "open")
        return super().open(path, flags, mode)

    def write(self, descriptor: int, content: bytes) -> int:
        self._reached("write")
        return super().write(descriptor, content[: self.takes])

    def fsync(self, descriptor: int) -> None:
        self._reached("fsync-folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync")
        super().fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        self._reached("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._reached("unlink")
        super().unlink(path)

    def mkdir(self, path: Path) -> None:
        self._reached("mkdir")
        super().mkdir(path)

    def flock(self, descriptor: int) -> None:
        self._reached("flock")
        super().flock(descriptor)

    def truncate(self, descriptor: int) -> None:
        self._reached("truncate")
        super().truncate(descriptor)

    def free(self, folder: Path) -> int:
        self._reached("free")
        return super().free(folder)

    def _reached(self, name: str) -> None:
        self.calls.append(name)
        if self.nth and (len(self.calls) == self.nth or (self.lasting and len(self.calls) > self.nth)):
            self.failed.append(name)
            raise OSError(self.number, os.strerror(self.number))
