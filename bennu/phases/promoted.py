"""S7 PROMOTED: users follow. The route first (the old ingress sends everything on to the new master), then DNS, then its TTL.

The record keeps one writer: the DNSEndpoint stays in the old source's directory, and its ExternalDNS moves the record, until DRAINING hands both over.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.disaster import BY
from bennu.core.gates import dns_moved
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, opened, shut, worst
from bennu.errors import ConfigError, DependencyDown
from bennu.manifests import dns_endpoint, tree
from bennu.phases.base import GateStep, Phase, Step, World
from bennu.phases.kinds import SERVICE
from bennu.phases.reconciled import FluxStep
from bennu.phases.traffic_canary import live_weight, routed
from bennu.ports.kubernetes import Ref
from bennu.ports.repository import Edit


class Route(FluxStep):
    """Users who still reach the old cluster are sent on to the new one."""

    id = "promoted.route"
    title = "all traffic to the new master"
    subject = "Send all traffic to {target}"
    why = "Until DNS has moved, {source}'s ingress sends every request on through the mirror."

    def where(self, world: World) -> tuple[Colour, ...]:
        """The old source's route."""
        return (world.rotation.source,)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """0 local, 100 through the mirror."""
        return routed(world, world.rotation.source, world.rotation.target, 100)

    def then(self, world: World) -> Verdict:
        """Live."""
        return live_weight(world, world.rotation.source, world.rotation.target, 100)


class Dns(FluxStep):
    """Move the records to a cluster's load balancer."""

    awaits = "the name servers to answer with the new load balancer"
    why = "{group}'s records name the load balancer of the write master."

    def __init__(self, to: str = "target", step_id: str = "promoted.dns") -> None:
        super().__init__()
        self.id = step_id  # type: ignore[misc]
        self.title = "DNS"  # type: ignore[misc]
        self.subject = f"Point DNS at {{{to}}}"  # type: ignore[misc]
        self._to = to

    def colour(self, world: World) -> Colour:
        """Whose load balancer."""
        return world.rotation.target if self._to == "target" else world.rotation.source

    def home(self, world: World) -> Colour:
        """In whose directory the DNSEndpoint lies."""
        for colour in (world.rotation.source, world.rotation.target):
            if world.text(colour, tree.DNS) is not None:
                return colour
        raise ConfigError("no cluster of the group has a DNSEndpoint file", file=world.path(world.rotation.source, tree.DNS))

    def where(self, world: World) -> tuple[Colour, ...]:
        """The cluster whose ExternalDNS writes."""
        return (self.home(world),)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The DNSEndpoint's targets."""
        dns = world.conf.dns
        if dns is None:
            return ()
        path = world.path(self.home(world), tree.DNS)
        text = world.systems.repository.read(path) or ""
        return (Edit(path, dns_endpoint.edited(text, tuple(dns.records), balancer(world, self.colour(world)), path, endpoint_of(world))),)

    def then(self, world: World) -> Verdict:
        """Every configured server answers with the new target alone."""
        return answers(world, balancer(world, self.colour(world)))

    def timeout_s(self, policy: Policy) -> float:
        """The DNS timeout."""
        return policy.dns_timeout_s

    def forecast(self, world: World) -> str:
        """The balancer's name is known only once it stands."""
        return f"point {', '.join(world.conf.dns.records) if world.conf.dns else 'no record'} at the load balancer of {self.colour(world).cluster}"


class Ttl(GateStep):
    """Whoever cached the old answer may use it for one TTL more."""

    title = "the old record's TTL"
    awaits = "the TTL to run out at every resolver"

    def __init__(self, to: str = "target", step_id: str = "promoted.ttl") -> None:
        self.id = step_id  # type: ignore[misc]
        self._to = to
        self._since: float | None = None

    def gate(self, world: World) -> Verdict:
        """One TTL since the servers were first seen to agree, and they agree still."""
        found = answers(world, balancer(world, world.rotation.target if self._to == "target" else world.rotation.source))
        now = world.systems.clock.boot()
        if not found.is_open:
            self._since = None
            return found
        self._since = now if self._since is None else self._since
        ttl = _ttl(world)
        waited = now - self._since
        return opened(f"{found.reason}; TTL of {ttl} s is over") if waited >= ttl else shut(f"{waited:.0f} of {ttl} s of TTL")

    def glance(self, world: World) -> Verdict:
        """Whether they agree; for how long they have, one look cannot tell."""
        found = answers(world, balancer(world, world.rotation.target if self._to == "target" else world.rotation.source))
        return shut(f"{found.reason}; one TTL of {_ttl(world)} s is waited for") if found.is_open else found

    def timeout_s(self, policy: Policy) -> float:
        """The DNS timeout on top of the TTL."""
        return policy.dns_timeout_s + policy.dns_ttl_s


def endpoint_of(world: World) -> dns_endpoint.Which:
    """Which DNSEndpoint of the file, where bennu.yaml says it."""
    where = world.conf.dns.endpoint if world.conf.dns else None
    return None if where is None else (where.namespace, where.name)


def balancer(world: World, colour: Colour) -> str:
    """Hostname (or address) of a cluster's ingress load balancer, from the Service's status. Raises DependencyDown while there is none."""
    dns = world.conf.dns
    if dns is None:
        return ""
    where = dns.target_service
    live = world.systems.cluster(colour).get(Ref(SERVICE, where.name, where.namespace))
    for ingress in (live or {}).get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        found = ingress.get("hostname") or ingress.get("ip")
        if found:
            return str(found)
    raise DependencyDown(f"{colour.cluster} has no load balancer yet: Service {where.namespace}/{where.name}", next_step="'kubectl describe' the Service")


def answers(world: World, wanted: str) -> Verdict:
    """What every configured server says of every record."""
    dns = world.conf.dns
    if dns is None:
        return opened("no DNS record is configured")
    found: dict[tuple[str, str], tuple[str, ...] | None] = {}
    for record in dns.records:
        for server in dns.verify or ["authoritative"]:
            try:
                found[(record, server)] = world.systems.dns.ask(record, server).targets
            except DependencyDown:
                found[(record, server)] = None
    return worst([dns_moved(found, wanted)])


def _ttl(world: World) -> int:
    """The record's own TTL where Git says it, else the policy's."""
    home = next((colour for colour in (world.rotation.source, world.rotation.target) if world.text(colour, tree.DNS) is not None), None)
    text = "" if home is None else world.text(home, tree.DNS) or ""
    return dns_endpoint.ttl(text, tree.DNS, endpoint_of(world)) or world.policy.dns_ttl_s


def _steps(world: World) -> tuple[Step, ...]:
    return (Route(), Dns(), Ttl()) if world.conf.dns is not None else (Route(),)


def _confirm(world: World) -> str:
    """The last moment with a way back: where a second person is asked for, it is not left by itself. Where the source is kept nothing is taken down."""
    kept = world.rotation.keeps_source or world.facts.get(BY)
    return "drain" if not kept and "drain" in world.settings.repository.require.second_person else ""


PHASE = Phase(State.PROMOTED, Event.DNS_UPDATED, _steps, confirm=_confirm)
