"""The checkpoint file: the journal's records on this machine's disk, written so that a reader finds the old file or the new one, never half of one.

A cache: what is damaged is ignored and rebuilt from Git. What could be an attack (a symlink, a foreign owner) is refused.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bennu.adapters.disk import Disk, folder_made, replaced, tried, written
from bennu.core.clusters import Group
from bennu.core.record import Record, parse_all, rendered
from bennu.errors import BennuError, DurableStateError, LockHeld, StoppedSafe, UsageError
from bennu.ports.checkpoint import Copy, Dump, Room, names

MAX_BYTES = 64 << 20  # some 200,000 records: what is larger was not written by Bennu
_NAME, _VERSION = "bennu-checkpoint", 1
_MACHINE, _BOOT = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")


class FileCheckpoint:
    """The port ``Checkpoint`` below a state directory (made 0700). *beside*: other folders that a run writes to (Bennu's clone), for ``room``."""

    def __init__(self, state: Path, *, beside: Sequence[Path] = (), disk: Disk | None = None) -> None:
        self._folder, self._beside, self._disk = state / "checkpoints", beside, disk or Disk()

    def save(self, group: Group, tip: str, records: Sequence[Record]) -> None:
        """See the port."""
        body = rendered(records)
        header = {"format": f"{_NAME}-{_VERSION}", "tip": tip, "sha256": hashlib.sha256(body.encode()).hexdigest()}
        self._write(self._path(group), ((json.dumps(header) + "\n" + body).encode(),))

    def load(self, group: Group) -> Copy | None:
        """See the port."""
        raw = self._content(self._path(group))
        if raw is None:
            return None
        first, _, body = raw.partition(b"\n")
        try:
            header = json.loads(first.decode())
            form, tip, checksum = str(header["format"]), str(header["tip"]), str(header["sha256"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return Copy(damage="its first line cannot be read")
        known, _, number = form.rpartition("-")
        if known == _NAME and number.isascii() and number.isdecimal() and len(number) < 9 and int(number) > _VERSION:
            raise DurableStateError(
                f"the checkpoint {self._path(group)} was written by a newer Bennu (format {number}; this one reads up to {_VERSION})",
                next_step="resume with the version of Bennu that started the rotation, or a newer one",
            )
        if form != f"{_NAME}-{_VERSION}":
            return Copy(damage="its first line is no checkpoint's")
        if hashlib.sha256(body).hexdigest() != checksum:
            return Copy(damage="its checksum does not fit")
        # What the checksum vouches for was written so: a record that can't be read now is a newer Bennu's, not damage.
        try:
            return Copy(tip, parse_all(body.decode()))
        except UnicodeDecodeError:
            return Copy(damage="it is no text")

    @contextlib.contextmanager
    def exclusive(self, group: Group) -> Iterator[None]:
        """See the port."""
        path = self._path(group).with_suffix(".lock")
        descriptor = self._opened(path, os.O_RDWR | os.O_CREAT)
        try:
            self._locked(descriptor, path, group)
            yield
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def sighted(self, group: Group, tip: str, boot_s: float) -> float:
        """See the port."""
        boot, path, since = _line(_BOOT), self._path(group).with_suffix(".seen"), boot_s
        if not boot:
            return since  # a time since boot says nothing after the next one, and here nothing tells one boot from another
        try:
            kept = json.loads(self._content(path) or b"{}")
            if (kept["tip"], kept["boot"]) == (tip, boot) and kept["since_s"] <= boot_s:
                return float(kept["since_s"])
        except (BennuError, ValueError, KeyError, TypeError, RecursionError):
            pass
        with contextlib.suppress(StoppedSafe):
            self._write(path, (json.dumps({"tip": tip, "boot": boot, "since_s": since}).encode(),))
        return since

    def machine(self) -> str:
        """See the port."""
        path = self._folder / "machine"
        kept = (self._content(path) or b"").decode(errors="replace")
        if not kept:
            own = path.with_name(f"machine.{os.getpid()}")
            self._write(own, (secrets.token_hex(16).encode(),))
            try:
                # Of two processes that make it at once the first one's stays, and both read that.
                os.link(own, path)
            except FileExistsError:
                pass
            except OSError as error:
                raise StoppedSafe(f"{path} cannot be made: {error.strerror}", next_step="free the disk or set XDG_STATE_HOME") from None
            finally:
                own.unlink(missing_ok=True)
            kept = (self._content(path) or b"").decode(errors="replace")
        # The machine's own id too: a home that was copied, or that two machines mount, has the same file.
        return hashlib.sha256(f"bennu {_line(_MACHINE)} {kept}".encode()).hexdigest()[:12]

    def save_dump(self, name: str, content: Iterable[bytes]) -> Dump:
        """See the port."""
        # Nobody else writes here meanwhile: whoever keeps something holds the group's lock, and its name begins with the group's.
        path = next(found for one in names(Path(name).name) if not os.path.lexists(found := self._folder / one))
        digest = hashlib.sha256()

        def counted() -> Iterator[bytes]:
            for part in content:
                digest.update(part)
                yield part

        self._write(path, counted())
        self._write(path.with_name(f"{path.name}.sha256"), (f"{digest.hexdigest()}  {path.name}\n".encode(),))
        return Dump(str(path), digest.hexdigest())

    def room(self) -> Room:
        """See the port."""
        least: int | None = None
        for folder in (self._folder, *self._beside):
            try:
                folder_made(self._disk, folder)
                tried(self._disk, folder)
                free = self._disk.free(folder)
            except OSError as error:
                return Room(0, f"{folder} cannot be written to: {error.strerror}")
            least = free if least is None else min(least, free)
        return Room(least or 0)

    def _path(self, group: Group) -> Path:
        # A dot, which no label has: with a dash, prod/us-east-1 and prod-us/east-1 would share a file and a lock.
        return self._folder / f"{group.env}.{group.region}.jsonl"

    def _content(self, path: Path) -> bytes | None:
        """The file's bytes; None for no file. Raises UsageError, StoppedSafe."""
        try:
            descriptor = self._opened(path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            return _whole(descriptor)
        except OSError as error:
            raise StoppedSafe(f"the checkpoint {path} cannot be read: {error.strerror}", next_step=f"mend the disk, or remove {path}: {_REBUILT}") from None
        finally:
            os.close(descriptor)

    def _opened(self, path: Path, flags: int) -> int:
        """A descriptor of a plain file of the user's own, closed to others (0600). Raises FileNotFoundError where it is only read, UsageError, StoppedSafe."""
        if flags & os.O_CREAT:
            self._made()
        try:
            # Never waits for the other end of a pipe.
            descriptor = self._disk.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            if flags & os.O_CREAT:
                raise _refused(path, "its folder is gone") from None
            raise
        except OSError as error:
            raise _unopened(path, error) from None
        try:
            found = os.fstat(descriptor)
            if found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
                raise UsageError(f"{path} is no plain file, or belongs to somebody else", next_step=f"remove it; {_REBUILT}")
            if stat.S_IMODE(found.st_mode) != 0o600:
                os.fchmod(descriptor, 0o600)
        except OSError as error:
            os.close(descriptor)
            raise _refused(path, str(error.strerror)) from None
        except BennuError:
            os.close(descriptor)
            raise
        return descriptor

    def _locked(self, descriptor: int, path: Path, group: Group) -> None:
        """Take the lock and leave the pid in it. Raises LockHeld, StoppedSafe."""
        try:
            self._disk.flock(descriptor)
            self._disk.truncate(descriptor)
            written(self._disk, descriptor, str(os.getpid()).encode())
        except BlockingIOError:
            raise LockHeld(
                f"another bennu on this machine drives {group} (pid {_pid_in(descriptor)})",
                next_step="'bennu status --watch' shows it; 'bennu rotate promote' reaches it",
            ) from None
        except OSError as error:
            raise _refused(path, str(error.strerror)) from None
        self._tidied(group)

    def _tidied(self, group: Group) -> None:
        """Remove what writers that were killed left half-written; nobody else writes, since we hold the lock. What cannot be removed only takes room."""
        with contextlib.suppress(OSError):
            for file in self._folder.glob(f".{self._path(group).name}.*"):
                self._disk.unlink(file)

    def _made(self) -> None:
        try:
            folder_made(self._disk, self._folder)
        except OSError as error:
            raise StoppedSafe(f"the state directory {self._folder} cannot be made: {error.strerror}", next_step="free the disk or set XDG_STATE_HOME") from None

    def _write(self, path: Path, content: Iterable[bytes]) -> None:
        self._made()
        try:
            replaced(self._disk, path, content)
        except OSError as error:
            raise StoppedSafe(
                f"the checkpoint cannot be written: {error.strerror}", next_step=f"free the disk of {self._folder}, then 'bennu rotate resume'"
            ) from None


_REBUILT = "it is made anew from Git"


def _line(path: Path) -> str:
    """What the system says of itself in a file, empty where it says nothing."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _whole(descriptor: int) -> bytes:
    """Its bytes up to one more than may be there. Raises OSError."""
    parts, size = [], 0
    while size <= MAX_BYTES and (part := os.read(descriptor, 1 << 20)):
        parts.append(part)
        size += len(part)
    return b"".join(parts) if size <= MAX_BYTES else b""


def _pid_in(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    return "unknown"


def _refused(path: Path, words: str) -> StoppedSafe:
    return StoppedSafe(f"{path} cannot be used: {words}", next_step=f"free the disk of {path.parent}, or mend its rights, or set XDG_STATE_HOME")


def _unopened(path: Path, error: OSError) -> BennuError:
    """For what cannot be opened: a symlink, a folder or somebody else's file in its place is refused, anything else is the disk's."""
    if error.errno == errno.ELOOP:
        return UsageError(f"{path} is a symlink", next_step=f"remove it; {_REBUILT}")
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            return UsageError(f"{path} is no plain file, or belongs to somebody else", next_step=f"remove it; {_REBUILT}")
    return _refused(path, str(error.strerror))
