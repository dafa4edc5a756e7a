"""The book of a cluster's child processes, ``<cluster dir>/pids.json``, so that whoever takes the lab down can end survivors.

A pid alone names nobody once it was reused: each stands with its start time, and only a process whose start time still agrees is the one that was written down.
The shape is ``{"<pid>": {"name": "<namespace>/<pod>/<container>", "started": "<opaque text>"}}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from bennu.lab.places import write_json


def started_at(pid: int) -> str | None:
    """An opaque text that names the moment *pid* started, equal for the same process; None if there is no such process (or it is a zombie)."""
    if sys.platform.startswith("linux"):
        return _started_by_proc(pid)
    return _started_by_ps(pid)


def _started_by_proc(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field is the name in parentheses, and may hold anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _started_by_ps(pid: int) -> str | None:
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None


class PidBook:
    """Written anew (atomically, 0600) at each change; there are a dozen entries."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._entries: dict[str, dict[str, str]] = {}

    def add(self, pid: int, name: str) -> None:
        """Write *pid* down, if it still lives."""
        started = started_at(pid)
        if started is not None:
            self._entries[str(pid)] = {"name": name, "started": started}
            self._write()

    def remove(self, pid: int) -> None:
        """It ended and was waited for."""
        if self._entries.pop(str(pid), None) is not None:
            self._write()

    def _write(self) -> None:
        write_json(self._file, self._entries)


def survivors(file: Path) -> dict[int, str]:
    """pid → name of those written in *file* that still live. Empty where there is no file."""
    try:
        entries = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {int(pid): str(e["name"]) for pid, e in entries.items() if started_at(int(pid)) == e["started"]}


def end_survivors(file: Path) -> list[str]:
    """Kill what is written in *file* and still lives; returns the names."""
    found = survivors(file)
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    return list(found.values())
