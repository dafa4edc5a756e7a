"""The pod that a Redis runs in, as far as it decides what a restart reads."""

from __future__ import annotations

from collections.abc import Mapping

from bennu.core.clusters import Colour
from bennu.core.fence_survival import Container, containers, rewrite_is_lost
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.verdict import Verdict, failed, opened
from bennu.phases.base import World
from bennu.phases.critical_servers import intent_of
from bennu.phases.kinds import ENDPOINTS, POD
from bennu.ports.kubernetes import Ref
from bennu.ports.redis import Observation


def pod_of(world: World, colour: Colour) -> tuple[Container, ...] | None:
    """The containers of the pod behind the Service, None where no endpoint names one (a server outside the clusters)."""
    service, cluster = world.conf.redis[0].service, world.systems.cluster(colour)
    found = cluster.get(Ref(ENDPOINTS, service.name, service.namespace)) or {}
    names = [str((address.get("targetRef") or {}).get("name", "")) for part in found.get("subsets") or [] for address in part.get("addresses") or []]
    pod = cluster.get(Ref(POD, names[0], service.namespace)) if names and names[0] else None
    return None if pod is None else containers(pod)


def by_manifest(world: World) -> bool:
    """Whether the manifest in Git, and not CONFIG REWRITE, is what a restart shall read."""
    return bool(world.conf.redis) and world.conf.redis[0].fence.persists_by == "manifest"


def came_back_armed(world: World, facts: Mapping[str, str], source: Observation, target: Observation) -> bool:
    """Whether nobody is master since the armed source restarted: no hand-over was announced that could have fenced it, and no watch did."""
    return by_manifest(world) and intent_of(facts) is None and facts.get(SPLIT_BRAIN) != "true" and not (source.is_master or target.is_master)


def rewrite_outlives(world: World, *servers: tuple[Colour, Observation]) -> Verdict:
    """Whether CONFIG REWRITE of each of them writes what a new pod would read."""
    for colour, seen in servers if not by_manifest(world) else ():
        why = rewrite_is_lost(seen.config_file, seen.data_dir, pod_of(world, colour))
        if why:
            return failed(
                f"a fence of {colour.cluster}'s Redis could not outlive its pod: {why}. Start it with a file on its data volume, or write fence.persists_by: manifest"
            )
    return opened("the fence outlives a restart")
