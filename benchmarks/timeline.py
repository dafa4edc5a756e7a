"""Where the time goes inside one hand-over: what S6 asked of each system, when, and how long its thread stood in the scheduler's queue meanwhile; and what the servers themselves found slow.

Times are of the monotonic clock, which all processes of a machine share: a step stands beside the acknowledgements in a writer's ledger as it is. Taking a step down costs some ten
microseconds, so it is asked for (``benchmarks/handover.py --steps``), and the figures of a run with it say so.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.section import Seams
from bennu.adapters.redis_link import Link
from bennu.core.clusters import Colour

_SCHEDSTAT = Path("/proc/thread-self/schedstat")  # Linux: ns on a processor, ns in its queue, time slices
# Of a connection, a server, a cluster, the repository and the clock: what takes time.
TIMED = frozenset(
    {"observe", "round_trip", "pause", "unpause", "fence", "make_master", "attach", "cut_clients", "write_probe", "read_probe", "reaches"}
    | {"kill_named", "apply", "advance", "wait"}
)


@dataclass(frozen=True)
class Step:
    """One call: its name, when it began (ns, monotonic), how long it took and how much of that its thread was ready and not run (None: the kernel doesn't say)."""

    what: str
    at: int
    ms: float
    queued_ms: float | None


@dataclass
class Timeline:
    """The steps of one process, by all its threads."""

    roles: Mapping[Colour, str]
    steps: list[Step] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def around(self, what: str, real: Callable[[], Any]) -> Any:
        """Do *real* and take it down, also where it fails."""
        queued, begun = _queued_ns(), time.monotonic_ns()
        try:
            return real()
        finally:
            took, after = time.monotonic_ns() - begun, _queued_ns()
            waited = None if queued is None or after is None else round((after - queued) / 1e6, 3)
            with self._lock:
                self.steps.append(Step(what, begun, round(took / 1e6, 3), waited))

    def seams(self) -> Seams:
        """Between S6 and everything that it speaks to."""

        def timed(suffix: str) -> Callable[[Colour, Any], Any]:
            return lambda colour, real: _Timed(real, f"{self.roles[colour]}{suffix}", self)

        def alone(name: str) -> Callable[[Any], Any]:
            return lambda real: _Timed(real, name, self)

        return Seams(critical=timed(""), redis=timed(".server"), cluster=timed(".pointer"), repository=alone("journal"), clock=alone("clock"))

    def told(self) -> list[list[object]]:
        """For JSON, in the order in which they began: what, at, ms, queued."""
        return [[one.what, one.at, one.ms, one.queued_ms] for one in sorted(self.steps, key=lambda step: step.at)]


class _Timed:
    """A system, or a connection to it, whose calls are taken down."""

    def __init__(self, real: Any, name: str, timeline: Timeline) -> None:
        self._real, self._name, self._timeline = real, name, timeline

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._real, attribute)
        if attribute == "following":
            return self._following
        if attribute not in TIMED:
            return found
        return lambda *args, **kwargs: self._timeline.around(f"{self._name}.{attribute}", lambda: found(*args, **kwargs))

    @contextmanager
    def _following(self, every_s: float) -> Iterator[Any]:
        stack = ExitStack()
        try:
            yield _Timed(stack.enter_context(self._real.following(every_s)), self._name, self._timeline)
        finally:
            self._timeline.around(f"{self._name}.followed", stack.close)


_OWN = threading.local()  # each thread's own file, kept open: opening it takes longer than many a step


def _queued_ns() -> int | None:
    try:
        if not hasattr(_OWN, "file"):
            _OWN.file = _SCHEDSTAT.open("rb", buffering=0)
        return int(os.pread(_OWN.file.fileno(), 64, 0).split()[1])
    except (OSError, IndexError):
        return None


# The servers' own view.


def watch_slowness(link: Link, slower_than_ms: float) -> None:
    """Have a server note each command, and each delay of its own, of more than *slower_than_ms*; what it noted before is dropped."""
    link.send(
        ("CONFIG", "SET", "slowlog-log-slower-than", int(slower_than_ms * 1000)), ("CONFIG", "SET", "latency-monitor-threshold", max(1, int(slower_than_ms)))
    )
    link.send(("SLOWLOG", "RESET"), ("LATENCY", "RESET"))


def slowness(link: Link) -> dict[str, object]:
    """What it noted since: ``commands`` as [words, ms], ``events`` (``aof-fsync…``, ``fork`` …) with their longest ms, and how often a write had to wait for a sync of the append-only file."""
    slow, latest, persistence = link.send(("SLOWLOG", "GET", 128), ("LATENCY", "LATEST"), ("INFO", "persistence"))
    link.send(("SLOWLOG", "RESET"), ("LATENCY", "RESET"))
    delayed = next((line.split(":")[1] for line in str(persistence).splitlines() if line.startswith("aof_delayed_fsync")), "0")
    return {
        "commands": [[_words(entry[3]), entry[2] / 1000] for entry in reversed(slow)],
        "events": {event[0]: event[3] for event in latest},
        "aof_writes_that_waited_for_a_sync": int(delayed),
    }


def _words(command: Sequence[object]) -> str:
    """Name and subcommand; never a value."""
    return " ".join(str(word) for word in command[: 2 if str(command[0]).upper() in ("CONFIG", "CLIENT", "REPLICAOF", "INFO") else 1])
