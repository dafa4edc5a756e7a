"""What a phase and a step are: the contract between the phases and the engine.

A step is the smallest thing that is done, checked and recorded. The engine asks it, in this order: ``observe`` (already so? then nothing is done), records the
intent, lets it ``act``, polls its ``gate``, and records it done. Therefore ``act`` may assume nothing about what an earlier, killed attempt had reached, and must be
safe to repeat after ``observe`` said that it is needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.disaster import BESIDE
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, opened
from bennu.errors import BennuError
from bennu.manifests import cluster_config, traffic_state, tree
from bennu.manifests.write_service import WriteService
from bennu.phases.crew import Crew
from bennu.ports.certificates import Certificates
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.clock import Clock
from bennu.ports.dns import Dns
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.metrics import Metrics
from bennu.ports.provisioner import Order, Provisioner
from bennu.ports.redis import RedisServer
from bennu.ports.repository import Edit, Repository
from bennu.settings import GroupSettings, Settings


@dataclass(frozen=True)
class Rotation:
    """One run, as it was begun. ``options`` are what the operator accepted (``adopt``, ``accept-one-way`` …), by name."""

    id: RotationId
    source: Colour
    target: Colour
    ticket: str = ""
    started_by: str = ""
    options: frozenset[str] = frozenset()

    @property
    def group(self) -> Group:
        """The group it belongs to."""
        return self.id.group

    @property
    def made_target(self) -> bool:
        """Whether this run made its target: a cluster that stood there before it, kept or taken as it was, is not its to destroy."""
        return not self.options & {BESIDE, "adopt"}

    @property
    def keeps_source(self) -> bool:
        """Whether the old cluster stays, for a cleanup of its own."""
        return "keep-source" in self.options

    def swapped(self) -> Rotation:
        """The same run with the roles swapped: the reverse switchover."""
        return replace(self, source=self.target, target=self.source)


@dataclass(frozen=True)
class Systems:
    """Every system a step may ask. Clusters and Redis servers are made when first asked for: the target's do not exist at first."""

    repository: Repository
    cluster: Callable[[Colour], Kubernetes]
    redis: Callable[[Colour], RedisServer]
    metrics: Metrics
    dns: Dns
    provisioner: Provisioner
    certificates: Certificates
    checkpoint: Checkpoint
    clock: Clock
    crew: Callable[[int], Crew] = Crew  # threads for what happens at the same moment


@dataclass(frozen=True)
class World:
    """What a step gets: the run, its settings and numbers, and the systems. ``facts`` are what earlier steps noted in the journal."""

    rotation: Rotation
    settings: Settings
    policy: Policy
    systems: Systems
    epoch: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def conf(self) -> GroupSettings:
        """The group's settings."""
        return self.settings.group(self.rotation.group)

    @property
    def source(self) -> Kubernetes:
        """The source cluster."""
        return self.systems.cluster(self.rotation.source)

    @property
    def target(self) -> Kubernetes:
        """The target cluster."""
        return self.systems.cluster(self.rotation.target)

    def order(self, colour: Colour) -> Order:
        """What the provisioner is asked for."""
        return Order(self.rotation.group, colour, str(self.rotation.id))

    def directory(self, colour: Colour) -> str:
        """The cluster's directory in the repository."""
        return tree.cluster_dir(self.settings.repository.layout.clusters, self.rotation.group, colour)

    def path(self, colour: Colour, name: str) -> str:
        """A file of the cluster's directory."""
        return f"{self.directory(colour)}/{name}"

    def text(self, colour: Colour, name: str) -> str | None:
        """That file's text on the branch, None where there is none."""
        return self.systems.repository.read(self.path(colour, name))

    def state(self, colour: Colour) -> traffic_state.TrafficState | None:
        """What traffic-state.yaml of a cluster says on the branch, None where there is none."""
        text = self.text(colour, tree.TRAFFIC_STATE)
        return None if text is None else traffic_state.parse(text, self.path(colour, tree.TRAFFIC_STATE), self.conf.pointer.keys)

    def is_master_in_git(self, colour: Colour) -> bool:
        """Whether that file gives *colour* the write authority."""
        found = self.state(colour)
        return found is not None and found.is_write_master

    @property
    def write_service(self) -> WriteService | None:
        """The Service that follows the pointer, None where the group has none."""
        found = self.conf.pointer.write_service
        return WriteService(found.namespace, found.name, found.via) if found is not None else None

    def outputs(self, colour: Colour) -> Mapping[str, str]:
        """What cluster-config.yaml says of a cluster: identity and provisioner outputs, keys in upper case."""
        text = self.text(colour, tree.CLUSTER_CONFIG)
        return {} if text is None else cluster_config.parse(text, self.path(colour, tree.CLUSTER_CONFIG))

    def swapped(self) -> World:
        """The world of the reverse switchover."""
        return replace(self, rotation=self.rotation.swapped())


class StepAborted(Exception):
    """Raised by ``act``: the step put the world back itself, as it was before; the phase shall retreat. The message is the reason, in an operator's words.

    *ending*: how the run ends after that, where "stopped, resumable" (5) would not say enough.
    """

    def __init__(self, reason: str, ending: BennuError | None = None) -> None:
        super().__init__(reason)
        self.ending = ending


@dataclass(frozen=True)
class Seen:
    """What ``observe`` found: already so, or not; in words. ``facts`` go to the journal where it is already so, as those of an effect would have."""

    already: bool
    detail: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Commit:
    """A commit that the step wants made; the engine adds the trailers. ``subject`` at most 60 characters."""

    subject: str
    body: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Effect:
    """What ``act`` did: figures for the journal, and the commit that the engine shall make together with their record. ``clusters``: UIDs that the lock holds from that commit on."""

    facts: Mapping[str, str] = field(default_factory=dict)
    commit: Commit | None = None
    clusters: tuple[str, ...] = ()


class Pen(Protocol):
    """What a step may say while it acts."""

    def tell(self, line: str) -> None:
        """A line for the operator."""

    def intend(self, facts: Mapping[str, str]) -> None:
        """Push an intent of its own in the middle of the act. The swap proves that the lock is still held; LockLost otherwise."""

    def undisturbed(self) -> AbstractContextManager[None]:
        """While open, nobody beside the run pushes anything: what is under way was waited for."""


class Step(ABC):
    """See the module's docstring. ``id`` is ``<phase>.<noun>``; ``title`` is what is done, ``awaits`` what its gate waits for, both in an operator's words."""

    id: ClassVar[str]
    title: ClassVar[str]
    awaits: ClassVar[str] = ""
    answers: ClassVar[str] = ""  # the fact with why not, empty for yes, for whoever asked for what this step judges

    @abstractmethod
    def observe(self, world: World) -> Seen:
        """Is it already so?"""

    @abstractmethod
    def act(self, world: World, pen: Pen) -> Effect:
        """Do it."""

    def gate(self, world: World) -> Verdict:
        """Does it hold? Polled until open, failed, or the deadline."""
        return opened("done")

    def glance(self, world: World) -> Verdict:
        """The gate as one look tells it, for who only wants to know: *world* cannot be written to, and nobody looks again."""
        return self.gate(world)

    def timeout_s(self, policy: Policy) -> float:
        """How long the gate is waited for."""
        return policy.linking_timeout_s

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The repository edits it would make now; ``plan`` shows them, ``act`` of a Git step commits them."""
        return ()

    def forecast(self, world: World) -> str:
        """What ``plan`` says of effects outside Git."""
        return self.title


class GitStep(Step):
    """A step whose effect is a commit: its edits are computed from the branch as it is, so repeating it is harmless."""

    subject: ClassVar[str]
    why: ClassVar[str] = ""

    def gate(self, world: World) -> Verdict:
        """A commit that was pushed stands."""
        return opened("committed")

    _seen: tuple[str, tuple[Edit, ...]] = ("", ())

    def observe(self, world: World) -> Seen:
        """Already so where the edits would change nothing."""
        changed = pending(world, self.edits(world))
        self._seen = (world.systems.repository.head(), changed)
        return Seen(not changed, "the repository says so already" if not changed else f"{len(changed)} files to change")

    def act(self, world: World, pen: Pen) -> Effect:
        """Hand the edits to the engine, which commits them together with the journal's record."""
        # Safe to repeat: edits are computed against the current branch, and an edit that is there already is left out.
        head, edits = self._seen
        if head != world.systems.repository.head():
            edits = pending(world, self.edits(world))
        names = {"source": world.rotation.source.cluster, "target": world.rotation.target.cluster, "group": str(world.rotation.group)}
        return Effect(commit=Commit(self.subject.format(**names), self.why.format(**names), edits) if edits else None)


class GateStep(Step):
    """A step that changes nothing and waits for its gate."""

    def observe(self, world: World) -> Seen:
        """Never "already": the gate is what counts."""
        return Seen(False, self.awaits)

    def act(self, world: World, pen: Pen) -> Effect:
        """Nothing to do."""
        return Effect()


def pending(world: World, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """Those edits that would change the branch."""
    return tuple(edit for edit in edits if world.systems.repository.read(edit.path) != edit.text)


@dataclass(frozen=True)
class Monitor:
    """Something that must stay true while a phase lasts. ``check`` is asked at every poll; a *failed* verdict makes the phase retreat."""

    name: str
    check: Callable[[World], Verdict]


@dataclass(frozen=True)
class Phase:
    """One state of the machine: its steps in order, the event that leaves it, what is watched meanwhile, and what is done when something fails.

    ``confirm`` names the command that a human must give before the phase is left ("promote", "drain"), empty where none is needed. ``retreat`` are the steps that bring the system
    to safety when a gate or monitor fails; they are run forward like any others. ``retreat_event`` is taken afterwards where the retreat changes the state.
    """

    state: State
    leaves_by: Event
    steps: Callable[[World], tuple[Step, ...]]
    monitors: tuple[Monitor, ...] = ()
    confirm: Callable[[World], str] = lambda world: ""
    vigil: Callable[[World], Step | None] = lambda world: None  # its gate is asked while a human is waited for: a failed verdict makes the phase retreat
    retreat: Callable[[World], tuple[Step, ...]] = lambda world: ()
    retreat_event: Event | None = None
    atomic: bool = False  # from its first effect on, signals wait until the phase has ended
    turnable: bool = True  # whether a request typed elsewhere may turn it aside; on a way back there is nothing left to turn to
