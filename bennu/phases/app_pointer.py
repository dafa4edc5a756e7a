"""What the apps' own pod specs at the source say of how they read the pointer: asked by ``doctor`` and ``start``, judged by ``core.pointer_reading``.

A watch and a Service cannot be seen in a pod spec; what contradicts them can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bennu.core.pointer_reading import Reading, Taken, Way, borne_out, is_copy, slowest, within_budget
from bennu.core.verdict import Verdict, failed, opened
from bennu.phases.base import World
from bennu.phases.kinds import CONFIGMAP, DEPLOYMENT, STATEFULSET, annotations_of, namespace_of
from bennu.ports.kubernetes import Json, Ref
from bennu.settings.traffic import AppSettings

_RELOADER = "reloader.stakater.com"


def readings_borne_out(world: World) -> Verdict:
    """Every app, as declared under ``apps[].reads_pointer``."""
    found = [(app, _judged(world, app)) for app in world.conf.apps]
    wrong = [f"{app.name} {verdict.reason}" for app, verdict in found if not verdict.is_open]
    return failed("; ".join(wrong)) if wrong else opened(", ".join(f"{app.name}: {verdict.reason}" for app, verdict in found) or "no app is declared")


def slowest_reading(world: World) -> Reading | None:
    """The app that hears last of a flip, by declaration; None where no app is declared."""
    service = world.conf.pointer.write_service
    via = service.via if service is not None else ""
    return slowest(
        Reading(app.name, Way(app.reads_pointer), via, app.follows_within * 1000 if app.follows_within is not None else None) for app in world.conf.apps
    )


def pause_promised(world: World) -> Verdict:
    """The slowest app against the promised pause."""
    return within_budget(slowest_reading(world), world.policy.pause_budget_ms)


def _judged(world: World, app: AppSettings) -> Verdict:
    workload = _workload(world, app)
    if workload is None:
        return failed(f"has no Deployment or StatefulSet {app.route.namespace}/{_name(app)} at the source: name it under capacity.deployment")
    way, pointer = Way(app.reads_pointer), world.conf.pointer.configmap
    if namespace_of(workload) != pointer.namespace:
        if way in (Way.ENV, Way.FILE):
            return failed(f"runs in {namespace_of(workload)}: what its pods mount or have in their environment there is not the pointer of {pointer.namespace}")
        return opened(str(way))
    return borne_out(way, _taken(world, workload))


def _workload(world: World, app: AppSettings) -> Json | None:
    refs = (Ref(kind, _name(app), app.route.namespace) for kind in (DEPLOYMENT, STATEFULSET))
    return next((live for live in map(world.source.get, refs) if live is not None), None)


def _name(app: AppSettings) -> str:
    return app.capacity.deployment if app.capacity else app.name


def _taken(world: World, workload: Json) -> Taken:
    pointer, keys = world.conf.pointer.configmap.name, world.conf.pointer.keys
    spec = workload.get("spec", {}).get("template", {}).get("spec", {})
    moving = {*keys.authority, keys.maintenance}
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    volumes = {str(volume.get("name")) for volume in spec.get("volumes") or [] if any(_holds(part, pointer, moving) for part in _parts(volume))}
    mounts = [mount for one in containers for mount in one.get("volumeMounts") or [] if mount.get("name") in volumes]
    named = {*_named(containers), *(str(part.get("name", "")) for volume in spec.get("volumes") or [] for part in _parts(volume))}
    return Taken(
        env=any(_in_environment(one, pointer, moving) for one in containers),
        file=any("subPath" not in mount and "subPathExpr" not in mount for mount in mounts),
        frozen=any("subPath" in mount or "subPathExpr" in mount for mount in mounts),
        copies=tuple(sorted(name for name in named if is_copy(name, pointer))),
        rolled=_rolled(world, workload, referred=pointer in named),
    )


def _parts(volume: Json) -> Iterator[dict[str, Any]]:
    """The ConfigMaps of a volume: its own, or those projected into it."""
    sources = [volume, *(volume.get("projected", {}).get("sources") or [])]
    yield from (source["configMap"] for source in sources if source.get("configMap"))


def _holds(part: Json, pointer: str, moving: set[str]) -> bool:
    """Whether a volume's ConfigMap is the pointer, with a key that moves: ``items`` picks some, without it all are there."""
    items = part.get("items")
    return part.get("name") == pointer and (not items or any(item.get("key") in moving for item in items))


def _named(containers: list[Any]) -> Iterator[str]:
    for one in containers:
        yield from (str((source.get("configMapRef") or {}).get("name", "")) for source in one.get("envFrom") or [])
        yield from (str(_key_ref(variable).get("name", "")) for variable in one.get("env") or [])


def _key_ref(variable: Json) -> dict[str, Any]:
    return (variable.get("valueFrom") or {}).get("configMapKeyRef") or {}


def _in_environment(container: Json, pointer: str, moving: set[str]) -> bool:
    whole = any((source.get("configMapRef") or {}).get("name") == pointer for source in container.get("envFrom") or [])
    refs = [_key_ref(variable) for variable in container.get("env") or []]
    return whole or any(ref.get("name") == pointer and ref.get("key") in moving for ref in refs)


def _rolled(world: World, workload: Json, *, referred: bool) -> bool:
    """By Reloader's annotations, on the workload or its pods: by name, or ``auto`` and ``search`` where the pods refer to the ConfigMap."""
    template = workload.get("spec", {}).get("template", {})
    said = annotations_of(template) | annotations_of(workload)
    where = world.conf.pointer.configmap
    if where.name in [name.strip() for name in said.get(f"configmap.{_RELOADER}/reload", "").split(",")]:
        return True
    if not referred:
        return False
    if "true" in (said.get(f"{_RELOADER}/auto"), said.get(f"configmap.{_RELOADER}/auto")):
        return True
    live = world.source.get(Ref(CONFIGMAP, where.name, where.namespace)) if said.get(f"{_RELOADER}/search") == "true" else None
    return live is not None and annotations_of(live).get(f"{_RELOADER}/match") == "true"
