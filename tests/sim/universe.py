"""A group of clusters that follow Git, without I/O: what a rotation needs of the world, driven by the virtual clock, and eyes on what must never happen.

Everything is plain data below one object, so that a world can be copied at any instant, as a process is killed at any instant. Between any two effects of Bennu's,
clients write: to the server that each cluster's live pointer names, and, stale, to every server there is.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

from bennu.core.clusters import Colour
from bennu.errors import DependencyDown, UsageError
from bennu.manifests import traffic_state, tree
from bennu.manifests.traffic_state import Keys
from bennu.phases.kinds import CONFIGMAP, HTTPROUTE, NODE, POD, SERVICE, labels_of, name_of
from bennu.ports.kubernetes import Kind, Ref
from bennu.ports.metrics import Client, Traffic
from bennu.ports.provisioner import Order
from bennu.ports.redis import Address
from tests.sim import controllers_flux, controllers_mesh, controllers_node, fleet
from tests.sim.memory_checkpoint import MemoryDisk
from tests.sim.memory_dns import MemoryDns
from tests.sim.memory_kubernetes import MemoryKubernetes
from tests.sim.memory_metrics import MemoryMetrics
from tests.sim.memory_provisioner import MemoryProvisioner
from tests.sim.memory_redis import MemoryRedis, RedisNet
from tests.sim.memory_repository import MemoryRemote
from tests.sim.redis_state import Held, ReadOnly
from tests.sim.virtual_clock import VirtualClock

PORT = 6379
LATE = "WRITTEN_LATE"  # a key of a pointer that was written by a reconciliation which had begun earlier
HEALTHY = Traffic(5000, 0, 20.0, 1.0)
_ENDPOINT = Kind("externaldns.k8s.io/v1alpha1", "DNSEndpoint")


@dataclass(frozen=True)
class Kit:
    """What the group has."""

    redis: bool = True
    apps: tuple[str, ...] = ("payment-service",)
    active_only: bool = True
    dns: bool = True
    weights: tuple[int, ...] = (10, 20, 50, 90)
    keys: Keys = traffic_state.SPECIFIED
    via: str = ""  # of the write Service; empty: there is none
    ledger: str = ""  # what bennu.yaml says of Redis beside the usual


@dataclass
class Fate:
    """What tests turn. ``health`` is what the proxies measure at a mirror of the named app; ``down`` are gateways (exporting colour) that do not answer, ``unsampled`` those that no metric tells of."""

    down: set[Colour] = field(default_factory=set)
    unsampled: set[Colour] = field(default_factory=set)
    health: dict[str, Traffic] = field(default_factory=dict)
    default_health: Traffic = HEALTHY
    residual: tuple[Client, ...] = ()
    frozen_flux: set[Colour] = field(default_factory=set)
    slow_flux: dict[Colour, float] = field(default_factory=dict)  # seconds between two stages of what Flux does


class Universe:
    """One group, blue active."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.settings = fleet.settings(
            redis=kit.redis, apps=kit.apps, active_only=kit.active_only, dns=kit.dns, weights=kit.weights, keys=kit.keys, via=kit.via, ledger=kit.ledger
        )
        self.clock = VirtualClock()
        self.remote = MemoryRemote.of(fleet.files(redis=kit.redis, apps=kit.apps, dns=kit.dns, keys=kit.keys, via=kit.via))
        self.disks: dict[str, MemoryDisk] = {}
        self.dns, self.metrics = MemoryDns(), MemoryMetrics()
        self.net = RedisNet(self.clock.boot)
        self.clusters: dict[Colour, MemoryKubernetes] = {}
        self.servers: dict[Colour, MemoryRedis] = {}
        self.provisioner = MemoryProvisioner()
        self.provisioner.made, self.provisioner.destroyed = self._made, self._destroyed
        self.fate = Fate()
        self.acknowledged: dict[str, str] = {}
        self.violations: list[str] = []
        self._reconciled: dict[Colour, float] = {}
        self._written = 0
        self._first()
        self._pulse()

    def copy(self) -> Universe:
        """The world as it is now; nothing that changes is shared."""
        counters = [self.remote._numbers, self.clock._order, *(cluster._version for cluster in self.clusters.values())]
        memo: dict[int, object] = {id(one): itertools.count(next(one)) for one in counters}
        # What never changes once it is there is shared.
        shared = (
            one
            for cluster in self.clusters.values()
            for one in (*cluster._objects, *cluster._objects.values(), *cluster._events, *cluster.kinds, *cluster._changes)
        )
        memo |= {id(one): one for one in (*self.remote.history, *(swap for swaps in self.remote.journals.values() for swap in swaps), self.settings, *shared)}
        return copy.deepcopy(self, memo)

    # What systems ask for

    def cluster(self, colour: Colour) -> MemoryKubernetes:
        """As the adapters do: a context that was never written is a usage error."""
        if colour not in self.clusters:
            raise UsageError(f"the kubeconfig has no context sim-{colour}", next_step="check groups in bennu.yaml")
        return self.clusters[colour]

    def redis(self, colour: Colour) -> MemoryRedis:
        if colour not in self.servers:
            raise DependencyDown(f"Redis of {colour.cluster} does not answer", next_step="look at its pod and its logs")
        return self.servers[colour]

    def disk(self, machine: str) -> MemoryDisk:
        """The disk of one machine."""
        return self.disks.setdefault(machine, MemoryDisk())

    @property
    def tree(self) -> Mapping[str, str]:
        """All files on the branch."""
        return self.remote.history[-1].files

    # Making and destroying

    def _made(self, order: Order) -> dict[str, str]:
        colour = order.colour
        cluster = self.clusters[colour] = MemoryKubernetes(f"sim-{colour}", uid=f"uid-{colour}")
        ready = [{"type": "Ready", "status": "True"}]
        cluster.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{colour}"}, "status": {"conditions": ready}})
        assert cluster.peek(NODE)
        if self.kit.redis:
            address = Address(f"redis.{colour}", PORT)
            server = self.servers[colour] = self.net.server(f"redis-{colour}", address)
            server.knobs.up = False
            self.net.alias(Address(f"redis-{colour.cluster}.database.svc.cluster.local", PORT), server)
        return {"gateway_address": f"gateway-{colour}.test"}

    def _destroyed(self, order: Order) -> None:
        self.clusters[order.colour].up = False
        if order.colour in self.servers:
            self.servers[order.colour].knobs.up = False

    def _first(self) -> None:
        """Blue, as an earlier rotation left it."""
        order = Order(fleet.GROUP, Colour.BLUE, "prod-us-east-1-0")
        self.provisioner.up(order, lambda line: None)
        blue = self.clusters[Colour.BLUE]
        for path in ("catalogs/flux/crds.yaml", "catalogs/flux/flux.yaml", f"{fleet.HOME}/cluster-blue/flux-system/gotk-sync.yaml"):
            for obj in controllers_flux.parsed(self.tree[path]):
                blue.apply(obj)
        for _ in range(8):
            self.clock.wait(1.0)
            self.tick()

    # Time

    def _pulse(self) -> None:
        """Once a second, for ever."""
        self.tick()
        self.clock.after(1.0, self._pulse)

    def tick(self) -> None:
        """Everything that happens by itself in a moment."""
        for colour, cluster in self.clusters.items():
            if cluster.up:
                if colour not in self.fate.frozen_flux and self.clock.boot() - self._reconciled.get(colour, 0.0) >= self.fate.slow_flux.get(colour, 0.0):
                    self._reconciled[colour] = self.clock.boot()
                    controllers_flux.reconcile(cluster, self.remote, self.clock.boot())
                controllers_node.step(cluster, self.servers.get(colour), colour.value)
        self._mesh()
        self.net.settle()
        self._traffic()
        self.clients_write()
        self.look()

    def _mesh(self) -> None:
        for importing, here in self.clusters.items():
            for exporting, there in self.clusters.items():
                if importing is exporting:
                    continue
                link, alive = exporting.cluster, exporting not in self.fate.down and there.up
                there_is = controllers_mesh.linked(here, link)
                if here.up and there_is:
                    controllers_mesh.mirror(here, there, link, alive=alive)
                    self.metrics.gateways[(importing, link)] = alive
                    if exporting in self.fate.unsampled:
                        del self.metrics.gateways[(importing, link)]
                if self.kit.redis:
                    self._wire(importing, exporting, up=there_is and alive)

    def _wire(self, importing: Colour, exporting: Colour, *, up: bool) -> None:
        asker, asked = self.servers[importing], self.servers[exporting]
        (self.net.heal if up else self.net.cut)(asker, asked)

    def _traffic(self) -> None:
        self._record()
        answer = self.answer()
        for colour, cluster in self.clusters.items():
            named = any(f"-{colour}." in target for target in answer)
            if not self.kit.dns:
                named = self.master_in_git() == colour
            clients = (Client("users", 100.0),) if named and cluster.up else self.fate.residual
            self.metrics.ingress[colour] = clients
            for app in self.kit.apps if cluster.up else ():
                for backend in self.weights(colour, app):
                    self.metrics.backends[(colour, "payments", f"{app}-split", backend)] = self.fate.health.get(app, self.fate.default_health)

    def answer(self) -> tuple[str, ...]:
        """What the users' resolvers say, whoever else is answered or not."""
        return self.dns._views.get(("authoritative", fleet.RECORD), ((), 0))[0]

    def _record(self) -> None:
        """ExternalDNS under policy ``sync``, one owner for all: without an endpoint in its own cluster it deletes the record."""
        for cluster in self.clusters.values():
            if not self.kit.dns or not cluster.up or not any(labels_of(pod).get("app") == "external-dns" for pod in cluster.peek(POD, "external-dns")):
                continue
            found = cluster.at(Ref(_ENDPOINT, "public", "flux-system"))
            if found is None:
                self.dns.publish(fleet.RECORD)
            for endpoint in (found or {}).get("spec", {}).get("endpoints") or []:
                self.dns.publish(endpoint["dnsName"], *endpoint["targets"], ttl_s=endpoint["recordTTL"])

    # Clients

    def clients_write(self) -> None:
        """One write to each server, whatever the pointers say: clients are stale, and only the servers may refuse them."""
        for colour, server in self.servers.items():
            self._written += 1
            key = f"{colour}-{self._written}"
            try:
                server.client_write(key, "1", fresh=True)
            except (ConnectionError, Held, ReadOnly):
                continue
            self.acknowledged[key] = colour.value

    # Eyes

    def look(self) -> None:
        """Note what must never be."""
        if len(self.writable()) > 1:
            self._violated(f"two servers accept writes: {', '.join(self.writable())}")
        self._pointers()
        running = [colour.value for colour, cluster in self.clusters.items() if cluster.up and self.runs_exclusive(colour)]
        if len(running) > 1:
            self._violated(f"active_only workloads run in {' and '.join(running)}")
        if self.kit.dns and self.clock.boot() > 1010 and not self.answer():
            self._violated("the users' record is gone")

    def _pointers(self) -> None:
        """A cluster that calls itself the master has the authority, or is being fenced, or (the pointers flip beside the promotion) gets it while nobody accepts a write; where the pointer
        is all the authority, one says so.
        """
        named = [colour for colour, cluster in self.clusters.items() if cluster.up and self.pointer(colour).get("IS_WRITE_MASTER") == "true"]
        for colour in named if self.kit.redis else ():
            server = self.servers[colour]
            if LATE in self.pointer(colour):
                continue  # Flux ended something old: for the moment nobody could have kept it from that, and at rest it is gone
            if server.knobs.up and server.state.master not in (None, controllers_node.PARKED) and self.writable():
                self._violated(f"the pointer of {colour} calls a replica the master")
        if len(named) > 1 and not self.kit.redis:
            self._violated("two pointers have the authority")

    def _violated(self, words: str) -> None:
        if words not in self.violations:
            self.violations.append(words)

    def runs_exclusive(self, colour: Colour) -> bool:
        """Whether a pod of an active_only workload runs there now."""
        if not self.kit.active_only:
            return False
        cluster = self.clusters[colour]
        known = cluster.looked.get("exclusive")
        if not isinstance(known, tuple) or known[0] != cluster.changes(POD):
            found = any(name_of(pod).startswith(("dispatcher", "settlement")) for pod in cluster.peek(POD, "payments"))
            known = cluster.looked["exclusive"] = cluster.changes(POD), found
        return bool(known[1])

    def writable(self) -> list[str]:
        """Servers that would acknowledge a write now."""
        return [c.value for c, s in self.servers.items() if s.knobs.up and s.state.master is None and s.paused_until <= self.clock.boot()]

    def lost(self) -> list[str]:
        """Acknowledged writes that the only master does not have."""
        masters = [one for one in self.servers.values() if one.knobs.up and one.state.master is None]
        return [key for key in self.acknowledged if len(masters) != 1 or key not in masters[0].state.keys]

    def weights(self, at: Colour, app: str) -> dict[str, int]:
        """Backend → weight of the live route."""
        route = self.clusters[at].at(Ref(HTTPROUTE, f"{app}-split", "payments"))
        rules = (route or {}).get("spec", {}).get("rules") or []
        return {b["name"]: int(b.get("weight", 1)) for rule in rules for b in rule["backendRefs"]}

    def pointer(self, at: Colour) -> dict[str, str]:
        """The live pointer's data, by the specification's names."""
        data: dict[str, str] = dict((self.clusters[at].at(Ref(CONFIGMAP, "global-traffic-state", "payments")) or {}).get("data") or {})
        names = {name: specified for specified, name in fleet.renamed(self.kit.keys).items()}
        return {names.get(key, key): value for key, value in data.items()}

    def leads_to(self, at: Colour) -> str:
        """Where the live write Service leads, Linkerd's name for a mirror or the local Service's."""
        kind = Kind("gateway.networking.k8s.io/v1alpha2", "TCPRoute") if self.kit.via == "tcproute" else SERVICE
        spec = (self.clusters[at].at(Ref(kind, "redis-write", "database")) or {}).get("spec") or {}
        return str(spec["rules"][0]["backendRefs"][0]["name"] if self.kit.via == "tcproute" else spec["externalName"].split(".")[0])

    def master_in_git(self, files: Mapping[str, str] | None = None) -> Colour | None:
        """Whom the branch (or a tree) names; AssertionError for two."""
        found = masters_of(self.tree if files is None else files, self.kit.keys)
        assert len(found) <= 1, found
        return found[0] if found else None


def masters_of(files: Mapping[str, str], keys: Keys = traffic_state.SPECIFIED) -> list[Colour]:
    """Clusters that a tree calls write master."""
    found = []
    for colour in Colour:
        path = f"{fleet.HOME}/{colour.cluster}/{tree.TRAFFIC_STATE}"
        if path in files and _is_master(files[path], keys):
            found.append(colour)
    return found


def _is_master(text: str, keys: Keys) -> bool:
    data = controllers_flux.parsed(text)[0]["data"]
    return str(data[keys.master]).lower() == "true"
