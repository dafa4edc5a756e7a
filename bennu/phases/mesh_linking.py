"""S3 MESH_LINKING: Links in both directions.

Links are one-way. Target → source carries the target's writes and the replication; source → target carries the canary's share of the traffic, and after the switch the
reverse replication. Credentials go from cluster to cluster and never into Git.
"""

from __future__ import annotations

import base64

from bennu.core.clusters import Colour
from bennu.core.gates import LinkView, link_ready
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, worst
from bennu.errors import DependencyDown
from bennu.manifests import link
from bennu.phases.base import Effect, GateStep, Monitor, Pen, Phase, Seen, Step, World
from bennu.phases.kinds import ENDPOINTS, LINK, SECRET, name_of, namespace_of
from bennu.phases.reconciled import FluxStep
from bennu.ports.kubernetes import Json, Ref
from bennu.ports.repository import Edit


def directions(world: World) -> tuple[tuple[Colour, Colour], ...]:
    """(importing, exporting) both ways."""
    source, target = world.rotation.source, world.rotation.target
    return ((target, source), (source, target))


def link_name(world: World, exporting: Colour) -> str:
    """The Link's name, from ``mesh.link_name``; also the suffix of its mirror services."""
    return world.conf.mesh.link_name.format(colour=exporting.value)


def mirror_name(world: World, service: str, exporting: Colour) -> str:
    """A mirror is named ``<service>-<targetClusterName>`` (facts.md), not as the specification's example has it."""
    return f"{service}-{link_name(world, exporting)}"


class Credentials(Step):
    """Hand each mirror controller the other cluster's read-only credentials."""

    id = "mesh-linking.credentials"
    title = "credentials for the Links, both ways"

    def observe(self, world: World) -> Seen:
        """Already so where all Secrets hold what the exporting side has now."""
        lacking = [s for importing, exporting in directions(world) for s in _secrets(world, exporting) if not _same(world, importing, s)]
        return Seen(not lacking, "the Secrets are there" if not lacking else f"{len(lacking)} Secrets to write")

    def act(self, world: World, pen: Pen) -> Effect:
        """Apply them straight to the importing cluster."""
        for importing, exporting in directions(world):
            for secret in _secrets(world, exporting):
                # Safe to repeat: the same Secret under the same manager. It is never part of a commit.
                world.systems.cluster(importing).apply(secret, force=True)
        return Effect()

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        return "copy the mirror controllers' credentials from cluster to cluster (never through Git)"


class Links(FluxStep):
    """The Link objects, in both directories."""

    id = "mesh-linking.links"
    title = "Links in both directions"
    subject = "Link {source} and {target} both ways"
    why = "{target} writes and replicates through its Link; {source} sends the canary's share through the other."

    def where(self, world: World) -> tuple[Colour, ...]:
        """Both clusters."""
        return (world.rotation.target, world.rotation.source)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """One file a direction."""
        return tuple(Edit(link_path(world, importing, exporting), _link(world, exporting)) for importing, exporting in directions(world))


class Ready(GateStep):
    """Wait until both directions carry traffic."""

    id = "mesh-linking.ready"
    title = "the Links are ready"
    awaits = "mirror services with ready addresses, both ways"

    def gate(self, world: World) -> Verdict:
        """Computed Link readiness, both ways."""
        return links_ready(world)

    def timeout_s(self, policy: Policy) -> float:
        """The linking timeout."""
        return policy.linking_timeout_s


def links_ready(world: World) -> Verdict:
    """Both directions. Also a monitor of the phases that rest on the links."""
    return worst(link_ready(view(world, importing, exporting)) for importing, exporting in directions(world))


MONITOR = Monitor("the mesh link", links_ready)


def link_path(world: World, importing: Colour, exporting: Colour) -> str:
    """Where the Link's manifest lies."""
    return world.path(importing, f"links/{link_name(world, exporting)}.yaml")


def _link(world: World, exporting: Colour) -> str:
    outputs, gateway, name = world.outputs(exporting), world.conf.mesh.gateway, link_name(world, exporting)
    return link.manifest(
        link.LinkSpec(
            name=name,
            namespace=world.conf.mesh.multicluster_namespace,
            gateway_address=_filled(gateway.address, outputs, "GATEWAY_ADDRESS"),
            gateway_port=_filled(gateway.port, outputs, "GATEWAY_PORT") or "4143",
            probe_port=_filled(gateway.probe_port, outputs, "GATEWAY_PROBE_PORT") or "4191",
            probe_period=gateway.probe_period or "3s",
        )
    )


def _filled(template: str | None, outputs: object, fallback: str) -> str:
    values = dict(outputs) if isinstance(outputs, dict) else {}
    if template is None:
        return str(values.get(fallback, ""))
    for key, value in values.items():
        template = template.replace("{" + key + "}", str(value))
    return "" if "{" in template else template


def _secrets(world: World, exporting: Colour) -> tuple[Json, ...]:
    """The two Secrets that a mirror controller needs (facts.md), from the token of the exporting side's ServiceAccount."""
    cluster = world.systems.cluster(exporting)
    token = _token(world, exporting)
    server, authority = cluster.endpoint()
    name = link_name(world, exporting)
    kubeconfig = link.peer_kubeconfig(name, server, authority, token)
    return link.credentials(name, world.conf.mesh.multicluster_namespace, world.conf.mesh.namespace, kubeconfig)


def _token(world: World, exporting: Colour) -> str:
    account = link.ACCOUNT
    for secret in world.systems.cluster(exporting).list(SECRET, namespace=world.conf.mesh.multicluster_namespace):
        owner = (secret.get("metadata", {}).get("annotations") or {}).get("kubernetes.io/service-account.name")
        token = (secret.get("data") or {}).get("token")
        if secret.get("type") == "kubernetes.io/service-account-token" and owner == account and token:
            return base64.b64decode(token).decode()
    raise DependencyDown(
        f"{exporting.cluster} has no token for ServiceAccount {account} in {world.conf.mesh.multicluster_namespace} yet",
        next_step="the multicluster chart of the catalog creates it; check its Kustomization there",
    )


def _same(world: World, importing: Colour, secret: Json) -> bool:
    live = world.systems.cluster(importing).get(Ref(SECRET, name_of(secret), namespace_of(secret)))
    if live is None:
        return False
    wanted = {key: base64.b64encode(value.encode()).decode() for key, value in secret.get("stringData", {}).items()}
    return dict(live.get("data") or {}) == (wanted or dict(secret.get("data") or {}))


def expected_services(world: World) -> tuple[tuple[str, str], ...]:
    """(namespace, service) that both sides export: Redis where there is one, and every app."""
    found = [(redis.service.namespace, redis.service.name) for redis in world.conf.redis]
    return tuple(found + [(app.service.namespace, app.service.name) for app in world.conf.apps])


def view(world: World, importing: Colour, exporting: Colour) -> LinkView:
    """One direction as the importing cluster, the metrics and the exporting API server show it."""
    cluster, name = world.systems.cluster(importing), link_name(world, exporting)
    obj = cluster.get(Ref(LINK, name, world.conf.mesh.multicluster_namespace))
    mirrors = {mirror_name(world, service, exporting): namespace for namespace, service in expected_services(world)}
    return LinkView(
        name=f"{importing.cluster} → {exporting.cluster}",
        exists=obj is not None,
        expected=tuple(mirrors),
        mirrored=_mirrored(obj or {}, name),
        ready_addresses={mirror: _ready(cluster.get(Ref(ENDPOINTS, mirror, namespace))) for mirror, namespace in mirrors.items()},
        gateway_alive=world.systems.metrics.gateway_alive(importing, name),
        peer_api=_answers(world, exporting),
    )


def _mirrored(obj: Json, name: str) -> tuple[tuple[str, bool, str], ...]:
    found = []
    for mirror in obj.get("status", {}).get("mirrorServices") or []:
        remote = mirror.get("remoteRef", {})
        for one in mirror.get("conditions") or []:
            if one.get("type") == "Mirrored":
                found.append((f"{remote.get('name')}-{name}", one.get("status") == "True", str(one.get("reason", ""))))
    return tuple(found)


def _ready(endpoints: Json | None) -> bool:
    return any(subset.get("addresses") for subset in (endpoints or {}).get("subsets") or [])


def _answers(world: World, colour: Colour) -> bool:
    """The mirrors of a dead API server stay "True" for ever (facts.md): so it is asked directly."""
    try:
        return bool(world.systems.cluster(colour).version())
    except DependencyDown:
        return False


def _steps(world: World) -> tuple[Step, ...]:
    return (Credentials(), Links(), Ready())


PHASE = Phase(State.MESH_LINKING, Event.LINK_READY, _steps)
