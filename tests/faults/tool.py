"""One process of Bennu's S6 that a test ends or freezes at a named call: the environment says where it works (``benchmarks/grounds.py``), the argument how (an ``Orders`` as JSON).

Each call to a system passes a tap, which writes its name to the log: ``source.pause``, ``target.make_master``, ``source.pointer.apply``, ``journal.advance``. At the n-th call of a name that a
``Stop`` names, before or after it, the process signals itself: the kernel then has it dead or stopped at exactly that place, with no word to anybody. What came of the run stands in the
log's last line. It is started anew for a resume, as an operator would.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import grounds
from benchmarks.section import GROUP, Options, Seams, Section
from bennu.core.clusters import Colour
from bennu.core.policy import SPEC, overridden
from bennu.core.record import Kind
from bennu.engine.journal import Entry, Holder, Journal
from bennu.errors import BennuError
from bennu.phases.stray_writes import ACCEPTED

# Of a connection, of a server, of a cluster and of the repository: everything that S6 says to a system or asks of it.
TAPPED = frozenset(
    {"observe", "position", "round_trip", "pause", "unpause", "fence", "make_master", "attach", "cut_clients", "write_probe", "read_probe", "anew", "reaches"}
    | {"kill_named", "apply", "advance"}
)


@dataclass(frozen=True)
class Stop:
    """Where the process signals itself: *before* (or *after*) the *nth* call of *call*, with ``SIGKILL`` or ``SIGSTOP``."""

    call: str
    nth: int = 1
    after: bool = False
    signal: str = "SIGKILL"

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.call}#{self.nth}"


@dataclass(frozen=True)
class Orders:
    """How one process runs. *policy* are numbers of ``bennu.core.policy`` to replace; *takes_over* fences out whoever holds the lock; *accepts_loss* is ``--accept-loss``."""

    log: str
    stops: tuple[Stop, ...] = ()
    policy: tuple[tuple[str, float], ...] = ()
    holder: str = "ann@here"
    takes_over: bool = False
    accepts_loss: bool = False

    def text(self) -> str:
        """As the argument."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Orders:
        """From the argument."""
        found = json.loads(text)
        stops = tuple(Stop(**stop) for stop in found.pop("stops"))
        policy = tuple((name, value) for name, value in found.pop("policy"))
        return cls(**found, stops=stops, policy=policy)


class Log:
    """One line a call, on disk before the call: a killed process leaves all of them."""

    def __init__(self, path: Path, stops: tuple[Stop, ...]) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._stops, self._seen, self._calm, self._under_way = stops, Counter[str](), threading.Condition(), 0

    def write(self, kind: str, what: object) -> None:
        """A line of *kind*: ``call``, ``told`` or ``end``."""
        os.write(self._handle, (json.dumps([kind, what]) + "\n").encode())

    def around(self, call: str, real: Callable[[], Any]) -> Any:
        """Do *real*, and be stopped before or after it where so ordered."""
        with self._calm:
            self._seen[call] += 1
            nth = self._seen[call]
        self.write("call", f"{call}#{nth}")
        self._stopped(call, nth, after=False)
        with self._calm:
            self._under_way += 1
        try:
            result = real()
        finally:
            with self._calm:
                self._under_way -= 1
                self._calm.notify_all()
        self._stopped(call, nth, after=True)
        return result

    def _stopped(self, call: str, nth: int, *, after: bool) -> None:
        for stop in self._stops:
            if (stop.call, stop.nth, stop.after) == (call, nth, after):
                with self._calm:
                    if stop.signal == "SIGSTOP":
                        # Frozen in the middle of a write it would hold the file's lock, which an API server does not lend out.
                        self._calm.wait_for(lambda: not self._under_way, 5)
                    # To this thread: sent to the process, another thread would take it, and this one go on for a moment. It ends or stops the whole process all the same.
                    signal.pthread_kill(threading.get_ident(), signal.Signals[stop.signal])


class Tapped:
    """A system, or a connection to it, whose calls pass the log."""

    def __init__(self, real: Any, name: str, log: Log) -> None:
        self._real, self._name, self._log = real, name, log

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._real, attribute)
        if attribute == "following":
            return self._following
        if attribute not in TAPPED:
            return found
        return lambda *args, **kwargs: self._log.around(f"{self._name}.{attribute}", lambda: found(*args, **kwargs))

    @contextmanager
    def _following(self, every_s: float) -> Iterator[Any]:
        with self._real.following(every_s) as real:
            yield Tapped(real, self._name, self._log)


def seams(log: Log) -> Seams:
    """Taps at every system. Blue is the source here, always."""

    def role(colour: Colour) -> str:
        return "source" if colour is Colour.BLUE else "target"

    def tapped(name: str) -> Callable[[Colour, Any], Any]:
        return lambda colour, real: Tapped(real, f"{role(colour)}{name}", log)

    return Seams(critical=tapped(""), redis=tapped(".server"), cluster=tapped(".pointer"), repository=lambda real: _any(Tapped(real, "journal", log)))


def _any(tapped: Tapped) -> Any:
    return tapped


class Given(Section):
    """With ``--accept-loss``: what Bennu's engine writes down when a command begins."""

    def _locked(self, journal: Journal) -> None:
        super()._locked(journal)
        journal.append(Entry(Kind.FACT, data={ACCEPTED: self.options.holder}))


def lock_of(state: Path) -> str:
    """The lock's id as the journal has it, empty where nobody holds it."""
    from benchmarks.file_journal import FileRepository
    from bennu.adapters.checkpoint import FileCheckpoint
    from bennu.adapters.clock import SystemClock
    from bennu.engine import lock

    standing = lock.fresh(Journal(FileRepository(state, {}), FileCheckpoint(state), SystemClock(), GROUP, Holder("nobody@here", 0)))
    return standing.lock.id if standing.lock else ""


def main() -> int:
    """Run as ordered; Bennu's exit code."""
    orders = Orders.read(sys.argv[1])
    here = grounds.from_environment(os.environ)
    log = Log(Path(orders.log), orders.stops)
    options = Options(
        policy=overridden(SPEC, dict(orders.policy)),
        holder=orders.holder,
        take_over=lock_of(here.state) if orders.takes_over else "",
        tell=lambda line: log.write("told", line),
    )
    try:
        done = (Given if orders.accepts_loss else Section)(here, seams(log), options).run()
    except BennuError as error:
        log.write("end", {"code": error.code, "message": error.message, "changed": error.changed, "next": error.next_step})
        return error.code
    log.write("end", {"code": 0, "message": "", "already": done.already})
    return 0


if __name__ == "__main__":
    sys.exit(main())
