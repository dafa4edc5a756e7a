"""The directory of a warm cluster: the source's, with the colour changed and everything held that may live only once.

Held from the first apply on, in Git: the workloads declared ``active_only``, and ExternalDNS, whose ``sync`` policy under the same owner would delete the live record
because it sees no DNSEndpoint in its own cluster (measured in the lab; see docs/decisions).
"""

from __future__ import annotations

from collections.abc import Mapping

from bennu.core.clusters import Colour
from bennu.errors import ConfigError
from bennu.manifests import cluster_config, ingress_routing, profile_sync, traffic_state, tree, write_service
from bennu.phases.base import World
from bennu.phases.gone import silent
from bennu.phases.kinds import BY_NAME, FLUX_OWNER, labels_of
from bennu.ports.kubernetes import Ref
from bennu.ports.repository import Edit
from bennu.settings import WorkloadSettings

WARM, HOT = "warm-reader", "hot-writer"


def edits(world: World) -> tuple[Edit, ...]:
    """Every file of the target's directory that is not there yet."""
    repository, source, target = world.systems.repository, world.rotation.source, world.rotation.target
    folder = world.directory(source)
    files = {path: repository.read(path) or "" for path in repository.files(folder)}
    if world.path(source, tree.CLUSTER_CONFIG) not in files:
        raise ConfigError("the source cluster has no directory in the repository", file=world.path(source, tree.CLUSTER_CONFIG))
    # One record has one writer: the DNSEndpoint stays in the source's directory until the source's ExternalDNS is off (S8).
    copied = tree.copied(files, world.rotation.group, source, target, layout=world.settings.repository.layout.clusters, leave_out=(tree.DNS,))
    made = {path: _made_warm(world, path, text) for path, text in copied.items()}
    return tuple(Edit(path, text) for path, text in sorted(made.items()) if repository.read(path) is None)


def still_names_source(world: World) -> tuple[tuple[str, int, str], ...]:
    """(path, line, text) of lines in the new directory that still name the source: for ``plan``, to be judged by a human."""
    files: Mapping[str, str] = {edit.path: edit.text or "" for edit in edits(world)}
    return tuple(tree.still_names_source(files, world.rotation.source))


def _made_warm(world: World, path: str, text: str) -> str:
    name = path.rsplit("/", 1)[-1]
    if name == tree.CLUSTER_CONFIG:
        return cluster_config.fresh(text, world.rotation.group, world.rotation.target, path)
    if name == tree.TRAFFIC_STATE:
        return pointer_text(world, world.rotation.target, world.rotation.source, text, path)
    if name == tree.INGRESS_ROUTING:
        return _all_local(world, text, path)
    if name == tree.PROFILE_SYNC:
        return held(world, _variant(world, text, WARM, path), path, tuple(exclusive(world)))
    return text


def pointer_text(world: World, colour: Colour, master: Colour, text: str, path: str) -> str:
    """traffic-state.yaml of *colour* when *master* has the authority: the ConfigMap, and the write Service beside it."""
    state = hot_state(world, text, path) if colour is master else warm_state(world, colour, master, text, path)
    text = traffic_state.edited(text, state, path, world.conf.pointer.keys)
    which = world.write_service
    return write_service.edited(text, which, state.write_host, path) if which is not None and state.write_host else text


def warm_state(world: World, colour: Colour, master: Colour, text: str, path: str) -> traffic_state.TrafficState:
    """The pointer of a cluster that is not the master: reads by setting, writes through the master's mirror."""
    if not world.conf.redis:
        return traffic_state.parse(text, path, world.conf.pointer.keys).without_authority()
    service = world.conf.redis[0].service
    mirror = f"{service.name}-{world.conf.mesh.link_name.format(colour=master.value)}"
    return traffic_state.warm(service.name, service.namespace, mirror=mirror, reads_local=world.conf.redis[0].reads_during_canary == "local")


def hot_state(world: World, text: str, path: str) -> traffic_state.TrafficState:
    """The pointer of the master: everything local."""
    if not world.conf.redis:
        return traffic_state.parse(text, path, world.conf.pointer.keys).with_authority()
    service = world.conf.redis[0].service
    return traffic_state.hot(service.name, service.namespace)


def _variant(world: World, text: str, variant: str, path: str) -> str:
    return profile_sync.with_variant(text, variant, path) if world.conf.redis else text


def _all_local(world: World, text: str, path: str) -> str:
    for app in world.conf.apps:
        mirrors = {name: None for name in ingress_routing.weights(text, app.route.namespace, app.route.name, path) if name != app.service.name}
        text = ingress_routing.with_weights(text, app.route.namespace, app.route.name, {app.service.name: 100, **mirrors}, app.service.port, path)
    return text


def exclusive(world: World) -> list[WorkloadSettings]:
    """What may run in one cluster only: the declared workloads, and ExternalDNS where it is used."""
    found = list(world.conf.active_only)
    if world.conf.dns is not None and world.conf.dns.controller is not None:
        found.append(world.conf.dns.controller)
    return found


def owner_of(world: World, workload: WorkloadSettings) -> str:
    """Name of the Flux Kustomization that applies a workload: configured, or read from the live object's owner label at the source."""
    if workload.kustomization:
        return workload.kustomization
    # One after the other: at first the target has no API to ask.
    for colour in (world.rotation.source, world.rotation.target):
        live = None if silent(world, colour) else world.systems.cluster(colour).get(Ref(BY_NAME[workload.kind], workload.name, workload.namespace))
        if live is not None and labels_of(live).get(FLUX_OWNER):
            return labels_of(live)[FLUX_OWNER]
    raise ConfigError(
        f"cannot tell which Flux Kustomization applies {workload.kind} {workload.namespace}/{workload.name}",
        file="bennu.yaml",
        next_step="set 'kustomization:' beside it, or let Flux' Kustomization apply it directly (a HelmRelease's objects can't be held in Git)",
    )


def held(world: World, text: str, path: str, workloads: tuple[WorkloadSettings, ...]) -> str:
    """profile-sync.yaml with patches that hold *workloads* (CronJobs suspended, Deployments at 0 replicas)."""
    for workload in workloads:
        text = profile_sync.held(text, owner_of(world, workload), workload.kind, workload.namespace, workload.name, path)
    return text


def released(world: World, text: str, path: str, workloads: tuple[WorkloadSettings, ...]) -> str:
    """profile-sync.yaml without those patches."""
    for workload in workloads:
        text = profile_sync.released(text, owner_of(world, workload), workload.kind, workload.namespace, workload.name, path)
    return text
