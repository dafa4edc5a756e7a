"""What ``kustomize build`` makes of a folder, as far as the lab's repositories use it: resources, namespace, labels, patches. Reads files, changes nothing.

Emulated: no generators, components, replacements or remote bases; a kustomization.yaml that uses one is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bennu.lab.controllers.kustomize_patches import patched
from bennu.lab.controllers.kustomize_yaml import BuildError, Json, documents, objects

CLUSTER_SCOPED = ("Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "Node")
_KNOWN = {"apiVersion", "kind", "metadata", "resources", "namespace", "labels", "patches"}
_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def built(folder: Path) -> list[Json]:
    """The objects of *folder*: by its kustomization.yaml, or of all YAML files below it where there is none (Flux generates one). Raises BuildError."""
    found = list(_kustomized(folder) if _kustomization(folder) else _generated(folder))
    seen = set()
    for obj in found:
        identity = (str(obj["apiVersion"]).rpartition("/")[0], obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if identity in seen:
            raise BuildError(f"may not add resource with an already registered id: {'/'.join(part for part in identity if part)}")
        seen.add(identity)
    return found


def _kustomization(folder: Path) -> Path | None:
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


def _generated(folder: Path) -> Iterator[Json]:
    """As Flux generates it: folders that have a kustomization.yaml of their own count by it."""
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from built(entry) if _kustomization(entry) else _generated(entry)
        elif entry.suffix in (".yaml", ".yml"):
            yield from objects(_text(entry), entry.name)


def _kustomized(folder: Path) -> list[Json]:
    file = _kustomization(folder)
    found = list(documents(_text(file), file.name)) if file else []
    if len(found) != 1 or not isinstance(found[0], dict):
        raise BuildError(f"{file.name if file else folder.name}: not a kustomization")
    spec: Json = found[0]
    unknown = set(spec) - _KNOWN
    if unknown:
        raise BuildError(f"kustomization.yaml: {', '.join(sorted(unknown))} is not emulated")
    made: list[Json] = []
    for resource in spec.get("resources") or []:
        path = folder / str(resource)
        made += built(path) if path.is_dir() else objects(_text(path), str(resource))
    for obj in made:
        _decorated(obj, spec)
    return patched(made, [_with_text(patch, folder) for patch in spec.get("patches") or []])


def _decorated(obj: Json, spec: Mapping[str, Any]) -> None:
    meta = obj["metadata"]
    if spec.get("namespace") and obj["kind"] not in CLUSTER_SCOPED:
        meta["namespace"] = spec["namespace"]
    for entry in spec.get("labels") or []:
        if set(entry) - {"pairs"}:
            raise BuildError(f"kustomization.yaml: labels with {', '.join(sorted(set(entry) - {'pairs'}))} is not emulated")
        meta["labels"] = {**(meta.get("labels") or {}), **(entry.get("pairs") or {})}


def _with_text(patch: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    return {**patch, "patch": _text(folder / str(patch["path"]))} if patch.get("path") else patch


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"{path.name}: no such file or directory") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path.name}: {error}") from None
