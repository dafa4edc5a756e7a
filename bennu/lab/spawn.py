"""Starting processes that outlive their starter, and ending them by pid and start time: a pid alone may be somebody else's by now."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bennu.lab.controllers.processes_book import started_at

_GRACE_S = 8.0
_PROGRAM = re.compile(r"-m bennu\.lab\.|(?:valkey|redis)-server")
# glibc raises its mmap threshold at the first large block that is freed, and keeps all later ones: TLS buffers of closed connections stayed with the process (7 MB each).
_LEAN = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the lab's processes get of the user's *env*: nothing of a Git command's that runs around them, and no proxy before loopback."""
    found = {name: value for name, value in env.items() if not name.startswith("GIT_")}
    for name in ("no_proxy", "NO_PROXY"):
        found[name] = ",".join(filter(None, [found.get(name), "127.0.0.1,localhost"]))
    return {**_LEAN, **found}


def start(arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Start ``python -m …`` in a session of its own, output to *log*; {"pid", "started"}."""
    return program([sys.executable, "-m", *arguments], log, env)


def program(argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Start any program so."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**environment(), **(env or {})},
        )
    threading.Thread(target=process.wait, daemon=True).start()  # reaps it, where the starter lives on
    return {"pid": process.pid, "started": started_at(process.pid)}


def alive(record: Mapping[str, Any]) -> bool:
    """Whether exactly that process lives."""
    now = started_at(int(record["pid"]))
    return now is not None and now == record.get("started")


def end(records: Sequence[Mapping[str, Any]]) -> int:
    """SIGTERM, a grace, SIGKILL; how many were ended. Never signals a pid whose start time differs."""
    living = [record for record in records if alive(record)]
    for record in living:
        _signal(record, signal.SIGCONT)  # one that was stopped by a fault could not end otherwise
        _signal(record, signal.SIGTERM)
    until(lambda: not any(alive(record) for record in living), _GRACE_S)
    for record in living:
        if alive(record):
            _signal(record, signal.SIGKILL)
    until(lambda: not any(alive(record) for record in living), 2)
    return len(living)


def until(condition: Callable[[], bool], seconds: float, period: float = 0.05) -> bool:
    """Poll *condition* (an inherent period: other processes tell nobody); whether it held in time."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            return False
        pause.wait(period)
    return True


def commands() -> dict[int, str]:
    """pid → command line, of every process that can be seen. A small Linux has no ``ps``, macOS no ``/proc``."""
    proc = Path("/proc")
    if not (proc / "self").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout.splitlines()
        rows = [line.strip().partition(" ") for line in listed]
        return {int(pid): command for pid, _, command in rows}
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def strays(root: Path, known: Collection[int] = ()) -> list[dict[str, Any]]:
    """The lab's own programs that work for the lab in *root*, by their arguments or (pods) their environment, and whose pid isn't in *known*.

    {"pid", "started", "command"} each. A shell or an editor that names the directory is none.
    """
    inside = re.compile(re.escape(str(root)) + r"(?:[/\s]|\Z)")
    found = []
    for pid, command in commands().items():
        if pid in known or pid == os.getpid() or not _PROGRAM.search(command):
            continue
        if inside.search(command) or inside.search(_cluster_of(pid)):
            found.append({"pid": pid, "started": started_at(pid), "command": command.strip()})
    return [one for one in found if one["started"] is not None]


def _cluster_of(pid: int) -> str:
    """What a pod's process knows as its cluster's directory; empty where that can't be told."""
    with contextlib.suppress(OSError):
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return next((one.decode(errors="replace").partition("=")[2] for one in variables if one.startswith(b"BENNU_LAB_CLUSTER=")), "")
    return ""


def memory_mb(pid: int) -> float:
    """The process' share of memory (PSS), in 10^6 bytes; 0 where it can't be told.

    Resident memory counts a page as often as it is mapped: each of the lab's dozen Pythons would be charged for the same 12 MB of interpreter and libraries. PSS
    divides a shared page by its users, so that the sum over the lab is what the machine gave. Where the kernel doesn't tell it (macOS): resident memory.
    """
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    found = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return int(found) * 1024 / 1e6 if found.isdigit() else 0.0


def _signal(record: Mapping[str, Any], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(record["pid"]), number)
