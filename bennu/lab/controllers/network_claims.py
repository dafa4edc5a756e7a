"""PersistentVolumeClaims get volumes, and give them back: directory and PersistentVolume go when the claim does.

Stands for a storage provisioner and the controllers that bind and protect. A claim in use by a pod stays until that pod is gone; a volume whose reclaim policy
was changed to Retain is kept. Sizes and access modes are recorded, not enforced.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_informers import Informer, created
from bennu.lab.controllers.volumes import claim_directory
from bennu.lab.controllers.workloads_templates import is_terminating

Json = dict[str, Any]
CLAIM_GUARD = "kubernetes.io/pvc-protection"
VOLUME_GUARD = "kubernetes.io/pv-protection"
STORAGE_CLASS = "lab-local"
_PROVISIONER = "lab.bennu.io/directory"


def volume_for(claim: Mapping[str, Any], directory: Path) -> Json:
    """The PersistentVolume made for a claim."""
    meta, spec = claim["metadata"], claim["spec"]
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": f"pvc-{meta['uid']}",
            "annotations": {"pv.kubernetes.io/provisioned-by": _PROVISIONER},
            "finalizers": [VOLUME_GUARD],
        },
        "spec": {
            "capacity": _capacity(claim),
            "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec.get("storageClassName") or STORAGE_CLASS,
            "volumeMode": "Filesystem",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "hostPath": {"path": str(directory), "type": "DirectoryOrCreate"},
        },
    }


def used_by(pods: Iterable[Mapping[str, Any]], claim: Mapping[str, Any]) -> bool:
    """Whether a pod that hasn't ended mounts the claim."""
    name, namespace = claim["metadata"]["name"], claim["metadata"]["namespace"]
    return any(
        (volume.get("persistentVolumeClaim") or {}).get("claimName") == name
        for pod in pods
        if pod["metadata"]["namespace"] == namespace and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        for volume in pod["spec"].get("volumes") or []
    )


def _capacity(claim: Mapping[str, Any]) -> Json:
    return dict(((claim["spec"].get("resources") or {}).get("requests")) or {"storage": "1Gi"})


class Storage:
    """Binds and frees, from what the informers know."""

    def __init__(self, client: ApiClient, volumes: Path, claims: Informer, bound: Informer) -> None:
        self._client = client
        self._volumes = volumes
        self._claims = claims
        self._bound = bound

    async def look(self, pods: Informer) -> None:
        """One look at every claim and every volume."""
        for claim in self._claims:
            if is_terminating(claim):
                await self._let_go(claim, pods)
            elif (claim.get("status") or {}).get("phase") != "Bound":
                await self._bind(claim)
        for volume in self._bound:
            await self._reclaim(volume)

    async def _bind(self, claim: Json) -> None:
        meta = claim["metadata"]
        if self._predecessor(claim):
            return
        directory = claim_directory(self._volumes, meta["namespace"], meta["name"])
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        volume = volume_for(claim, directory)
        if self._bound.get("", volume["metadata"]["name"]) is None:
            self._bound.note(await created(self._client, volume))
        spec = {"volumeName": volume["metadata"]["name"], "storageClassName": volume["spec"]["storageClassName"]}
        guards = sorted({*(meta.get("finalizers") or []), CLAIM_GUARD})
        await self._client.patch(claim, {"metadata": {"finalizers": guards}, "spec": spec})
        status = {"phase": "Bound", "accessModes": volume["spec"]["accessModes"], "capacity": volume["spec"]["capacity"]}
        self._claims.note(await self._client.patch_status(claim, status))
        await self._client.patch_status(volume, {"phase": "Bound"})

    def _predecessor(self, claim: Json) -> bool:
        """Whether the directory still belongs to a volume of a deleted claim of the same name, whose data must go first."""
        meta = claim["metadata"]
        return any(
            ref.get("name") == meta["name"] and ref.get("namespace") == meta["namespace"] and ref.get("uid") != meta["uid"]
            for volume in self._bound
            if (ref := volume["spec"].get("claimRef") or {}) and volume["spec"].get("persistentVolumeReclaimPolicy") != "Retain"
        )

    async def _let_go(self, claim: Json, pods: Informer) -> None:
        guards = claim["metadata"].get("finalizers") or []
        if CLAIM_GUARD in guards and not used_by(pods, claim):
            await self._client.patch(claim, {"metadata": {"finalizers": [g for g in guards if g != CLAIM_GUARD]}})

    async def _reclaim(self, volume: Json) -> None:
        """Its claim is gone: the data goes, then the volume; with Retain both stay, Released."""
        spec = volume["spec"]
        ref = spec.get("claimRef") or {}
        claim = self._claims.get(str(ref.get("namespace", "")), str(ref.get("name", "")))
        if not ref or (claim is not None and claim["metadata"]["uid"] == ref.get("uid")):
            return
        if spec.get("persistentVolumeReclaimPolicy") == "Retain" and not is_terminating(volume):
            if (volume.get("status") or {}).get("phase") != "Released":
                self._bound.note(await self._client.patch_status(volume, {"phase": "Released"}))
            return
        directory = Path(str((spec.get("hostPath") or {}).get("path", "")))
        if directory.parent == self._volumes and spec.get("persistentVolumeReclaimPolicy") != "Retain":
            shutil.rmtree(directory, ignore_errors=True)
        if not is_terminating(volume):
            await self._client.delete(volume)
        guards = [g for g in volume["metadata"].get("finalizers") or [] if g != VOLUME_GUARD]
        await self._client.patch(volume, {"metadata": {"finalizers": guards}})
