"""Git as a process: the one place that starts it.

Every command gets its arguments as a list, no shell, and a session of its own: a Ctrl-C typed at the terminal is Bennu's to answer, and must not cut a push in two. The environment of
another repository (a git hook's, say) is left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bennu.adapters import git_disk
from bennu.errors import StoppedSafe, UsageError

# What ties a command to some other repository (`git rev-parse --local-env-vars`); set where Bennu runs inside a git hook or alias.
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_GRAFT_FILE",
    "GIT_SHALLOW_FILE",
    "GIT_QUARANTINE_PATH",
)
_FAREWELL = re.compile(r"hung up unexpectedly|Could not read from remote|early EOF|correct access rights|and the repository exists|^hint:")


@dataclass(frozen=True)
class Ran:
    """How a git command ended."""

    status: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """Exit status 0."""
        return self.status == 0


def finished(path: Path, arguments: Sequence[str], env: dict[str, str], *, given: bytes = b"", limit_s: float | None = None, keep: int | None = None) -> Ran:
    """Run a command on the repository at *path* to its end, or until *limit_s*. *keep* is a descriptor that it inherits."""
    # Files, not pipes: a daemon that git leaves behind (an ssh master, a credential cache) keeps a pipe open, and the reader of it would never end.
    with scratch(given) as stdin, scratch() as out, scratch() as err:
        late = threading.Event()
        process = started(path, arguments, env, files=(stdin.fileno(), out.fileno(), err.fileno()), keep=keep)

        def end() -> None:
            late.set()
            _killed(process)

        timer = threading.Timer(limit_s, end) if limit_s is not None else None
        try:
            if timer is not None:
                timer.start()
            status = process.wait()
        except BaseException:
            _killed(process)
            process.wait()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if late.is_set() and status != 0:
            return Ran(status, "", f"no answer within {limit_s:g} s")
        return Ran(status, _content(out.fileno()), _content(err.fileno()))


def started(path: Path, arguments: Sequence[str], env: dict[str, str], *, files: tuple[int, int, int], keep: int | None = None) -> subprocess.Popen[bytes]:
    """A git process on the repository at *path*, in a session of its own; *files* are its standard ones. Raises UsageError where there is no git."""
    base = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    stdin, out, err = files
    try:
        return subprocess.Popen(
            ["git", f"--git-dir={path}", "--literal-pathspecs", *arguments],
            cwd=path,
            env={**base, "LANGUAGE": "C", "LC_ALL": "C", **env},
            stdin=stdin,
            stdout=out,
            stderr=err,
            start_new_session=True,
            pass_fds=() if keep is None else (keep,),
        )
    except FileNotFoundError:
        raise UsageError("there is no git on PATH", next_step="install git 2.30 or newer") from None
    except OSError as error:
        raise StoppedSafe(f"git cannot be started: {error.strerror}", next_step="see what this machine is short of, then 'bennu rotate resume'") from None


def scratch(content: bytes = b"") -> IO[bytes]:
    """A file without a name that holds *content*, to be read from its begin. Raises StoppedSafe where the disk has no room for it."""
    file = None
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
        file.write(content)
        file.seek(0)
    except OSError as error:
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
        raise git_disk.stopped(error.errno, Path(tempfile.gettempdir()), len(content)) from None
    return file


def _killed(process: subprocess.Popen[bytes]) -> None:
    """With its children: the transport, not git itself, is what hangs."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _content(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0).decode("utf-8", "surrogateescape") if size else ""


def plain(text: str) -> str:
    """Text of a remote's, fit for a terminal: no control characters, no user information in URLs."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"://[^/@\s]*@", "://", shown).strip()


def last_words(ran: Ran) -> str:
    """Git's own line that says why, for messages: the last that is more than the transport's farewell."""
    lines = [line for line in ran.err.splitlines() if line.strip()]
    telling = [line for line in lines if not _FAREWELL.search(line)]
    fatal = [line for line in telling if line.startswith(("fatal:", "error:"))]
    found = (fatal or telling or lines)[-1:]
    return plain(found[0].removeprefix("fatal: ").removeprefix("error: ")) if found else f"git ended with status {ran.status}"
