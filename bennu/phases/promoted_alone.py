"""S7 without a source. The record's one writer is the target at once: the source's ExternalDNS may be as dead as the rest of it, and one that returns finds itself held in Git."""

from __future__ import annotations

from dataclasses import replace

from bennu.core.clusters import Colour
from bennu.core.verdict import Verdict, opened
from bennu.manifests import dns_endpoint, tree
from bennu.phases import promoted
from bennu.phases.base import Phase, Step, World
from bennu.phases.draining import ExternalDnsOff, RecordMoves
from bennu.phases.gone import is_disaster
from bennu.phases.promoted import Dns, Route, Ttl, balancer, endpoint_of
from bennu.phases.reconciled import FluxStep
from bennu.phases.traffic_canary import live_weight, routed
from bennu.ports.repository import Edit


class RouteInGit(Route):
    """Users who still reach the old cluster are sent on, if anything of it is left to do that. Not waited for."""

    def then(self, world: World) -> Verdict:
        """Its own matter."""
        return opened(f"Git says it; {world.rotation.source.cluster} is not waited for")


class OwnRoute(FluxStep):
    """A cluster that was kept from an earlier rotation sends its users on to the one that is dead now."""

    id = "promoted.own-route"
    title = "the new master serves its own users"
    awaits = "the target's own route"
    subject = "Serve {target}'s users in {target}"
    why = "{source} was given up: nothing is sent there any more."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """All local."""
        return routed(world, world.rotation.target, world.rotation.source, None)

    def then(self, world: World) -> Verdict:
        """Live."""
        return live_weight(world, world.rotation.target, world.rotation.source, 0)


class RecordTaken(RecordMoves):
    """The DNSEndpoint moves to the target's directory and names the target's load balancer, in one commit."""

    id = "promoted.dns-record"
    title = "the DNS record is the target's"
    subject = "Take the DNS record to {target}"
    why = "{source} was given up: {target}'s ExternalDNS is the record's one writer from here on."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """As in DRAINING, with the new target in it. It lies in the target's directory already where that cluster was kept from an earlier rotation."""
        dns, path = world.conf.dns, world.path(world.rotation.target, tree.DNS)
        records = tuple(dns.records) if dns is not None else ()
        wanted, moved = balancer(world, world.rotation.target), super().edits(world)
        if all(edit.path != path for edit in moved) and (text := world.text(world.rotation.target, tree.DNS)) is not None:
            moved = (Edit(path, text), *moved)
        return tuple(
            replace(edit, text=dns_endpoint.edited(edit.text, records, wanted, path, endpoint_of(world))) if edit.path == path and edit.text else edit
            for edit in moved
        )

    def where(self, world: World) -> tuple[Colour, ...]:
        """Both, so that a source that still answers lets go of it."""
        return (world.rotation.target, world.rotation.source)


def _steps(world: World) -> tuple[Step, ...]:
    if not is_disaster(world):
        return promoted.PHASE.steps(world)
    dns: tuple[Step, ...] = (ExternalDnsOff(), RecordTaken(), Dns(), Ttl()) if world.conf.dns is not None else ()
    return (OwnRoute(), RouteInGit(), *dns)


PHASE: Phase = replace(promoted.PHASE, steps=_steps)
