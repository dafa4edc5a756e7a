"""The two Redis variants of a catalog, held beside each other: what changes in the cluster where one takes the other's place. Texts → decisions; nothing is built.

Two questions. Does the flip roll the pod that runs? A pod template that differs does, and what cannot be judged without building it (patches, charts, names with a hash) may; both wait
for the pod's next start where the workload's strategy is OnDelete. And, for a fence by manifest: is there a change that a restart reads, the data of a ConfigMap under one name?
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bennu.core.fence_survival import parks, reloaded
from bennu.manifests import yaml_read
from bennu.manifests.profile_sync import VARIANT

Read = Callable[[str], str | None]
Files = Callable[[str], tuple[str, ...]]
Key = tuple[str, str, str]  # kind, namespace, name
Directive = tuple[str, str]  # kustomize's word, and what stands behind it, the files that it names included

_TEMPLATED = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod")
_CHARTS = ("HelmRelease", "HelmChart")
_PLAIN = {"apiVersion", "kind", "metadata", "resources", "namespace"}
_GENERATORS = {"configMapGenerator", "secretGenerator", "generatorOptions"}
# What of kustomize can change a pod template and need not change more.
_TEMPLATE_ONLY = _GENERATORS | {"patches", "patchesStrategicMerge", "patchesJson6902", "images", "commonAnnotations", "replacements"}
_MORE_THAN_TEMPLATE = re.compile(r"updateStrategy|\breplicas\s*:|/replicas\b|\$patch")
_PATH = re.compile(r"[\w./@+-]+")
HINT = "let the variants differ in the data of one ConfigMap alone, under one name, mounted whole (examples/redis)"


@dataclass
class Variant:
    """One variant: its objects, and what kustomize would do to them beside putting them together."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    directives: list[Directive] = field(default_factory=list)
    hashed: bool = False
    unread: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Running:
    """The workload whose pods run, as the cluster has it; empty where none is known. ``waits``: under OnDelete, which leaves a changed template to the pod's next start."""

    kind: str = ""
    name: str = ""
    waits: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)


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


def rolls(hot: Variant, warm: Variant, running: Running) -> str:
    """Why the pods that run would be rolled where one variant takes the other's place, whichever way; empty where they would not."""
    found = _whatever_the_strategy(hot, warm, running)
    if not found and not running.waits:
        found = _by_its_template(hot, warm, running)
        found = found and f"{found}, and {_words(running)} is not under updateStrategy OnDelete"
    return f"{found}; {HINT}" if found else ""


def change(hot: Variant, warm: Variant) -> Change:
    """From hot-writer to warm-reader at a server that runs: what its next start reads."""
    why = _unjudged(hot, warm) or _beyond_configmaps(hot, warm)
    if why:
        return Change(f"{why}; {HINT}")
    differing = [key for key in _differing(hot, warm) if key[0] == "ConfigMap"]
    parked = [key for key in differing if _parked(warm.objects.get(key)) and not _parked(hot.objects.get(key))]
    if len(parked) != 1:
        return Change(f"no ConfigMap of the variants gains a replicaof from hot-writer to warm-reader: a restart would come back as a master; {HINT}")
    return Change(configmap=(parked[0][1], parked[0][2]))


def _whatever_the_strategy(hot: Variant, warm: Variant, running: Running) -> str:
    for key in _redis(hot, warm, running):
        one, other = hot.objects.get(key), warm.objects.get(key)
        if one is None or other is None:
            return f"{key[0]} {key[2]} is in one variant only: its pods would come and go with the flip"
        if _without_template(one) != _without_template(other):
            return f"{key[0]} {key[2]} differs between the variants in more than its pod template"
    for word, text in _other_directives(hot, warm):
        if word not in _TEMPLATE_ONLY or (word not in _GENERATORS and _MORE_THAN_TEMPLATE.search(text)):
            return f"the variants differ in what kustomize does ({word}), and what that changes beyond the pod template cannot be told without building it"
    if sorted(hot.unread) != sorted(warm.unread):
        return f"{', '.join(sorted({*hot.unread} ^ {*warm.unread}))} cannot be read, so nobody can tell what the change would do"
    return _by_reloader(hot, warm, running)


def _by_reloader(hot: Variant, warm: Variant, running: Running) -> str:
    """Reloader rolls by itself where a ConfigMap changes, also one that nothing else would have read."""
    if not any(key[0] == "ConfigMap" for key in _differing(hot, warm)) and not any(word in _GENERATORS for word, _ in _other_directives(hot, warm)):
        return ""
    known = [(_words(running), running.annotations)]
    known += [(f"{kind} {name}", _annotations(warm.objects[kind, namespace, name])) for kind, namespace, name in _redis(hot, warm, running)]
    found = next(((words, found) for words, annotations in known if (found := reloaded(annotations))), None)
    return f"{found[0]} is annotated {found[1]}: its pod would be rolled as soon as the ConfigMap changes" if found else ""


def _by_its_template(hot: Variant, warm: Variant, running: Running) -> str:
    differing = _differing(hot, warm)
    for kind, _, name in (key for key in _redis(hot, warm, running) if key in differing):
        return f"{kind} {name} differs between the variants: a change of its pod template rolls the pod now"
    for word, _ in _other_directives(hot, warm):
        if word not in _GENERATORS:
            return f"the variants differ in what kustomize does ({word}), and whether that rolls the pod now cannot be told without building it"
        if hot.hashed or warm.hashed:
            return "a generator gives the ConfigMap a name with a hash of its content, so that the pod template would change and the pod be rolled now (disableNameSuffixHash)"
    changed = {name for kind, _, name in differing if kind in ("ConfigMap", "Secret")}
    for kind, namespace, name in sorted({**hot.objects, **warm.objects}):
        if kind in _CHARTS and ((kind, namespace, name) in differing or changed & _values_from(warm.objects[kind, namespace, name])):
            return f"the variants give {kind} {name} other values, and whether its chart rolls the pod for them cannot be told"
    return ""


def _redis(hot: Variant, warm: Variant, running: Running) -> list[Key]:
    """The workload that runs, among the objects; every workload where it cannot be recognised (a prefix of kustomize's, a workload that does not run yet)."""
    found = [key for key in sorted({**hot.objects, **warm.objects}) if key[0] in _TEMPLATED]
    return [key for key in found if (key[0], key[2]) == (running.kind, running.name)] or found


def _words(running: Running) -> str:
    return f"{running.kind} {running.name}" if running.name else "its workload"


def _without_template(one: dict[str, Any]) -> dict[str, Any]:
    # A bare pod is all template, and nothing of it may be changed in place.
    return {key: value for key, value in (one.get("spec") or {}).items() if key != "template"}


def _annotations(one: dict[str, Any]) -> dict[str, str]:
    template = ((one.get("spec") or {}).get("template") or {}).get("metadata") or {}
    return {**((one.get("metadata") or {}).get("annotations") or {}), **(template.get("annotations") or {})}


def _values_from(one: dict[str, Any]) -> set[str]:
    return {str(source.get("name")) for source in (one.get("spec") or {}).get("valuesFrom") or []}


def _other_directives(hot: Variant, warm: Variant) -> list[Directive]:
    return sorted({*hot.directives} ^ {*warm.directives})


def _unjudged(hot: Variant, warm: Variant) -> str:
    if unread := sorted({*hot.unread, *warm.unread}):
        return f"{', '.join(unread)} cannot be read, so nobody can tell what the change would do"
    if hot.hashed or warm.hashed:
        return "a generator gives the ConfigMap a name with a hash of its content: the pod that runs would never see the change (disableNameSuffixHash)"
    charts = sorted({key[0] for key in {**hot.objects, **warm.objects} if key[0] in _CHARTS})
    if charts:
        return f"the variants hold a {charts[0]}, and what its chart makes of the change cannot be told"
    if other := _other_directives(hot, warm):
        return f"the variants differ in what kustomize does ({other[0][0]}), and what that changes cannot be told without building it"
    return ""


def _beyond_configmaps(hot: Variant, warm: Variant) -> str:
    for kind, namespace, name in _differing(hot, warm):
        if kind in _TEMPLATED:
            continue  # what that does to the pod is the other question; a container that restarts within it does not read it
        if kind != "ConfigMap":
            return f"{kind} {namespace}/{name} differs between the variants, too"
        if (kind, namespace, name) not in hot.objects or (kind, namespace, name) not in warm.objects:
            return f"ConfigMap {namespace}/{name} is in one variant only: the pod that runs would lose what it mounts"
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
        found.directives += [(str(key), _spelt_out(value, folder, text, files)) for key, value in kustomization.items() if key not in _PLAIN]
        for resource in _named(kustomization):
            inner = posixpath.normpath(posixpath.join(folder, resource))
            if "://" in resource or inner.startswith(".."):
                found.unread.append(resource)
            elif inner.endswith((".yaml", ".yml")):
                _take(inner, text, found)
            else:
                _gather(inner, text, files, found)


def _spelt_out(value: Any, folder: str, text: Read, files: Files) -> str:
    """A directive with the content of whatever it names: two variants may each have a patch.yaml of their own."""
    found = [repr(value)]
    named = {posixpath.normpath(posixpath.join(folder, word.rpartition("=")[2])) for word in _strings(value) if _PATH.fullmatch(word.rpartition("=")[2])}
    for path in sorted(named - {folder}):
        if not path.startswith(".."):
            content = text(path)
            found += [content] if content is not None else [text(name) or "" for name in files(path)]
    return "\n".join(found)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _strings(one)


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
