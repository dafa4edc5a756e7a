"""S8 DRAINING: the old cluster goes. The point of no return: its links, and with them the lossless way back, are gone after the first steps.

It refuses while the source still serves, holds authority, or owns state that nobody declared.
"""

from __future__ import annotations

from fnmatch import fnmatch
from functools import partial

from bennu.core.clusters import Colour
from bennu.core.gates import drained, none_running
from bennu.core.invariants import OWN_WRITES, SPLIT_BRAIN
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.switchover import stray_bytes
from bennu.core.verdict import Verdict, failed, opened, shut, unknown, worst
from bennu.errors import DependencyDown, OperatorNeeded
from bennu.manifests import tree
from bennu.phases import stray_writes, takedown, warm_directory
from bennu.phases.active_only import running
from bennu.phases.base import Effect, GateStep, Pen, Phase, Seen, Step, World
from bennu.phases.critical_servers import server
from bennu.phases.gone import given_up, gone
from bennu.phases.kinds import PVC, STATEFULSET, name_of, namespace_of
from bennu.phases.promoted import answers, balancer
from bennu.phases.reconciled import FluxStep
from bennu.phases.stray_writes import bytes_in_words
from bennu.ports.redis import Observation
from bennu.ports.repository import Edit
from bennu.settings import WorkloadSettings


class Refusals(GateStep):
    """May the source be taken down at all?"""

    id = "draining.refusals"
    title = "nobody needs the source any more"
    awaits = "the source's traffic to end"

    def gate(self, world: World) -> Verdict:
        """Authority elsewhere, no residual traffic, no undeclared state."""
        if gone(world, world.rotation.source):
            # Its users and its state can be asked of nobody; that it may go is the operator's word.
            return authority(world)
        return worst([authority(world), residual(world, world.rotation.source), declared(world, world.rotation.source)])

    def timeout_s(self, policy: Policy) -> float:
        """The draining timeout."""
        return policy.draining_timeout_s


class OwnWrites(Step):
    """What a cluster may hold alone, by the rotation that left it, is kept in files and given up by an operator's word, or it is not taken down."""

    id = "draining.own-writes"
    title = "nothing is lost with it that was not given up"

    def observe(self, world: World) -> Seen:
        """Already so where its Redis holds nothing alone, or does not answer: its name was typed then."""
        found = _alone(world)
        return Seen(found is None or not found.loses, "it holds nothing that the target lacks" if found else "its Redis does not answer")

    def act(self, world: World, pen: Pen) -> Effect:
        """Keep both sides, and refuse once; go on where what was shown was accepted."""
        found = _alone(world)
        if found is not None and found.loses:
            stray_writes.settled(world, pen, world.facts, found, partial(_not_taken_down, world))
        return Effect()


def _alone(world: World) -> stray_writes.Stray | None:
    source = _observed(world)
    if source is None:
        return None
    target = world.systems.redis(world.rotation.target).observe()
    return stray_writes.Stray(source, target, stray_bytes(server(source), server(target)))


def _not_taken_down(world: World, found: str, both: str) -> OperatorNeeded:
    source = world.rotation.source.cluster
    return OperatorNeeded(
        f"{source} may hold writes that the group lacks ({world.facts[OWN_WRITES]}; {found}): it is not taken down",
        changed=f"nothing; {both}",
        next_step="take from the files what is to last; then 'bennu rotate resume --accept-loss' gives the rest up and takes it down",
    )


def authority(world: World) -> Verdict:
    """The target has it, by Git and by Redis."""
    if world.is_master_in_git(world.rotation.source):
        return failed("the source is still the write master by Git")
    if not world.conf.redis:
        return opened("the target has the authority")
    target = world.systems.redis(world.rotation.target).observe()
    if not target.is_master:
        return failed("the target's Redis is not a master")
    dead, redis = gone(world, world.rotation.source), world.systems.redis(world.rotation.source)
    # Given up by name, it may have died alone: its cluster's nodes and API go on.
    source = _observed(world) if given_up(world, world.rotation.source) else redis.observe()
    if source is None and not dead and redis.lives():
        return failed("the source's Redis answers, if only with a refusal: whether it is a master cannot be read")
    if source is None:
        return opened(f"the target has the authority; {world.rotation.source.cluster} does not answer, and was given up by name")
    if source.is_master and (source.keys or not dead):
        # Its nodes and its API may be silent here: what its Redis says itself counts all the same.
        kept = f" with {source.keys} keys: save them (redis-cli --rdb) and scale it to 0 first" if dead else ""
        return failed(f"the source's Redis is a master{kept}")
    if world.facts.get(SPLIT_BRAIN) == "true":
        stray = stray_bytes(server(source), server(target))
        if stray != 0:
            return failed(
                f"two masters were seen, and the source's Redis holds {bytes_in_words(stray)} that the target lacks: save what is to last (redis-cli --rdb),"
                " then have it follow the target by hand (REPLICAOF); it is taken down only then"
            )
    return opened("the target has the authority")


def _observed(world: World) -> Observation | None:
    """The source's Redis, None where it does not answer."""
    try:
        return world.systems.redis(world.rotation.source).observe()
    except DependencyDown:
        return None


def residual(world: World, colour: Colour) -> Verdict:
    """What still comes in from outside, by client."""
    metrics, window, drain = world.systems.metrics, world.policy.drain_window_s, world.conf.drain
    limit = drain.residual.rps if drain and drain.residual and drain.residual.rps is not None else world.policy.residual_rps
    ignored = drain.residual.ignore if drain and drain.residual else []
    rps = metrics.ingress_rps(colour, window)
    if rps is None or rps <= limit:
        return drained(rps, limit, ())
    clients = metrics.ingress_clients(colour, window)
    counted = [client for client in clients if not any(fnmatch(client.name, pattern) for pattern in ignored)]
    # What is ignored is taken off the total, never the other way round: an unnamed client counts.
    rps -= sum(client.rps for client in clients if client not in counted)
    return drained(max(rps, 0.0), limit, tuple(f"{client.name} ({client.rps:.1f}/s)" for client in counted))


def declared(world: World, colour: Colour) -> Verdict:
    """Every StatefulSet and claim of the source is declared external, moved or disposable."""
    elsewhere, cluster = world.conf.elsewhere, world.systems.cluster(colour)
    patterns = [*elsewhere.external, *elsewhere.moved, *elsewhere.disposable] if elsewhere else []
    found = [(kind.kind, f"{namespace_of(obj)}/{name_of(obj)}") for kind in (STATEFULSET, PVC) for obj in cluster.list(kind)]
    lacking = [f"{kind} {name}" for kind, name in found if not any(fnmatch(name, pattern) for pattern in patterns)]
    if lacking:
        return failed(f"not declared under elsewhere (external, moved or disposable), and lost with the cluster: {', '.join(lacking)}")
    return opened(f"{len(found)} stateful objects are declared")


def _controller(world: World) -> tuple[WorkloadSettings, ...]:
    return () if world.conf.dns is None or world.conf.dns.controller is None else (world.conf.dns.controller,)


class ExternalDnsOff(FluxStep):
    """First of all: the source's ExternalDNS. With policy ``sync`` it would delete the live record as soon as its DNSEndpoint goes."""

    id = "draining.external-dns-off"
    title = "the source's ExternalDNS stops"
    awaits = "the source's ExternalDNS to be gone"
    subject = "Stop ExternalDNS on {source}"
    why = "Under policy sync it would delete the live record together with its DNSEndpoint."

    def where(self, world: World) -> tuple[Colour, ...]:
        """The source."""
        return (world.rotation.source,)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """Held, as a patch."""
        path = world.path(world.rotation.source, tree.PROFILE_SYNC)
        text = world.systems.repository.read(path)
        return () if text is None else (Edit(path, warm_directory.held(world, text, path, _controller(world))),)

    def then(self, world: World) -> Verdict:
        """No pod of it left."""
        return worst([none_running(w.kind, f"{w.namespace}/{w.name}", running(world.source, w)) for w in _controller(world)] or [opened("none is configured")])


class RecordMoves(FluxStep):
    """The record's one writer is the target from here on."""

    id = "draining.dns-record"
    title = "the DNS record's home moves"
    awaits = "the target's ExternalDNS to take the record over"
    subject = "Keep the DNS record in {target}"
    why = "{source}'s ExternalDNS is off; the record itself does not change."

    def where(self, world: World) -> tuple[Colour, ...]:
        """Both: it leaves one directory and enters the other."""
        return (world.rotation.target, world.rotation.source)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The file moves; the target's ExternalDNS is released."""
        source, target = world.rotation.source, world.rotation.target
        text = world.text(source, tree.DNS)
        found: list[Edit] = []
        if text is not None:
            found += [Edit(world.path(target, tree.DNS), text), Edit(world.path(source, tree.DNS), None)]
        path = world.path(target, tree.PROFILE_SYNC)
        profile = world.systems.repository.read(path)
        if profile is not None:
            found.append(Edit(path, warm_directory.released(world, profile, path, _controller(world))))
        return tuple(found)

    def then(self, world: World) -> Verdict:
        """The record still answers with the target, and somebody keeps it."""
        kept = [running(world.target, workload) for workload in _controller(world)]
        if any(count is None for count in kept):
            return unknown("the target's ExternalDNS cannot be seen")
        if not all(kept):
            return shut("the target's ExternalDNS is not running yet")
        return answers(world, balancer(world, world.rotation.target))


def _steps(world: World) -> tuple[Step, ...]:
    dns = (ExternalDnsOff(), RecordMoves()) if world.conf.dns is not None else ()
    own = (OwnWrites(),) if world.conf.redis and world.facts.get(OWN_WRITES) else ()
    return (Refusals(), *own, *dns, *takedown.steps("draining", source=True))


PHASE = Phase(State.DRAINING, Event.CLEANUP_COMPLETE, _steps)
