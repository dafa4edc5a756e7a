"""Who else assigns roles: the owners of Redis' pods, as far up as ownerReferences go.

An operator (RedisFailover, RedisReplication, Dragonfly and their like) owns the StatefulSet or the pods, and puts its own idea of the roles back within one reconcile. Kubernetes' own
controllers only keep pods alive.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.errors import GateRefused
from bennu.phases.base import World
from bennu.phases.kinds import ENDPOINTS, POD
from bennu.ports.kubernetes import Json, Kind, Kubernetes, Ref

_OWN_GROUPS = {"apps/v1", "v1", "batch/v1"}
_DEEPEST = 4  # pod, ReplicaSet, Deployment, and whoever made that


def role_givers(world: World, colour: Colour) -> tuple[str, ...]:
    """``Kind name (cluster)`` of each foreign owner of a pod behind the Redis Service, none twice."""
    cluster, service = world.systems.cluster(colour), world.conf.redis[0].service
    found = cluster.get(Ref(ENDPOINTS, service.name, service.namespace)) or {}
    pods = [
        str(address["targetRef"]["name"])
        for subset in found.get("subsets") or []
        for address in subset.get("addresses") or []
        if (address.get("targetRef") or {}).get("kind") == "Pod"
    ]
    owners = [owner for pod in pods for owner in _foreign(cluster, Ref(POD, pod, service.namespace))]
    return tuple(f"{owner} ({colour.cluster})" for owner in dict.fromkeys(owners))


def _foreign(cluster: Kubernetes, ref: Ref) -> list[str]:
    above = [ref]
    for _ in range(_DEEPEST):
        references = [(one, level.namespace) for level in above for one in _references(cluster, level)]
        foreign = [f"{one.get('kind')} {one.get('name')}" for one, _ in references if one.get("apiVersion") not in _OWN_GROUPS]
        if foreign:
            return foreign
        above = [Ref(Kind(str(one["apiVersion"]), str(one["kind"])), str(one["name"]), namespace) for one, namespace in references if one.get("kind") != "Node"]
    return []


def _references(cluster: Kubernetes, ref: Ref) -> tuple[Json, ...]:
    try:
        owner = cluster.get(ref)
    except GateRefused as refused:
        raise GateRefused(
            f"who owns Redis' pod cannot be read: {refused.message}",
            next_step="allow get on pods, statefulsets, replicasets and deployments in Redis' namespace",
        ) from refused
    return tuple((owner or {}).get("metadata", {}).get("ownerReferences") or ())
