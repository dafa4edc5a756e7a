"""Objects of a clone by name, from one ``git cat-file --batch`` that is kept open: a read costs a pipe's round trip instead of a process.

What is missing from a tree and what is missing from the disk are told apart: the first is an answer, the second is damage, and must not look like a file that was removed.
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bennu.adapters.git_process import scratch, started
from bennu.errors import DurableStateError

FOLDER = "40000"


@dataclass(frozen=True)
class Object:
    """An object as Git stores it; ``kind`` is blob, tree, commit or tag."""

    id: str
    kind: str
    content: bytes


@dataclass(frozen=True)
class Entry:
    """What a tree says of a name: ``mode`` is octal as in the object (``100644``, ``100755``, ``120000``, ``160000``, ``40000``)."""

    mode: str
    id: str

    @property
    def is_file(self) -> bool:
        """A plain file, executable or not, or a symbolic link (whose text is where it points)."""
        return self.mode[:2] in ("10", "12")


class ObjectReader:
    """Reads one clone. *opened* makes sure that it exists. Safe to use from several threads."""

    def __init__(self, opened: Callable[[], Path]) -> None:
        self._opened = opened
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] = scratch()  # lives as long as the process that writes to it

    def find(self, name: str) -> Object | None:
        """The object that *name* (an id or a ref) means now, None for none. Raises DurableStateError where the clone is damaged."""
        if not name or any(letter.isspace() for letter in name):
            return None
        with self._lock:
            process = self._running()
            assert process.stdin is not None and process.stdout is not None  # noqa: S101  # both are pipes
            try:
                process.stdin.write(name.encode() + b"\n")
                process.stdin.flush()
                head = process.stdout.readline().decode()
                if head.endswith((" missing\n", " ambiguous\n")):
                    return None
                found, kind, size = head.split()
                content = process.stdout.read(int(size))
                if len(content) != int(size) or process.stdout.read(1) != b"\n":
                    raise ValueError(head)
            except (OSError, ValueError):
                self._process = None
                _end(process)
                raise self._damaged() from None
            except BaseException:
                self._process = None  # interrupted between question and answer: the next question would get this one's answer
                _end(process)
                raise
        return Object(found, kind, content)

    def object(self, found: str, kind: str) -> bytes:
        """The content of an object that has to be there. Raises DurableStateError."""
        there = self.find(found)
        if there is None or there.kind != kind:
            raise DurableStateError(
                f"Bennu's clone {self._opened()} lacks {kind} {found}",
                next_step=f"mv {self._opened()} {self._opened()}.damaged; it is made anew from the remote",
            )
        return there.content

    def id(self, ref: str) -> str:
        """What a ref names; empty for none."""
        found = self.find(ref)
        return found.id if found is not None else ""

    def tree_of(self, commit: str) -> str:
        """The id of a commit's tree."""
        return self.object(commit, "commit").split(b"\n", 1)[0].removeprefix(b"tree ").decode()

    def entries(self, tree: str) -> dict[str, Entry]:
        """Name → entry. Names that are not UTF-8 keep their bytes (surrogateescape)."""
        content, found, at = self.object(tree, "tree"), {}, 0
        while at < len(content):
            space = content.index(b" ", at)
            end = content.index(b"\x00", space)
            name = content[space + 1 : end].decode("utf-8", "surrogateescape")
            found[name] = Entry(content[at:space].decode(), content[end + 1 : end + 21].hex())
            at = end + 21
        return found

    def entry(self, commit: str, path: str) -> Entry | None:
        """What *path* is in a commit, None for nothing."""
        found = Entry(FOLDER, self.tree_of(commit))
        for part in path.split("/"):
            inside = self.entries(found.id).get(part) if found.mode == FOLDER else None
            if inside is None:
                return None
            found = inside
        return found

    def files(self, commit: str, folder: str) -> list[str]:
        """Paths of all that is no folder below *folder* (empty: the root), sorted."""
        start = self.entry(commit, folder) if folder else Entry(FOLDER, self.tree_of(commit))
        return sorted(self._below(start.id, f"{folder}/" if folder else "")) if start is not None and start.mode == FOLDER else []

    def _below(self, tree: str, prefix: str) -> list[str]:
        found: list[str] = []
        for name, entry in self.entries(tree).items():
            found += self._below(entry.id, f"{prefix}{name}/") if entry.mode == FOLDER else [f"{prefix}{name}"]
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            path = self._opened()
            self._process = started(path, ("cat-file", "--batch"), {}, files=(subprocess.PIPE, subprocess.PIPE, self._errors.fileno()))
            weakref.finalize(self, _end, self._process)
        return self._process

    def _damaged(self) -> DurableStateError:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        path = self._opened()
        return DurableStateError(
            f"Bennu's clone {path} cannot be read: {lines[-1] if lines else 'git ended'}",
            next_step=f"mv {path} {path}.damaged; it is made anew from the remote",
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)
