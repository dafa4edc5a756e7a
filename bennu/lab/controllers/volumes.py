"""Where a pod's volumes lie on disk, and what is written into them before it starts.

ConfigMaps and Secrets become files in a fresh directory, an emptyDir is a fresh directory, a claim's directory lives as long as the claim does
(:mod:`network_claims` makes and removes it). It reads no API: the objects are handed in. ``subPath`` is known, propagation and ownership are not.
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
    if "configMap" in volume:
        spec = volume["configMap"]
        _write(at, spec, _config_map_data(spec, source.config_map(str(spec["name"]))))
    elif "secret" in volume:
        spec = volume["secret"]
        _write(at, spec, _secret_data(spec, source.secret(str(spec["secretName"]))))
    elif "projected" in volume:
        for part in volume["projected"].get("sources") or []:
            _place_projected(part, at, source)
    return at


def _place_projected(part: Json, at: Path, source: Source) -> None:
    if "configMap" in part:
        _write(at, part["configMap"], _config_map_data(part["configMap"], source.config_map(str(part["configMap"]["name"]))))
    elif "secret" in part:
        _write(at, part["secret"], _secret_data(part["secret"], source.secret(str(part["secret"]["name"]))))


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


def _write(at: Path, spec: Json, data: Mapping[str, bytes]) -> None:
    items = spec.get("items")
    chosen = {str(i["path"]): data[i["key"]] for i in items if i["key"] in data} if items else dict(data)
    for name, content in chosen.items():
        target = (at / name).resolve()
        # A key such as ../x must not leave the volume (the real kubelet refuses it too).
        if not target.is_relative_to(at.resolve()):
            raise ContainerConfigError(f"path {name!r} leaves the volume")
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _SECRET_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
