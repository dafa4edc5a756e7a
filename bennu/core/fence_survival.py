"""Whether a fence outlives the end of the source's pod: where CONFIG REWRITE writes, and what a change of the manifest does to the pod that runs. Pure.

A fence is a runtime setting. Unless the server's next start reads it, a pod that is rescheduled comes back as a master that accepts writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_REPLICA = re.compile(r"(?im)^\s*(?:replicaof|slaveof)\s+(?!no\s+one\b)(\S+)\s+(\d+)\s*$")
# Reloader (stakater) rolls pods whose ConfigMaps change, whatever their update strategy means.
_RELOADER = re.compile(r"^(?:reloader\.stakater\.com/(?:auto|search)|(?:configmap\.)?reloader\.stakater\.com/(?:auto|reload|match))$")


@dataclass(frozen=True)
class Mount:
    """A volume as a container sees it: ``kind`` is the volume's (``persistentVolumeClaim``, ``configMap``, ``emptyDir`` …), ``source`` the ConfigMap's name where it is one.

    ``whole``: not by ``subPath``, which a running pod never sees change.
    """

    path: str
    kind: str
    source: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Container:
    """A container of the server's pod; ``first`` = an init container, which runs again only with a new pod."""

    arguments: tuple[str, ...]
    mounts: tuple[Mount, ...]
    first: bool = False


def containers(template: Mapping[str, Any]) -> tuple[Container, ...]:
    """Of a pod or a pod template."""
    spec = template.get("spec") or {}
    volumes = {str(one.get("name")): _kind(one) for one in spec.get("volumes") or []}
    found = [(one, True) for one in spec.get("initContainers") or []] + [(one, False) for one in spec.get("containers") or []]
    return tuple(_container(one, volumes, first=first) for one, first in found)


def rewrite_is_lost(config_file: str, data_dir: str, pod: tuple[Container, ...] | None) -> str:
    """Why what CONFIG REWRITE writes would not be there for a new pod; empty where it would. *pod* None: nothing is known of it, as for a server outside the clusters."""
    if not config_file:
        return "it runs without a configuration file of its own"
    if pod is None:
        return "" if _below(config_file, data_dir) else f"its configuration file {config_file} lies outside its data directory {data_dir}"
    running = [one for one in pod if not one.first]
    kinds = [kind for one in running if (kind := _kind_at(one, config_file))]
    if not kinds:
        # What the server says may be another path than the pod's own words for it.
        kinds = [kind for one in running for word in one.arguments if _same_file(word, config_file) and (kind := _kind_at(one, word))]
    if "persistentVolumeClaim" in kinds:
        return ""
    return (
        f"its configuration file {config_file} lies on {_words(kinds[0])}"
        if kinds
        else f"its configuration file {config_file} lies in the container, which ends with the pod"
    )


def parks(text: str) -> bool:
    """Whether a configuration makes a server start as a replica."""
    return bool(_REPLICA.search(text))


def parked_by(pod: tuple[Container, ...], configmaps: Mapping[str, Mapping[str, str]]) -> tuple[Mount, ...]:
    """The mounts through which a start would read a ``replicaof``. *configmaps*: data by name."""
    found = [mount for one in pod for mount in one.mounts if mount.kind == "configMap"]
    return tuple(mount for mount in found if any(parks(text) for text in configmaps.get(mount.source, {}).values()))


def seen_by_a_restarted_container(pod: tuple[Container, ...], mounts: tuple[Mount, ...]) -> bool:
    """Whether a container that restarts within its pod reads one of *mounts* itself; else only a new pod's init container does."""
    return any(mount in one.mounts and mount.whole for one in pod if not one.first for mount in mounts)


def reloaded(annotations: Mapping[str, str]) -> str:
    """The annotation that would have a controller roll the pods when a ConfigMap changes; empty where there is none."""
    return next((f"{name}: {value}" for name, value in annotations.items() if _RELOADER.match(name) and str(value).lower() != "false"), "")


def _container(one: Mapping[str, Any], volumes: Mapping[str, tuple[str, str]], *, first: bool) -> Container:
    mounts = []
    for mount in one.get("volumeMounts") or []:
        kind, source = volumes.get(str(mount.get("name")), ("persistentVolumeClaim", ""))  # a StatefulSet's template leaves its claims out
        mounts.append(Mount(str(mount.get("mountPath", "")), kind, source, whole=not (mount.get("subPath") or mount.get("subPathExpr"))))
    return Container(tuple(str(word) for word in (*(one.get("command") or []), *(one.get("args") or []))), tuple(mounts), first)


def _kind(volume: Mapping[str, Any]) -> tuple[str, str]:
    kind = next((key for key in volume if key != "name"), "emptyDir")
    return kind, str((volume.get(kind) or {}).get("name", "")) if kind == "configMap" else ""


def _kind_at(container: Container, path: str) -> str:
    """The kind of the volume that *path* lies on, empty for the container's own layer."""
    covering = [mount for mount in container.mounts if path == mount.path or _below(path, mount.path)]
    return max(covering, key=lambda mount: len(mount.path)).kind if covering else ""


def _below(path: str, folder: str) -> bool:
    return bool(folder) and path.startswith(folder.rstrip("/") + "/")


def _same_file(word: str, path: str) -> bool:
    return word.startswith("/") and word.rsplit("/", 1)[-1] == path.rsplit("/", 1)[-1]


def _words(kind: str) -> str:
    known = {
        "configMap": "a ConfigMap, which nothing can write",
        "secret": "a Secret, which nothing can write",
        "emptyDir": "an emptyDir, which ends with the pod",
    }
    return known.get(kind, f"a volume of kind {kind}, which need not be there for a new pod")
