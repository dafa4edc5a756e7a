"""The system calls that write Bennu's own files: each may fail, and a caller says what that means.

They stand in a class so that a test can hand in one whose n-th call fails, which no real disk does on demand.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
# What says that the disk, not the file, is at fault; git's words for it, too (LC_ALL=C).
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)


class Disk:
    """Thin: one method a call. Each raises OSError. No descriptor is inherited by a child."""

    def open(self, path: Path, flags: int, mode: int = 0o600) -> int:
        """A descriptor."""
        return os.open(path, flags | os.O_CLOEXEC, mode)

    def write(self, descriptor: int, content: bytes) -> int:
        """How many bytes were taken."""
        return os.write(descriptor, content)

    def fsync(self, descriptor: int) -> None:
        """Of a file, or of a folder whose entries shall last."""
        os.fsync(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Atomic, over what is there."""
        os.rename(old, new)  # noqa: PTH104  # the call itself is what may fail

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        os.unlink(path)  # noqa: PTH108

    def mkdir(self, path: Path) -> None:
        """Make a folder of the user's own, unless it is there."""
        path.mkdir(mode=0o700, exist_ok=True)

    def flock(self, descriptor: int) -> None:
        """The exclusive lock, at once. BlockingIOError where another process has it."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def truncate(self, descriptor: int) -> None:
        """To nothing."""
        os.ftruncate(descriptor, 0)

    def free(self, folder: Path) -> int:
        """Bytes that a user without privileges may still write to the file system of *folder*; a quota is not in it."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


def folder_made(disk: Disk, folder: Path) -> None:
    """*folder* and what it lies in. Raises OSError."""
    if folder.is_dir():
        return
    folder_made(disk, folder.parent)
    disk.mkdir(folder)


def replaced(disk: Disk, path: Path, content: Iterable[bytes]) -> None:
    """Write *path* (0600) so that whoever opens it finds the old content or the new one, and the new one for good once this returns. Raises OSError, with nothing left beside it."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = disk.open(temporary, _NEW)
    try:
        try:
            for part in content:
                written(disk, descriptor, part)
            disk.fsync(descriptor)
        finally:
            os.close(descriptor)
        disk.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.unlink(temporary)
        raise
    folder_synced(disk, path.parent)


def written(disk: Disk, descriptor: int, content: bytes) -> None:
    """All of *content*: a disk that is nearly full takes less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[disk.write(descriptor, bytes(rest[: 1 << 20])) :]


def folder_synced(disk: Disk, folder: Path) -> None:
    """A rename lasts only once its folder is on the disk."""
    descriptor = disk.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)


def tried(disk: Disk, folder: Path) -> None:
    """Write a page to *folder* and take it away again. Raises OSError."""
    path = folder / f".probe.{secrets.token_hex(6)}"
    descriptor = disk.open(path, _NEW)
    try:
        written(disk, descriptor, bytes(4096))
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)
        disk.unlink(path)
