"""The one place that builds adapters and hands them on, with the phases' step list, to the engine.

Everything above parses and shows, everything below asks or decides; only here are concrete systems chosen.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from bennu.core import fsm
from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.disaster import BESIDE, GONE, given_up_before
from bennu.core.holding import held, is_ours, ways, where
from bennu.core.plan import Plan
from bennu.core.policy import Policy, named, overridden
from bennu.core.record import Kind
from bennu.core.standing import Standing
from bennu.core.states import Direction, Event, State
from bennu.core.status import GroupStatus
from bennu.engine import lock
from bennu.engine.journal import Journal
from bennu.engine.lookout import Aside
from bennu.engine.preview import planned
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import DependencyDown, DurableStateError, GateRefused, LockHeld, UsageError
from bennu.manifests import ingress_routing, tree
from bennu.phases import authority_history, disaster, preflight, survey, warm_directory
from bennu.phases.authority_history import History
from bennu.phases.base import Rotation, Systems, World
from bennu.phases.gone import OPTION
from bennu.phases.mesh_linking import mirror_name
from bennu.phases.order import PHASES
from bennu.ports.repository import Reply, Request, RequestBox
from bennu.settings import GroupSettings, Settings, load
from bennu.wiring import looking
from bennu.wiring.aside import in_a_thread
from bennu.wiring.change_control import second_person, ticketed, words_ahead
from bennu.wiring.systems import Built, built, ourselves
from bennu.wiring.watching import beating, watched


@dataclass(frozen=True)
class Options:
    """What flags and environment say, before anything is read."""

    repo: Path | None = None
    config: Path | None = None
    group: str = ""
    policy: str = ""
    no_input: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


def found_config(options: Options) -> Path:
    """bennu.yaml: as given, or in the repository's root, or above the current directory. Raises UsageError."""
    if options.config is not None:
        if not options.config.is_file():
            raise UsageError(f"there is no settings file {options.config}", next_step="check --config")
        return options.config
    start = (options.repo or Path.cwd()).absolute()
    for folder in (start, *start.parents):
        if (folder / "bennu.yaml").is_file():
            return folder / "bennu.yaml"
    raise UsageError(f"there is no bennu.yaml in {start} or above it", next_step="change to your GitOps checkout, or name it with --repo or --config")


def groups(options: Options) -> tuple[Group, ...]:
    """The groups of the settings file."""
    return tuple(Group.parse(name) for name in load(found_config(options), environ=options.environ, flags={}).groups)


class Session:
    """One command's view of one group."""

    def __init__(self, options: Options, config: Path, settings: Settings, group: Group) -> None:
        self.options, self.config, self.settings, self.group = options, config, settings, group
        self.groups = tuple(settings.groups)

    @property
    def conf(self) -> GroupSettings:
        """The group's settings."""
        return self.settings.group(self.group)

    @cached_property
    def policy(self) -> Policy:
        """The named policy with the file's overrides, and over those what the group itself says."""
        base = named(self.options.policy or self.settings.policy)
        return overridden(overridden(base, dict(self.settings.policy_overrides or {})), self.conf.policy_numbers)

    @cached_property
    def _built(self) -> Built:
        return built(self.settings, self.group, self.config.parent, self.options.environ, no_input=self.options.no_input)

    @property
    def systems(self) -> Systems:
        """Every adapter."""
        return self._built.systems

    @cached_property
    def journal(self) -> Journal:
        """The group's journal, with our own pen."""
        return Journal(self.systems.repository, self.systems.checkpoint, self.systems.clock, self.group, ourselves(self.systems.checkpoint))

    @property
    def aside(self) -> Aside:
        """Who does what may take its time: a thread."""
        return in_a_thread

    # What stands

    def standing(self) -> Standing:
        """Freshly fetched where the remote answers."""
        self.journal.refresh()
        return self.journal.standing

    def status(self, *, gates: bool = False) -> GroupStatus:
        """For one screen; *gates*: with those of the step at hand. Changes nothing."""
        found, world = looking.told(self.journal, self._seen_as, gates=gates)
        return replace(found, survey=survey.surveyed(world, found.standing))

    def brief(self) -> GroupStatus:
        """For whoever resumes: without a survey of all systems, which may take its time while nobody accepts writes."""
        return looking.told(self.journal, self._seen_as, gates=False)[0]

    def _seen_as(self, standing: Standing) -> World:
        begun = standing.open or (standing.rotation and standing.begun and not standing.ended)
        return self.world(self.rotation(standing) if begun else self.idle())

    def history(self) -> tuple[History, str]:
        """The authority in every commit of the branch, freshly fetched; and what kept it from being fresh (empty: nothing)."""
        problem = self.systems.repository.fetch().problem
        return authority_history.audited(self.world(Rotation(RotationId(self.group, 0), Colour.BLUE, Colour.GREEN))), problem

    def active(self) -> Colour:
        """The write master by Git. Raises GateRefused where there is none, SplitBrainError where there are two (from the check)."""
        world = self.world(Rotation(RotationId(self.group, 0), Colour.BLUE, Colour.GREEN))
        masters = [colour for colour in Colour if world.is_master_in_git(colour)]
        if len(masters) != 1:
            found = ", ".join(masters) or "none"
            raise GateRefused(
                f"the write master of {self.group} can't be told from Git: {found}",
                next_step=f"mend {self.conf.pointer.keys.master} in the traffic-state.yaml files",
            )
        return masters[0]

    def idle(self) -> Rotation:
        """A rotation that is none: for looking around."""
        source = self.active()
        return Rotation(RotationId(self.group, 0), source, source.following)

    # What shall be

    def proposed(self, to: str, options: tuple[str, ...], *, ticket: str = "", only_fresh: bool = False, source_dead: bool = False) -> Rotation:
        """The rotation that ``start`` would begin. Raises UsageError for a target that makes no sense; DependencyDown where *only_fresh* and the remote is silent.

        *source_dead*: the source can't be asked whether it is another cluster than the target; the judge of a disaster refuses one whose Redis answers.
        """
        freshness = self.systems.repository.fetch()
        if freshness.problem and only_fresh:
            raise lock.stale(freshness)
        source = self.active()
        target = Colour.parse(to) if to else source.following
        if target is source:
            raise UsageError(f"{source.cluster} is the source already", next_step=f"choose another --to than {source}")
        if target.value not in self.conf.clusters:
            added = f"add it under groups.{self.group}.clusters, or choose another --to"
            raise UsageError(f"{self.group} has no cluster {target} in bennu.yaml", next_step=added)
        if not source_dead:
            self._distinct(source, target)
        ticketed(self.settings.repository.require, ticket, needed=False)
        number = self.systems.repository.journal(self.group).records
        last = max((int(record.rotation.rsplit("-", 1)[-1]) for record in number if record.rotation), default=0)
        return Rotation(RotationId(self.group, last + 1), source, target, ticket, self.journal.holder.name, frozenset(options))

    def _distinct(self, source: Colour, target: Colour) -> None:
        here, there = self.conf.clusters[source.value], self.conf.clusters[target.value]
        if (here.context, here.kubeconfig) == (there.context, there.kubeconfig):
            raise UsageError(f"{source} and {target} have the same context {here.context!r}", next_step=f"mend groups.{self.group}.clusters in bennu.yaml")
        try:
            theirs = self.systems.cluster(target).uid()
        except (DependencyDown, UsageError):
            return  # it does not exist yet
        if theirs == self.systems.cluster(source).uid():
            raise UsageError(
                f"the contexts {here.context} and {there.context} point at one cluster (UID {theirs})",
                next_step=f"mend groups.{self.group}.clusters in bennu.yaml or the kubeconfig",
            )

    def preflight(self, rotation: Rotation) -> None:
        """What ``start`` refuses on. Raises LockHeld (4), UsageError (2), DependencyDown (8), GateRefused (3)."""
        lock.free(self.journal)
        ticketed(self.settings.repository.require, rotation.ticket, needed=True)
        for finding in preflight.examined(self.world(rotation)):
            if finding.verdict.is_open:
                continue
            words = f"{finding.title}: {finding.verdict.reason}"
            if finding.id == "target.absent":
                raise UsageError(words, next_step=finding.hint)
            raise {2: UsageError, 8: DependencyDown}.get(finding.code, GateRefused)(words, next_step=f"{finding.hint}; 'bennu doctor' shows all checks")

    def refuse_disaster(self, standing: Standing, *, take_over: str = "") -> None:
        """Words where nothing can take over from a dead source. Raises GateRefused (3), LockHeld (4)."""
        # Killed before it entered S6, one that a disaster began goes on all the same.
        if not standing.open and (not standing.begun or standing.ended or standing.options.get(BESIDE) != "true"):
            warm = "'bennu rotate start --dr' takes the write authority to a cluster that was kept warm, if there is one"
            raise GateRefused("no rotation is open", next_step=warm)
        if standing.direction is not Direction.FORWARD:
            raise GateRefused(
                f"{standing.rotation} is on its way back to {standing.source}: which of its two clusters is the dead one is not Bennu's to guess",
                next_step="docs/disaster.md says what can be done by hand",
            )
        if standing.state.number < State.SWITCHOVER_LOCKED.number:
            fsm.advance(standing.state, Event.DISASTER)
        if self.holder_lives(standing) and standing.lock is not None and take_over != standing.lock.id:
            raise LockHeld(
                f"rotation {standing.rotation} is open in {where(standing)}, {held(standing, self.systems.clock.wall())}",
                next_step=f"'bennu rotate abort' has that holder stop; if it is dead, add --take-over {standing.lock.id}",
            )

    def judge_disaster(self, rotation: Rotation, facts: Mapping[str, str], wishes: Wishes, state: State = State.IDLE_STABLE) -> tuple[str, ...]:
        """What going on without the source may cost, before a lock is taken. Raises GateRefused (3) where it is no disaster, OperatorNeeded (7) where it is not agreed to."""
        said = {**facts, "loss.accepted": self.journal.holder.name if wishes.accept_loss else "", GONE: wishes.gone}
        return disaster.agreed(replace(self.world(rotation), facts=said), state)

    def warm_beside(self, to: str, *, ticket: str = "") -> Rotation:
        """The rotation that a disaster begins with none open: to the cluster that was kept warm. Raises LockHeld, UsageError."""
        standing = lock.fresh(self.journal)
        if standing.open:
            raise LockHeld(
                f"rotation {standing.rotation} is open in {standing.state}", next_step="'bennu rotate promote --dr' goes on with it, without its source"
            )
        source = self.active()
        world = self.world(Rotation(RotationId(self.group, 0), source, source.following))
        there = [colour for colour in Colour if colour is not source and world.text(colour, tree.CLUSTER_CONFIG) is not None]
        lost = given_up_before(self.journal.records)
        wanted = [Colour.parse(to)] if to else [one for one in there if one.value not in lost] or there
        if len(wanted) != 1 or wanted[0] not in there:
            names = ", ".join(there) or "none: without a replica there is nothing to promote; 'bennu rotate cleanup' and a restore are what is left"
            raise UsageError(f"which warm cluster takes over from {source.cluster}? there is {names}", next_step="name it with --to")
        return self.proposed(disaster.never_given_up(wanted[0], lost).value, (BESIDE, "keep-source"), ticket=ticket, only_fresh=True, source_dead=True)

    def plan(self, to: str) -> Plan:
        """Every step, from the open rotation's state on or from the start."""
        standing = self.standing()
        rotation = self.rotation(standing) if standing.open else self.proposed(to, ())
        world = replace(self.world(rotation), facts=standing.facts if standing.open else {})
        phases = [phase for phase in PHASES if not standing.open or phase.state.number >= standing.state.number]
        steps = planned(phases, world)
        if standing.open:
            steps = tuple(step for step in steps if step.step not in standing.done)
        names = () if standing.open else warm_directory.still_names_source(world)
        return Plan(str(self.group), rotation.source.value, rotation.target.value, self.policy.name, steps, names)

    def cleanup_of(self, colour: str, *, gone: str = "") -> Rotation:
        """Which cluster ``cleanup`` takes down: the one named, or the only warm one. *gone*: the name of a cluster that does not answer any more. Raises UsageError, GateRefused."""
        standing = self.standing()
        if standing.open:
            raise LockHeld(f"rotation {standing.rotation} is open in {standing.state}", next_step="'bennu rotate rollback' or 'bennu rotate resume' ends it")
        master = self.active()
        world = self.world(self.idle())
        there = [one for one in Colour if one is not master and world.text(one, tree.CLUSTER_CONFIG) is not None]
        if colour:
            doomed = Colour.parse(colour)
            if doomed is master:
                raise GateRefused(f"{doomed.cluster} is the write master: it is not taken down", next_step="rotate first")
            if doomed not in there and self.systems.provisioner.knows(world.order(doomed)) is not True:
                # Nothing to drain would never be seen drained: the group would stay open in DRAINING, from where there is no way back.
                raise UsageError(f"there is no {doomed.cluster}, in Git or in the provisioner", next_step="'bennu clusters list' shows what there is")
        elif len(there) == 1:
            doomed = there[0]
        else:
            raise UsageError(f"which cluster? {', '.join(one.value for one in there) or 'there is none beside the master'}", next_step="name it with --colour")
        if gone and gone != doomed.cluster:
            words = f"--gone {gone!r} is not the cluster that is taken down: its name is {doomed.cluster}"
            raise UsageError(words, next_step="type that name, or leave --gone out")
        # A cluster that was kept is drained by a rotation of its own; who may not say so is who began the one that left it.
        left_by = [one.holder for one in self.journal.records if one.kind is Kind.BEGIN and doomed.value in (one.data.get("source"), one.data.get("target"))]
        second_person(self.settings.repository.require, self.group, "drain", self.journal.holder.name, left_by[-1] if left_by else "", command="cleanup")
        options = frozenset({"cleanup", *([OPTION] if gone else [])})
        return Rotation(RotationId(self.group, standing.number + 1), doomed, master, "", self.journal.holder.name, options)

    def world(self, rotation: Rotation) -> World:
        """The world of a rotation."""
        return World(rotation, self.settings, self.policy, self.systems)

    def wanted_weights(self, standing: Standing) -> dict[str, int]:
        """Per app, the percent that Git sends to the target now."""
        if standing.source is None or standing.target is None:
            return {}
        world = self.world(self.rotation(standing))
        path = world.path(standing.source, tree.INGRESS_ROUTING)
        text = self.systems.repository.read(path)
        if text is None:
            return {}
        return {
            app.name: ingress_routing.weights(text, app.route.namespace, app.route.name, path).get(mirror_name(world, app.service.name, standing.target)) or 0
            for app in self.conf.apps
        }

    # Requests

    def holder_lives(self, standing: Standing) -> bool:
        """Whether somebody holds the group: another machine by the journal, this machine by its file lock."""
        if standing.lock is None:
            return False
        if not is_ours(standing.lock, self.journal.holder.name, self.journal.holder.machine):
            return True
        try:
            with self.systems.checkpoint.exclusive(self.group):
                return False
        except LockHeld:
            return True

    def refuse_rollback(self, standing: Standing) -> None:
        """Words where there is no way back. Raises GateRefused (3)."""
        if standing.open and standing.direction is not Direction.FORWARD:
            return  # it is under way: asked for again, it goes on
        event = Event.REVERSE if standing.state is State.PROMOTED else Event.ROLLBACK
        fsm.advance(standing.state, event)

    def refuse_request(self, verb: str, standing: Standing) -> None:
        """Words where *verb* makes no sense now. Raises GateRefused (3)."""
        if not standing.open:
            raise GateRefused("no rotation is open", next_step="'bennu rotate start' begins one")
        where = {"promote": State.TRAFFIC_CANARY, "drain": State.PROMOTED}.get(verb)
        if where is not None and standing.state is not where:
            raise GateRefused(f"{verb} makes no sense in {standing.state}: only at the end of {where} something waits for it", next_step="bennu rotate status")
        second_person(self.settings.repository.require, self.group, verb, self.journal.holder.name, standing.started_by)
        if verb == "rollback":
            self.refuse_rollback(standing)

    def refuse_words(self, wanted: Wishes, started_by: str) -> None:
        """Words where *wanted* says ahead what whoever started the rotation may not say. Raises GateRefused (3)."""
        words_ahead(self.settings.repository.require, self.group, wanted, self.journal.holder.name, started_by)

    def request(self, verb: str, timeout_s: float, data: Mapping[str, str] | None = None) -> Reply:
        """Ask the holder of the rotation that the journal was last read with, and wait for its answer. Raises DependencyDown if it gives none in time."""
        box, clock, rotation = self.box, self.systems.clock, self.journal.standing.rotation
        asked = Request(secrets.token_hex(6), verb, self.journal.holder.name, clock.wall().isoformat(timespec="seconds"), data or {}, rotation)
        box.post(self.group, asked)
        begin, limit = clock.boot(), timeout_s or max(60.0, 10 * self.policy.request_poll_s)
        while clock.boot() - begin < limit:
            reply = box.answer(self.group, asked.id)
            if reply is not None:
                return reply
            clock.wait(self.policy.poll_s)
        raise DependencyDown(
            f"the holder did not answer within {limit:.0f} s",
            changed=f"the request '{verb}' stands for {rotation}: whoever drives it next takes it up",
            next_step=f"'bennu rotate status' shows its heartbeat; {ways(self.standing())}",
        )

    def watched(self, engine: Engine) -> AbstractContextManager[Engine]:
        """*engine*, with the Single Master rule watched beside it."""
        return watched(engine)

    def beating(self, engine: Engine) -> AbstractContextManager[Engine]:
        """*engine*, with a heartbeat beside it."""
        return beating(engine)

    @property
    def box(self) -> RequestBox:
        """Requests left for the holder."""
        return self._built.box

    def rotation(self, standing: Standing) -> Rotation:
        """The rotation that the journal tells of."""
        if standing.source is None or standing.target is None:
            raise DurableStateError("the journal tells of no rotation with a source and a target", next_step="'bennu rotate status --why' shows its records")
        options = frozenset(name for name, value in standing.options.items() if value == "true")
        return Rotation(RotationId(self.group, standing.number), standing.source, standing.target, standing.ticket, standing.started_by, options)


def session(options: Options) -> Session:
    """Read the settings and choose the group. Raises UsageError, ConfigError."""
    config = found_config(options)
    settings = load(config, environ=options.environ, flags={})
    known = [Group.parse(name) for name in settings.groups]
    if options.group:
        group = Group.parse(options.group)
        settings.group(group)
    elif len(known) == 1:
        group = known[0]
    else:
        raise UsageError(f"which group? {', '.join(map(str, known))}", next_step="name it with --group")
    return Session(options, config, settings, group)
