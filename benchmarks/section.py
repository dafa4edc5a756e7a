"""Bennu's own S6, built on two real servers, a pointer file and a journal file: what the benchmarks time and the fault tests break.

What runs is ``bennu.phases.hand_over.HandOver`` over the real adapters for Redis, Bennu's journal, lock and (where the step was aborted) S6's retreat; nothing of the procedure is written
down here again. Around it: ``Grounds`` (the environment's contract), the small file-backed ports beside this module, and ``Seams``, by which a test gets between Bennu and its systems
from outside. Running it again is the resume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NoReturn

from benchmarks.file_journal import FileRepository
from benchmarks.file_pointer import NAME, NAMESPACE, SERVICE, SERVICE_NAMESPACE, TEMPLATE, FileCluster
from benchmarks.grounds import Grounds
from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.clock import SystemClock
from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.expiry import Expiry
from bennu.core.export import Entry as Exported
from bennu.core.policy import SPEC, Policy
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.core.surroundings import Admission, Profile
from bennu.engine import lock
from bennu.engine.journal import Entry, Holder, Journal
from bennu.errors import BennuError, GateRefused, LockLost, StoppedSafe
from bennu.manifests import tree
from bennu.phases.base import Rotation, StepAborted, Systems, World
from bennu.phases.hand_over import HandOver
from bennu.phases.switchover_locked import GiveUp
from bennu.ports.clock import Clock
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.redis import Address, Credential, Critical, LastSave, Member, Observation, RedisServer, Trust
from bennu.ports.repository import Repository
from bennu.settings import Settings

GROUP = Group("bench", "here")


@dataclass(frozen=True)
class Seams:
    """What a test puts between Bennu and a system: each gets the real one and returns what Bennu shall see. ``critical`` is asked for each connection of the section."""

    critical: Callable[[Colour, Critical], Critical] = lambda colour, real: real
    redis: Callable[[Colour, RedisServer], RedisServer] = lambda colour, real: real
    cluster: Callable[[Colour, Kubernetes], Kubernetes] = lambda colour, real: real
    repository: Callable[[Repository], Repository] = lambda real: real
    clock: Callable[[Clock], Clock] = lambda real: real


@dataclass(frozen=True)
class Options:
    """How it runs. ``holder`` as ``user@host``: the same one's dead process is followed at once, another's needs its lock's id in ``take_over``."""

    policy: Policy = SPEC
    holder: str = "bench@here"
    take_over: str = ""
    accept_volatile: bool = False
    tell: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class Done:
    """The authority is at the target. ``facts`` are the journal's figures, ``already`` that nothing was left to do."""

    facts: Mapping[str, str] = field(default_factory=dict)
    already: bool = False


@dataclass
class Section:
    """One process that hands over, or resumes. ``run`` once."""

    grounds: Grounds
    seams: Seams = field(default_factory=Seams)
    options: Options = field(default_factory=Options)

    def run(self) -> Done:
        """To the end. Raises what ``bennu.errors`` says; StoppedSafe where the source stays master, LockHeld where somebody else drives."""
        self.grounds.state.mkdir(parents=True, exist_ok=True)
        systems = self._systems()
        journal = Journal(systems.repository, systems.checkpoint, systems.clock, GROUP, Holder(self.options.holder, 0))
        self._locked(journal)
        try:
            done = self._handed_over(systems, journal)
            journal.append(Entry(Kind.RELEASE))
            return done
        except LockLost:
            raise
        except BennuError:
            lock.release(journal)
            raise

    def _locked(self, journal: Journal) -> None:
        standing = lock.fresh(journal)
        # Begun and not ended: a holder may have died before it wrote the first state.
        if standing.open or (standing.begun and not standing.ended):
            standing = lock.take(journal, over=self.options.take_over)
        else:
            lock.begin(journal, lock.Opening(Colour.BLUE, Colour.GREEN))
        if not standing.open:
            journal.append(Entry(Kind.STATE, state=State.SWITCHOVER_LOCKED))

    def _handed_over(self, systems: Systems, journal: Journal) -> Done:
        world, step = self._world(systems, journal), HandOver()
        if not self.options.accept_volatile:
            _persistent(world)
        seen = step.observe(world)
        if seen.already:
            journal.append(Entry(Kind.DONE, step=step.id, data={**seen.facts, "already": seen.detail}))
            return Done(journal.standing.facts, already=True)
        journal.append(Entry(Kind.INTENT, step=step.id))
        try:
            effect = step.act(world, _Pen(journal, step.id, self.options.tell))
        except StepAborted as aborted:
            self._given_up(systems, journal, str(aborted))
        journal.append(Entry(Kind.DONE, step=step.id, data=effect.facts))
        return Done(effect.facts)

    def _given_up(self, systems: Systems, journal: Journal, reason: str) -> NoReturn:
        """S6's retreat, as the engine runs it."""
        step, world = GiveUp(), self._world(systems, journal)
        if not step.observe(world).already:
            effect = step.act(world, _Pen(journal, step.id, self.options.tell))
            journal.append(Entry(Kind.DONE, step=step.id, data=effect.facts), Entry(Kind.ABORTED, step="switchover-locked.*", data={"reason": reason}))
        raise StoppedSafe(reason, changed="the source is writable and the pointer names it", next_step="run it again")

    def _world(self, systems: Systems, journal: Journal) -> World:
        standing = journal.standing
        rotation = Rotation(RotationId(GROUP, standing.number), Colour.BLUE, Colour.GREEN)
        rotation = rotation.swapped() if self.grounds.reverse else rotation
        return World(rotation, settings(), self.options.policy, systems, journal.epoch, standing.facts)

    def _systems(self) -> Systems:
        seams, grounds = self.seams, self.grounds
        absent: Any = _Absent()
        return Systems(
            repository=seams.repository(FileRepository(grounds.state, _files())),
            cluster=cache(lambda colour: seams.cluster(colour, FileCluster(grounds, colour))),
            redis=cache(lambda colour: seams.redis(colour, _Tapped(colour, _redis(grounds, colour), seams))),
            metrics=absent,
            dns=absent,
            provisioner=absent,
            certificates=absent,
            checkpoint=FileCheckpoint(grounds.state),
            clock=seams.clock(SystemClock()),
        )


@dataclass(frozen=True)
class _Pen:
    """What the step writes with: lines for the caller, intents for the journal."""

    journal: Journal
    step: str
    line: Callable[[str], None]

    def tell(self, line: str) -> None:
        """See ``bennu.phases.base.Pen``."""
        self.line(line)

    def intend(self, facts: Mapping[str, str]) -> None:
        """See ``bennu.phases.base.Pen``."""
        self.journal.append(Entry(Kind.INTENT, step=self.step, data=facts))

    def undisturbed(self) -> AbstractContextManager[None]:
        """See ``bennu.phases.base.Pen``."""
        return self.journal.undisturbed()


class _Absent:
    """A system that S6 has no question for."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError(f"S6 asked for {name}, which a benchmark does not have")


@dataclass(frozen=True)
class _Tapped:
    """A server whose critical connections pass the seam."""

    colour: Colour
    real: RedisServer
    seams: Seams

    @property
    def name(self) -> str:
        """See the port."""
        return self.real.name

    def observe(self) -> Observation:
        """See the port."""
        return self.real.observe()

    def members(self) -> tuple[Member, ...]:
        """See the port."""
        return self.real.members()

    def lives(self) -> bool:
        """See the port."""
        return self.real.lives()

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Critical]:
        """See the port."""
        with self.real.critical(name, member) as connection:
            yield self.seams.critical(self.colour, connection)

    def kill_named(self, rotation: str, below_epoch: int) -> int:
        """See the port."""
        return self.real.kill_named(rotation, below_epoch)

    def profile(self) -> Profile:
        """See the port."""
        return self.real.profile()

    def credential_for_master(self) -> Credential:
        """See the port."""
        return self.real.credential_for_master()

    def trust(self) -> Trust | None:
        """See the port."""
        return self.real.trust()

    def lets_in(self, credential: Credential, trust: Trust | None) -> Admission:
        """See the port."""
        return self.real.lets_in(credential, trust)

    def expiries(self) -> tuple[Expiry, ...]:
        """See the port."""
        return self.real.expiries()

    def last_save(self) -> LastSave:
        """See the port."""
        return self.real.last_save()

    def begin_save(self) -> None:
        """See the port."""
        self.real.begin_save()

    def export(self) -> Iterator[Exported]:
        """See the port."""
        return self.real.export()

    def credential(self) -> Credential:
        """See the port."""
        return self.real.credential()

    def authenticate_as(self, credential: Credential) -> None:
        """See the port."""
        self.real.authenticate_as(credential)

    def replicate(self, master: Address) -> None:
        """See the port."""
        self.real.replicate(master)


def _redis(grounds: Grounds, colour: Colour) -> RedisOverSocket:
    reach = grounds.nodes[colour].reach
    return RedisOverSocket(RedisEndpoint(f"Redis of {colour.cluster}", lambda: reach, lambda: grounds.password))


def _persistent(world: World) -> None:
    for colour in (world.rotation.source, world.rotation.target):
        seen = world.systems.redis(colour).observe()
        if not (seen.aof or seen.rdb_save):
            raise GateRefused(
                f"Redis of {colour.cluster} has no persistence (AOF or RDB): a restart would empty both", next_step="turn appendonly on, or --accept-volatile"
            )


def settings() -> Settings:
    """What bennu.yaml would say: one Redis reached directly, each the other's mirror by endpoint."""
    redis = {"name": "ledger", "service": {"namespace": SERVICE_NAMESPACE, "name": SERVICE, "port": 6379}, "reach": "direct", "replicate_via": "endpoint"}
    group = {
        "clusters": {colour: {"context": f"bench-{colour}"} for colour in ("blue", "green")},
        "provisioner": {"kind": "command", "up": ["true"], "down": ["true"]},
        "flux": {"bootstrap": ["catalogs/flux"]},
        "pointer": {"configmap": {"namespace": NAMESPACE, "name": NAME}, "maintenance_mode": "off"},
        "redis": [redis],
        "metrics": {"prometheus": {"url": "http://prometheus.invalid"}},
    }
    return Settings.model_validate({"version": 1, "repository": {"remote": "https://git.invalid/fleet.git"}, "groups": {str(GROUP): group}})


def _files() -> dict[str, str]:
    layout = settings().repository.layout.clusters
    return {f"{tree.cluster_dir(layout, GROUP, colour)}/{tree.TRAFFIC_STATE}": TEMPLATE for colour in (Colour.BLUE, Colour.GREEN)}
