"""A flip of the Redis variant rolls nothing: what the commit of S6 changes takes effect at the pods' next start, in whichever way the fence outlives a restart.

A flip that rolled a pod would be a second pause at the new master, and end what the old one is attached by. Judged by the catalog's texts and by the workload that runs; nothing is built.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.verdict import Verdict, failed, opened
from bennu.manifests import profile_sync, redis_variants, tree
from bennu.manifests.redis_variants import Running, Variant
from bennu.phases import warm_directory
from bennu.phases.base import World
from bennu.phases.kinds import DEPLOYMENT, SERVICE, STATEFULSET, annotations_of, name_of
from bennu.ports.kubernetes import Json, Ref


def rolls_nothing(world: World, *colours: Colour) -> Verdict:
    """Whether the flip leaves the Redis pods of *colours* (the source, where none is named) as they run. Nothing is changed by asking."""
    if not world.conf.redis:
        return opened("state lives outside the clusters")
    for colour in colours or (world.rotation.source,):
        why = _rolls(world, colour)
        if why:
            return failed(f"a flip of the Redis variant would roll {colour.cluster}'s Redis, which would be a second pause: {why}")
    return opened("a flip of the Redis variant rolls no pod")


def variants(world: World, colour: Colour) -> tuple[Variant, Variant] | None:
    """hot-writer and warm-reader, as *colour*'s profile-sync.yaml finds them in the catalog; None where no path there depends on the variant."""
    repository, path = world.systems.repository, world.path(colour, tree.PROFILE_SYNC)
    text = repository.read(path) or ""
    folders = [redis_variants.folder_of(text, variant, path) for variant in (warm_directory.HOT, warm_directory.WARM)]
    if not all(folders):
        return None
    hot, warm = (redis_variants.read(folder, repository.read, repository.files) for folder in folders)
    return hot, warm


def workload(world: World, colour: Colour) -> Json | None:
    """What runs the pods that Redis' Service selects."""
    service, cluster = world.conf.redis[0].service, world.systems.cluster(colour)
    live = cluster.get(Ref(SERVICE, service.name, service.namespace)) or {}
    selector = (live.get("spec") or {}).get("selector") or {}
    for kind in (STATEFULSET, DEPLOYMENT):
        for one in cluster.list(kind, namespace=service.namespace) if selector else ():
            if selector.items() <= ((template(one).get("metadata") or {}).get("labels") or {}).items():
                return one
    return None


def template(workload: Json) -> Json:
    """Its pod template."""
    found: Json = workload.get("spec", {}).get("template") or {}
    return found


def _rolls(world: World, colour: Colour) -> str:
    path = world.path(colour, tree.PROFILE_SYNC)
    if not profile_sync.variant(world.systems.repository.read(path) or "", path):
        return f"{path} has no input {profile_sync.VARIANT} that could be flipped; {redis_variants.HINT}"
    running, both = _running(world, colour), variants(world, colour)
    if both is None:
        where = f"no Kustomization in {path} takes its path from the input {profile_sync.VARIANT}, so that nobody can tell what it changes"
        return "" if running.waits else f"{where}, and {running.name or 'its workload'} is not under updateStrategy OnDelete; {redis_variants.HINT}"
    return redis_variants.rolls(*both, running)


def _running(world: World, colour: Colour) -> Running:
    found = workload(world, colour)
    if found is None:
        return Running()
    waits = ((found.get("spec") or {}).get("updateStrategy") or {}).get("type") == "OnDelete"
    return Running(str(found.get("kind")), name_of(found), waits, {**annotations_of(found), **annotations_of(template(found))})
