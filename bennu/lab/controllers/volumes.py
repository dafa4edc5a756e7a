"""Where a pod's volumes lie on disk, and what is written into them before it starts.

ConfigMaps and Secrets become files in a fresh directory, an emptyDir is a fresh directory, a claim's directory lives as long as the claim does
(:mod:`network_claims` makes and removes it). Files follow their objects while the pod runs, save those that a ``subPath`` mounts. It reads no API: the objects are handed in.
Propagation and ownership are not known.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bennu.lab.controllers.kubelet_commands import ContainerConfigError

Json = Mapping[str, Any]
_SECRET_MODE = 0o600


@dataclass(frozen=True)
class Source:
    """How a volume's objects are found: ``config_map(name)`` and ``secret(name)`` in the pod's namespace, ``claim(name)`` its directory (None: not bound yet)."""

    config_map: Callable[[str], Json | None]
    secret: Callable[[str], Json | None]
    claim: Callable[[str], Path | None]


def claim_directory(volumes: Path, namespace: str, claim: str) -> Path:
    """Where the data of a claim lies while it lives."""
    return volumes / f"{namespace}-{claim}"


def prepare(pod: Json, directory: Path, source: Source) -> dict[str, Path]:
    """Fill *directory* (emptied first) with the pod's volumes; returns volume name → real path.

    Raises ContainerConfigError where an object is missing that isn't optional, or a claim isn't bound yet.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    found = {}
    for volume in pod["spec"].get("volumes") or []:
        name = str(volume["name"])
        found[name] = _place(volume, directory / name, source)
    return found


def renew(pod: Json, volumes: Mapping[str, Path], source: Source) -> None:
    """Bring what changed since into the files of a pod that runs, each at once (a temporary file takes its place).

    A volume that a container mounts by ``subPath`` stays as it is, and so does one whose object is gone: the real kubelet does neither anything good.
    """
    containers = [*(pod["spec"].get("initContainers") or []), *(pod["spec"].get("containers") or [])]
    by_part = {str(mount["name"]) for one in containers for mount in one.get("volumeMounts") or [] if mount.get("subPath")}
    for volume in pod["spec"].get("volumes") or []:
        at = volumes.get(str(volume["name"]))
        if at is None or str(volume["name"]) in by_part or not _is_of_objects(volume):
            continue
        try:
            wanted = _files(volume, at, source)
        except ContainerConfigError:
            continue
        for gone in {file for file in at.rglob("*") if file.is_file()} - set(wanted):
            gone.unlink()
        for file, content in wanted.items():
            if not file.is_file() or file.read_bytes() != content:
                _put(file, content)


def mounts_of(container: Json, volumes: Mapping[str, Path]) -> dict[str, Path]:
    """mountPath → real path, for the container's volumeMounts."""
    mounts = {}
    for mount in container.get("volumeMounts") or []:
        real = volumes.get(str(mount["name"]))
        if real is not None:
            mounts[str(mount["mountPath"])] = real / mount["subPath"] if mount.get("subPath") else real
    return mounts


def _place(volume: Json, at: Path, source: Source) -> Path:
    if "persistentVolumeClaim" in volume:
        claim = str(volume["persistentVolumeClaim"]["claimName"])
        real = source.claim(claim)
        if real is None:
            raise ContainerConfigError(f"persistentvolumeclaim {claim!r} is not bound")
        return real
    at.mkdir(mode=0o700)
    for file, content in _files(volume, at, source).items():
        _put(file, content)
    return at


def _is_of_objects(volume: Json) -> bool:
    return any(kind in volume for kind in ("configMap", "secret", "projected"))


def _files(volume: Json, at: Path, source: Source) -> dict[Path, bytes]:
    """What the volume holds by its objects; empty for other kinds. Raises ContainerConfigError."""
    found: dict[Path, bytes] = {}
    for part in (volume.get("projected") or {}).get("sources") or [volume]:
        if "configMap" in part:
            spec = part["configMap"]
            found |= _chosen(at, spec, _config_map_data(spec, source.config_map(str(spec["name"]))))
        elif "secret" in part:
            spec = part["secret"]
            found |= _chosen(at, spec, _secret_data(spec, source.secret(str(spec.get("secretName") or spec.get("name")))))
    return found


def _config_map_data(spec: Json, found: Json | None) -> dict[str, bytes]:
    if found is None:
        if spec.get("optional"):
            return {}
        raise ContainerConfigError(f"configmap {spec['name']!r} not found")
    data = {str(k): str(v).encode() for k, v in (found.get("data") or {}).items()}
    return data | {str(k): base64.b64decode(v) for k, v in (found.get("binaryData") or {}).items()}


def _secret_data(spec: Json, found: Json | None) -> dict[str, bytes]:
    if found is None:
        if spec.get("optional"):
            return {}
        raise ContainerConfigError(f"secret {spec.get('secretName') or spec.get('name')!r} not found")
    return {str(k): base64.b64decode(v) for k, v in (found.get("data") or {}).items()}


def _chosen(at: Path, spec: Json, data: Mapping[str, bytes]) -> dict[Path, bytes]:
    items = spec.get("items")
    chosen = {str(i["path"]): data[i["key"]] for i in items if i["key"] in data} if items else dict(data)
    found = {}
    for name, content in chosen.items():
        target = (at / name).resolve()
        # A key such as ../x must not leave the volume (the real kubelet refuses it too).
        if not target.is_relative_to(at.resolve()):
            raise ContainerConfigError(f"path {name!r} leaves the volume")
        found[target] = content
    return found


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"..{file.name}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _SECRET_MODE)
    with os.fdopen(descriptor, "wb") as written:
        written.write(content)
    new.replace(file)
