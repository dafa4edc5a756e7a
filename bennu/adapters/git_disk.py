"""This machine's own disk, where it does not take what git writes: full, read-only, over its quota, or not ours. That is no damage of the clone, and no matter of the remote's.

Git runs in the C locale, so its words are known. What the host says of *its* disk comes in lines that begin with ``remote:``, and is left alone.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bennu.errors import StoppedSafe

if TYPE_CHECKING:
    from bennu.adapters.git_process import Ran

_REASONS = {
    errno.ENOSPC: "no space is left",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "nothing may be written: it is mounted read-only",
    errno.EFBIG: "a file may not grow as large as git needs it",
    errno.EACCES: "this user may not write",
    errno.EPERM: "this user may not write",
}
_WORDS = (
    (re.compile(r"No space left on device"), errno.ENOSPC),
    (re.compile(r"Disk quota exceeded"), errno.EDQUOT),
    (re.compile(r"Read-only file system"), errno.EROFS),
    (re.compile(r"Input/output error"), errno.EIO),
    (re.compile(rf"File too large|died of signal {signal.SIGXFSZ.value}\b"), errno.EFBIG),
    # An ssh that was turned away, and a configuration that cannot be read, say "Permission denied" too.
    (re.compile(r"insufficient permission for adding an object|unable to (create|write)[^\n]*: Permission denied", re.IGNORECASE), errno.EACCES),
)


def refusal(ran: Ran, clone: Path, given: int = 0) -> StoppedSafe | None:
    """The error for a command that the disk of *clone* ended, None for any other end. *given*: how many bytes the command was to write, where that is known."""
    if ran.ok:
        return None
    if ran.status == -signal.SIGXFSZ:
        return stopped(errno.EFBIG, clone, given)
    if not ran.err.strip() and os.statvfs(tempfile.gettempdir()).f_bavail == 0:
        return stopped(errno.ENOSPC, Path(tempfile.gettempdir()), given)  # what it said found no room either
    own = "\n".join(line for line in ran.err.splitlines() if not line.startswith("remote: "))
    for pattern, number in _WORDS:
        if pattern.search(own):
            # Answers longer than a pipe go through a temporary file, which may lie on another disk.
            return stopped(number, Path(tempfile.gettempdir()) if "standard output" in own else clone, given)
    return None


def stopped(number: int | None, path: Path, given: int = 0) -> StoppedSafe:
    """The error for errno *number* of a write below *path*: which disk, what is free there, and what would be needed."""
    there = _existing(path)
    mount = next(folder for folder in (there, *there.parents) if folder.is_mount())
    found = os.statvfs(there)
    free, size = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    more = f", {_amount(given)} were to be written" if given else ""
    files = "" if found.f_favail or not found.f_files else ", and no file can be made any more"
    reason = _REASONS.get(number or 0, os.strerror(number) if number else "it cannot be written")
    return StoppedSafe(
        f"the disk {mount}, where {path} lies: {reason} ({_amount(free)} free of {_amount(size)}{files}{more})",
        changed="nothing was pushed",
        next_step=f"make room or rights on {mount}, or set XDG_STATE_HOME to another disk; then 'bennu rotate resume'",
    )


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _amount(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
