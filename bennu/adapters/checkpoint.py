"""The checkpoint file: the journal's records on this machine's disk, written so that a reader finds the old file or the new one, never half of one.

A cache: what is damaged is ignored and rebuilt from Git. What could be an attack (a symlink, a foreign owner) is refused.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bennu.core.clusters import Group
from bennu.core.record import Record, parse_all, rendered
from bennu.errors import DurableStateError, LockHeld, StoppedSafe, UsageError
from bennu.ports.checkpoint import Dump

_NAME, _VERSION = "bennu-checkpoint", 1


class FileCheckpoint:
    """The port ``Checkpoint`` below a state directory (made 0700)."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "checkpoints"

    def save(self, group: Group, tip: str, records: Sequence[Record]) -> None:
        """See the port."""
        body = rendered(records)
        header = {"format": f"{_NAME}-{_VERSION}", "tip": tip, "sha256": hashlib.sha256(body.encode()).hexdigest()}
        self._write(self._path(group), ((json.dumps(header) + "\n" + body).encode(),))

    def load(self, group: Group) -> tuple[str, tuple[Record, ...]] | None:
        """See the port."""
        text = self._text(self._path(group))
        if text is None:
            return None
        first, _, body = text.partition("\n")
        try:
            header = json.loads(first)
            form, tip, checksum = str(header["format"]), str(header["tip"]), str(header["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        known, _, number = form.rpartition("-")
        if known == _NAME and number.isdecimal() and int(number) > _VERSION:
            raise DurableStateError(
                f"the checkpoint {self._path(group)} was written by a newer Bennu (format {number}; this one reads up to {_VERSION})",
                next_step="resume with the version of Bennu that started the rotation, or a newer one",
            )
        if form != f"{_NAME}-{_VERSION}" or hashlib.sha256(body.encode()).hexdigest() != checksum:
            return None
        # What the checksum vouches for was written so: a record that can't be read now is a newer Bennu's, not damage.
        return tip, parse_all(body)

    @contextmanager
    def exclusive(self, group: Group) -> Iterator[None]:
        """See the port."""
        self._made()
        path = self._path(group).with_suffix(".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _suspicious(path, error) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                raise LockHeld(
                    f"another bennu on this machine drives {group} (pid {holder})",
                    next_step="'bennu status --watch' shows it; 'bennu rotate promote' reaches it",
                ) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            self._tidied(group)
            yield
        finally:
            os.close(descriptor)

    def save_dump(self, name: str, content: Iterable[bytes]) -> Dump:
        """See the port."""
        path, digest = self._folder / Path(name).name, hashlib.sha256()

        def counted() -> Iterator[bytes]:
            for part in content:
                digest.update(part)
                yield part

        self._write(path, counted())
        self._write(path.with_name(f"{path.name}.sha256"), (f"{digest.hexdigest()}  {path.name}\n".encode(),))
        return Dump(str(path), digest.hexdigest())

    def _path(self, group: Group) -> Path:
        # A dot, which no label has: with a dash, prod/us-east-1 and prod-us/east-1 would share a file and a lock.
        return self._folder / f"{group.env}.{group.region}.jsonl"

    def _text(self, path: Path) -> str | None:
        """The file's content; None for no file, or for one that is no text. Made 0600 where it isn't. Raises UsageError, DurableStateError."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _suspicious(path, error) from None
        try:
            found = os.fstat(descriptor)
            if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
                raise UsageError(f"the checkpoint {path} is no plain file, or belongs to somebody else", next_step="remove it; it is rebuilt from Git")
            if stat.S_IMODE(found.st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read().decode()
        except UnicodeDecodeError:
            return None
        except OSError as error:
            raise DurableStateError(f"the checkpoint {path} cannot be read: {error.strerror}", next_step="remove it; it is rebuilt from Git") from None
        finally:
            os.close(descriptor)

    def _tidied(self, group: Group) -> None:
        """Remove what writers that were killed left half-written; nobody else writes, since we hold the lock."""
        for file in self._folder.glob(f".{self._path(group).name}.*"):
            file.unlink(missing_ok=True)

    def _made(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoppedSafe(f"the state directory {self._folder} cannot be made: {error.strerror}", next_step="free the disk or set XDG_STATE_HOME") from None

    def _write(self, path: Path, content: Iterable[bytes]) -> None:
        self._made()
        try:
            descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.writelines(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoppedSafe(
                f"the checkpoint cannot be written: {error.strerror}", next_step=f"free the disk of {self._folder}, then 'bennu rotate resume'"
            ) from None


def _suspicious(path: Path, error: OSError) -> UsageError | DurableStateError:
    """For a file that cannot be opened: a symlink is somebody's trap, anything else a broken disk or wrong rights."""
    if error.errno == errno.ELOOP:
        return UsageError(f"{path} is a symlink", next_step="remove it; the checkpoint is rebuilt from Git")
    return DurableStateError(
        f"{path} cannot be opened: {error.strerror}", next_step=f"check the owner and the rights of {path}; the checkpoint is rebuilt from Git"
    )
