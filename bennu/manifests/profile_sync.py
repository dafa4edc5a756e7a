"""profile-sync.yaml: a ResourceSet whose resources are Flux Kustomizations. Bennu sets one input (the Redis variant) and holds or releases single workloads by patches.

A held workload is a ``spec.patches`` entry of the Kustomization that applies it: the catalog stays untouched, and the hold is in force from the first apply on.
"""

from __future__ import annotations

from typing import Any

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit, yaml_read

VARIANT = "redisVariant"
_HOLDS = {"CronJob": ("/spec/suspend", "true"), "Deployment": ("/spec/replicas", "0"), "StatefulSet": ("/spec/replicas", "0")}

Base = tuple[str | int, ...]


def with_variant(text: str, variant: str, file: str) -> str:
    """With ``inputs[0].redisVariant`` = *variant* (hot-writer or warm-reader)."""
    found = [one for one in yaml_read.objects(text, file) if one.get("kind") == "ResourceSet" and _input(one, file)]
    if len(found) != 1:
        raise ConfigError(f"one ResourceSet with an input {VARIANT} was expected, {len(found)} found", file=file, line=1)
    target = yaml_edit.Target("ResourceSet", *yaml_read.named(found[0], file))
    return yaml_edit.set_value(text, target, ("spec", "inputs", 0, VARIANT), variant, file)


def variant(text: str, file: str) -> str:
    """The Redis variant that it says; empty where it has no such input."""
    for one in yaml_read.objects(text, file):
        if one.get("kind") == "ResourceSet" and _input(one, file):
            return str(yaml_read.mappings(one, ("spec", "inputs"), file)[0][VARIANT])
    return ""


def _input(one: dict[str, Any], file: str) -> bool:
    inputs = yaml_read.mappings(one, ("spec", "inputs"), file)
    return bool(inputs) and VARIANT in inputs[0]


def held(text: str, kustomization: str, kind: str, namespace: str, name: str, file: str) -> str:
    """With a patch that holds the workload, once."""
    target, base, patches = _patches(text, kustomization, file)
    if _index(patches, kind, namespace, name) is not None:
        return text
    path, value = _HOLDS[kind]
    patch = {"target": {"kind": kind, "name": name, "namespace": namespace}, "patch": f"- op: add\n  path: {path}\n  value: {value}\n"}
    return yaml_edit.append(text, target, base, patch, file)


def released(text: str, kustomization: str, kind: str, namespace: str, name: str, file: str) -> str:
    """Without that patch."""
    target, base, patches = _patches(text, kustomization, file)
    at = _index(patches, kind, namespace, name)
    return text if at is None else yaml_edit.delete(text, target, (*base, at), file)


def _index(patches: list[dict[str, Any]], kind: str, namespace: str, name: str) -> int | None:
    wanted = {"kind": kind, "name": name, "namespace": namespace}
    for index, patch in enumerate(patches):
        if patch.get("target") == wanted and _HOLDS[kind][0] in str(patch.get("patch")):
            return index
    return None


def _patches(text: str, kustomization: str, file: str) -> tuple[yaml_edit.Target, Base, list[dict[str, Any]]]:
    """Where the Kustomization's patches lie: in a document of its own, or inside a ResourceSet's resources."""
    for one in yaml_read.objects(text, file):
        name, namespace = yaml_read.named(one, file)
        if one.get("kind") == "Kustomization" and name == kustomization:
            return yaml_edit.Target("Kustomization", name, namespace), ("spec", "patches"), yaml_read.mappings(one, ("spec", "patches"), file)
        # A resource may be a template's text or a reference, too: only whole objects are looked into.
        for index, inner in enumerate(yaml_read.sequence(one, ("spec", "resources"), file) if one.get("kind") == "ResourceSet" else []):
            one_of = yaml_read.inside(one, ("spec", "resources", index), inner) if isinstance(inner, dict) else {}
            if one_of.get("kind") == "Kustomization" and yaml_read.named(one_of, file)[0] == kustomization:
                patches = yaml_read.mappings(one_of, ("spec", "patches"), file)
                return yaml_edit.Target("ResourceSet", name, namespace), ("spec", "resources", index, "spec", "patches"), patches
    raise ConfigError(
        f"the Flux Kustomization {kustomization} is not in this file", file=file, line=1, next_step="set kustomization: beside the workload in bennu.yaml"
    )
