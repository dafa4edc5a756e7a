"""Where Bennu touches the world: every effect passes a seam, before and after which a test may look, let clients write, copy the world, or end the process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock
from typing import Any

from bennu.core.clusters import Colour
from bennu.errors import DependencyDown, StoppedSafe
from bennu.phases.base import Systems
from bennu.phases.crew import Crew
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.redis import RedisServer
from bennu.ports.repository import RequestBox
from tests.sim.effects import EFFECTS
from tests.sim.memory_checkpoint import MemoryCheckpoint
from tests.sim.memory_redis import MemoryCritical, Polled
from tests.sim.memory_repository import MemoryRepository
from tests.sim.memory_requests import MemoryRequestBox
from tests.sim.universe import Universe

READS = frozenset(
    {
        "version",
        "get",
        "read",
        "files",
        "head",
        "list",
        "observe",
        "position",
        "fetch",
        "traffic",
        "gateway_alive",
        "ingress_rps",
        "ask",
        "outputs",
        "knows",
        "pending",
    }
)


class PlainCertificates:
    """Port ``Certificates`` for texts ``ends 2030-01-01T00:00:00+00:00``: one certificate a line."""

    def not_after(self, pem: str) -> datetime:
        return datetime.fromisoformat(pem.splitlines()[0].removeprefix("ends "))

    def fingerprints(self, pem: str) -> frozenset[str]:
        return frozenset(pem.splitlines())


class Lost(Exception):
    """What a tap raises for a system that does not answer: the caller gets what its port says then."""


class Killed(BaseException):
    """The process is gone: nothing catches this."""


@dataclass
class Taps:
    """What happens around an effect. ``before`` and ``after`` get its name (``redis.blue.fence``); what they raise, the caller gets."""

    before: Callable[[str], None] = field(default=lambda call: None)
    after: Callable[[str], None] = field(default=lambda call: None)
    answer: Callable[[str, Any], Any] = field(default=lambda call, result: result)  # what the caller gets instead of a result
    crew: Callable[[int], Crew] = Crew
    reads: bool = False
    calls: list[str] = field(default_factory=list)
    args: tuple[Any, ...] = ()  # of the call that is under way


class Seam:
    """One system, with taps around its effects. One at a time, as two threads of the switchover's flip come at once."""

    def __init__(self, system: Any, name: str, universe: Universe, taps: Taps, lock: RLock) -> None:
        self._system, self._name, self._universe, self._taps, self._lock = system, name, universe, taps, lock

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._system, attribute)
        if attribute == "critical":
            return self._critical
        if attribute == "following":
            return self._following
        if attribute == "position":
            # Polled without a wait between: a round trip takes a millisecond, or no deadline would ever come.
            self._universe.clock.pass_by(0.001)
        if attribute not in EFFECTS and not (self._taps.reads and attribute in READS):
            return found
        effect = attribute in EFFECTS

        def called(*args: Any, **kwargs: Any) -> Any:
            name = f"{self._name}.{attribute}"
            with self._lock:
                try:
                    self._taps.calls.append(name)
                    self._taps.args = args
                    self._taps.before(name)
                    if effect:
                        self._universe.clients_write()
                    result = found(*args, **kwargs)
                    if effect:
                        self._universe.look()
                        self._universe.clients_write()
                    self._taps.after(name)
                    return self._taps.answer(name, result)
                except Lost as lost:
                    raise self._unanswered(str(lost)) from None

        return called

    def _unanswered(self, words: str) -> Exception:
        if isinstance(self._system, MemoryCritical):
            self._system.connection.alive = False
            return ConnectionError(words)
        if isinstance(self._system, MemoryCheckpoint):
            return StoppedSafe(f"the checkpoint cannot be written: {words}", next_step="free the disk, then 'bennu rotate resume'")
        return DependencyDown(f"{self._name} does not answer: {words}", next_step="bennu rotate resume")

    @contextmanager
    def _following(self, every_s: float) -> Iterator[Polled]:
        # Asked for anew each time: that is what lets time pass between two looks.
        yield Polled(lambda: self.position(), self._universe.clock.boot)  # noqa: PLW0108

    @contextmanager
    def _critical(self, name: str, member: str = "") -> Iterator[Any]:
        with self._system.critical(name, member) as connection:
            yield Seam(connection, self._name, self._universe, self._taps, self._lock)


def systems(universe: Universe, taps: Taps, machine: str, checkpoint: Checkpoint | None = None) -> tuple[Systems, RequestBox]:
    """All ports of one process on *machine*, with a clone of its own. *checkpoint*: another one than that of the machine's disk in memory."""
    lock = RLock()

    def seam(system: object, name: str) -> Any:
        return Seam(system, name, universe, taps, lock)

    def cluster(colour: Colour) -> Kubernetes:
        found: Kubernetes = seam(universe.cluster(colour), f"kubernetes.{colour}")
        return found

    def redis(colour: Colour) -> RedisServer:
        found: RedisServer = seam(universe.redis(colour), f"redis.{colour}")
        return found

    found = Systems(
        repository=seam(MemoryRepository(universe.remote, author=machine, now=universe.clock.wall), "repository"),
        cluster=cluster,
        redis=redis,
        metrics=seam(universe.metrics, "metrics"),
        dns=seam(universe.dns, "dns"),
        provisioner=seam(universe.provisioner, "provisioner"),
        certificates=PlainCertificates(),
        checkpoint=seam(checkpoint or MemoryCheckpoint(universe.disk(machine)), "checkpoint"),
        clock=universe.clock,
        crew=taps.crew,
    )
    return found, seam(MemoryRequestBox(universe.remote), "box")
