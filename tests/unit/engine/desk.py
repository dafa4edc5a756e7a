"""A journal, an engine and a phase of a few plain steps, for tests of the engine without a rotation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.policy import LAB
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, opened
from bennu.engine import lock
from bennu.engine.journal import Holder, Journal
from bennu.engine.lookout import Lookout
from bennu.engine.run import Engine
from bennu.engine.runbook import Runbook
from bennu.engine.turns import Counters, StopFlag, Wishes
from bennu.engine.wake import Wake
from bennu.phases.base import Commit, Effect, Monitor, Pen, Phase, Rotation, Seen, Step, Systems, World
from bennu.ports.repository import Edit
from tests.sim.memory_checkpoint import MemoryCheckpoint, MemoryDisk
from tests.sim.memory_repository import MemoryRemote, MemoryRepository
from tests.sim.memory_requests import MemoryRequestBox
from tests.sim.virtual_clock import VirtualClock

GROUP = Group("prod", "us-east-1")
ANN, BOB = Holder("ann@one", 1), Holder("bob@two", 2)
OPENING = lock.Opening(Colour.BLUE, Colour.GREEN, "CHG1", (("adopt", "true"),))


class Plain(Step):
    """A step whose parts a test gives; ``log`` has what was asked of it."""

    title = "a step"

    def __init__(self, name: str, gate: Callable[[World], Verdict] = lambda world: opened("fine"), *, already: bool = False, commit: bool = False) -> None:
        self.id = name  # type: ignore[misc]
        self.log: list[str] = []
        self._gate, self._already, self._commit = gate, already, commit

    def observe(self, world: World) -> Seen:
        self.log.append("observe")
        return Seen(self._already, "it is so", {"seen": "true"})

    def act(self, world: World, pen: Pen) -> Effect:
        self.log.append("act")
        pen.tell(f"acting {self.id}")
        made = Commit("Change a file", "Since a test wants it.", (Edit("clusters/a.yaml", "a: 1\n"),)) if self._commit else None
        return Effect({"acted": self.id}, made)

    def gate(self, world: World) -> Verdict:
        self.log.append("gate")
        return self._gate(world)

    def timeout_s(self, policy: Any) -> float:
        return 5.0


@dataclass
class Desk:
    """One remote, and what stands on one machine's desk."""

    remote: MemoryRemote = field(default_factory=lambda: MemoryRemote.of({"clusters/README.md": "here\n"}))
    disk: MemoryDisk = field(default_factory=MemoryDisk)
    clock: VirtualClock = field(default_factory=VirtualClock)
    stop: StopFlag = field(default_factory=StopFlag)

    def journal(self, holder: Holder = ANN, group: Group = GROUP) -> Journal:
        return Journal(MemoryRepository(self.remote), MemoryCheckpoint(self.disk), self.clock, group, holder)

    def engine(
        self,
        journal: Journal,
        *steps: Step,
        state: State = State.PROVISIONING,
        monitors: tuple[Monitor, ...] = (),
        retreat: tuple[Step, ...] = (),
        wishes: Wishes | None = None,
        back: tuple[Step, ...] = (),
    ) -> Engine:
        """One whose runbook has *steps* in *state* and nothing in any other."""
        events: Mapping[State, Event] = dict(zip(list(State)[1:], _FORWARD, strict=True))
        phases = tuple(
            Phase(one, event, lambda world, one=one: steps if one is state else (), monitors, retreat=lambda world: retreat)  # type: ignore[misc]
            for one, event in events.items()
        )
        rotation = Rotation(RotationId(GROUP, 1), Colour.BLUE, Colour.GREEN, "CHG1")
        world = World(rotation, cast("Any", None), LAB, cast("Systems", _Clocked(self.clock)))
        lookout = Lookout(journal, MemoryRequestBox(self.remote), self.stop, Counters(), Wake(self.clock.lapsed))
        runbook = Runbook(phases, lambda w, s: back, lambda w: (), lambda w: back, lambda w: (), lambda w, s: ())
        return Engine(runbook=runbook, world=world, lookout=lookout, wishes=wishes or Wishes(auto_promote=True))


_FORWARD = (
    Event.CLUSTER_READY, Event.FLUX_READY, Event.LINK_READY, Event.REPLICATION_COMPLETE, Event.HEALTH_VALIDATED, Event.PROMOTION_COMPLETE, Event.DNS_UPDATED,
    Event.CLEANUP_COMPLETE,
)  # fmt: skip


@dataclass(frozen=True)
class _Clocked:
    clock: VirtualClock
