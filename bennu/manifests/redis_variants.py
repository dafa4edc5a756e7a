"""The two Redis variants of a catalog, held beside each other: what changes in the cluster where one takes the other's place. Texts → decisions; nothing is built.

A fence by manifest needs a change that only a restart reads: the data of a ConfigMap, under the same name. Whatever else differs would roll the pod at once (a pod template, a
name with a hash), or cannot be judged without building it (patches, charts). Each is refused by name.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bennu.core.fence_survival import parks, reloaded
from bennu.manifests import yaml_read
from bennu.manifests.profile_sync import VARIANT

Read = Callable[[str], str | None]
Files = Callable[[str], tuple[str, ...]]
Key = tuple[str, str, str]  # kind, namespace, name

_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")
_CHARTS = ("HelmRelease", "HelmChart")
_PLAIN = {"apiVersion", "kind", "metadata", "resources", "namespace"}
HINT = "let the variants differ in the data of one ConfigMap alone, under one name, mounted whole (examples/redis)"


@dataclass
class Variant:
    """One variant: its objects, and what kustomize would do to them beside putting them together."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    directives: list[str] = field(default_factory=list)
    hashed: bool = False
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Change:
    """What the arm changes: ``refused`` in words where it is not safe, else the ConfigMap (namespace, name) whose data a restart reads."""

    refused: str = ""
    configmap: tuple[str, str] = ("", "")


def folder_of(text: str, variant: str, file: str) -> str:
    """Where the catalog keeps *variant*, as profile-sync.yaml's Kustomization says; empty where none has the variant in its path."""
    for one in yaml_read.objects(text, file):
        for inner in yaml_read.sequence(one, ("spec", "resources"), file) if one.get("kind") == "ResourceSet" else []:
            path = str(((inner.get("spec") or {}).get("path")) or "") if isinstance(inner, dict) else ""
            if f"inputs.{VARIANT}" in path:
                before, _, rest = path.partition("<<")
                return posixpath.normpath(f"{before}{variant}{rest.partition('>>')[2]}").removeprefix("./")
    return ""


def read(folder: str, text: Read, files: Files) -> Variant:
    """The variant in *folder*, with the folders and files that its kustomization.yaml names."""
    found = Variant()
    _gather(folder, text, files, found)
    return found


def change(hot: Variant, warm: Variant) -> Change:
    """From hot-writer to warm-reader at a server that runs."""
    why = _unjudged(hot, warm) or _beyond_configmaps(hot, warm)
    if why:
        return Change(f"{why}; {HINT}")
    differing = [key for key in _differing(hot, warm) if key[0] == "ConfigMap"]
    parked = [key for key in differing if _parked(warm.objects.get(key)) and not _parked(hot.objects.get(key))]
    if len(parked) != 1:
        return Change(f"no ConfigMap of the variants gains a replicaof from hot-writer to warm-reader: a restart would come back as a master; {HINT}")
    return Change(configmap=(parked[0][1], parked[0][2]))


def _unjudged(hot: Variant, warm: Variant) -> str:
    if unread := sorted({*hot.unread, *warm.unread}):
        return f"{', '.join(unread)} cannot be read, so nobody can tell what the change would do"
    if hot.hashed or warm.hashed:
        return "a generator gives the ConfigMap a name with a hash of its content, so that the pod template would change and the pod be rolled now (disableNameSuffixHash)"
    charts = sorted({key[0] for key in {**hot.objects, **warm.objects} if key[0] in _CHARTS})
    if charts:
        return f"the variants hold a {charts[0]}, and what its chart makes of the change cannot be told"
    if sorted(hot.directives) != sorted(warm.directives):
        other = sorted({*hot.directives} ^ {*warm.directives})[0].partition(":")[0]
        return f"the variants differ in what kustomize does ({other}), and what that changes cannot be told without building it"
    return ""


def _beyond_configmaps(hot: Variant, warm: Variant) -> str:
    for kind, namespace, name in _differing(hot, warm):
        if kind in _TEMPLATED:
            return f"{kind} {namespace}/{name} differs between the variants: a change of its pod template rolls the pod now, or is not read by a container that restarts within it"
        if kind != "ConfigMap":
            return f"{kind} {namespace}/{name} differs between the variants, too"
        if (kind, namespace, name) not in hot.objects or (kind, namespace, name) not in warm.objects:
            return f"ConfigMap {namespace}/{name} is in one variant only: the pod that runs would lose what it mounts"
    for (kind, namespace, name), one in warm.objects.items():
        template = ((one.get("spec") or {}).get("template") or {}).get("metadata") or {}
        found = reloaded({**(one["metadata"].get("annotations") or {}), **(template.get("annotations") or {})}) if kind in _TEMPLATED else ""
        if found:
            return f"{kind} {namespace}/{name} is annotated {found}: its pod would be rolled as soon as the ConfigMap changes"
    return ""


def _differing(hot: Variant, warm: Variant) -> list[Key]:
    return sorted(key for key in {**hot.objects, **warm.objects} if hot.objects.get(key) != warm.objects.get(key))


def _parked(configmap: dict[str, Any] | None) -> bool:
    return any(parks(str(text)) for text in ((configmap or {}).get("data") or {}).values())


def _gather(folder: str, text: Read, files: Files, found: Variant) -> None:
    path = next((one for name in ("kustomization.yaml", "kustomization.yml", "Kustomization") if text(one := f"{folder}/{name}") is not None), "")
    if not path:
        # Flux makes a kustomization of every manifest below the folder.
        names = [name for name in files(folder) if name.endswith((".yaml", ".yml"))]
        found.unread += [] if names else [folder]
        for name in names:
            _take(name, text, found)
        return
    for kustomization in yaml_read.objects(text(path) or "", path):
        found.hashed |= _is_hashed(kustomization)
        found.directives += [f"{key}: {kustomization[key]!r}" for key in kustomization if key not in _PLAIN]
        for resource in _named(kustomization):
            inner = posixpath.normpath(posixpath.join(folder, resource))
            if "://" in resource or inner.startswith(".."):
                found.unread.append(resource)
            elif inner.endswith((".yaml", ".yml")):
                _take(inner, text, found)
            else:
                _gather(inner, text, files, found)


def _named(kustomization: dict[str, Any]) -> Iterator[str]:
    for one in kustomization.get("resources") or []:
        yield str(one)


def _is_hashed(kustomization: dict[str, Any]) -> bool:
    plain = bool((kustomization.get("generatorOptions") or {}).get("disableNameSuffixHash"))
    generators = [*(kustomization.get("configMapGenerator") or []), *(kustomization.get("secretGenerator") or [])]
    return any(not (plain or (one.get("options") or {}).get("disableNameSuffixHash")) for one in generators)


def _take(path: str, text: Read, found: Variant) -> None:
    content = text(path)
    if content is None:
        found.unread.append(path)
        return
    for one in yaml_read.objects(content, path):
        name, namespace = yaml_read.named(one, path)
        found.objects[str(one.get("kind")), namespace, name] = one
