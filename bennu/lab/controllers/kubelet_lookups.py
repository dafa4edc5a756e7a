"""What the kubelet looks up for its pods: ConfigMaps, Secrets, claims and the pods themselves, in memory by watches.

It answers; who asks decides what a missing object means.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_informers import Informer, Watched, shared
from bennu.lab.controllers.volumes import Source, claim_directory

Json = Mapping[str, Any]
_FIELDS = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
}
_ADDRESSES = ("status.podIP", "status.hostIP")


class Lookups:
    """Informers of all that pods refer to. ``volumes`` is the directory under which claims' data lies."""

    def __init__(self, client: ApiClient, volumes: Path) -> None:
        self._volumes = volumes
        self.pods = shared(client, Watched("v1", "Pod"))
        self.config_maps = shared(client, Watched("v1", "ConfigMap"))
        self.secrets = shared(client, Watched("v1", "Secret"))
        self.claims = shared(client, Watched("v1", "PersistentVolumeClaim"))

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All that must be followed."""
        return (self.pods, self.config_maps, self.secrets, self.claims)

    def volumes_of(self, namespace: str) -> Source:
        """How pods of *namespace* find their volumes."""
        return Source(
            config_map=lambda name: self.config_maps.get(namespace, name),
            secret=lambda name: self.secrets.get(namespace, name),
            claim=lambda name: self._claim(namespace, name),
        )

    def values_of(self, pod: Json) -> Callable[[Json], str | None]:
        """A function from ``env[].valueFrom`` to its value for *pod*, None where it does not exist."""
        namespace = str(pod["metadata"]["namespace"])

        def value(source: Json) -> str | None:
            if "configMapKeyRef" in source:
                ref = source["configMapKeyRef"]
                found = ((self.config_maps.get(namespace, ref["name"]) or {}).get("data") or {}).get(ref["key"])
                return None if found is None else str(found)
            if "secretKeyRef" in source:
                ref = source["secretKeyRef"]
                found = ((self.secrets.get(namespace, ref["name"]) or {}).get("data") or {}).get(ref["key"])
                return None if found is None else base64.b64decode(found).decode()
            return _field(pod, str((source.get("fieldRef") or {}).get("fieldPath", "")))

        return value

    def _claim(self, namespace: str, name: str) -> Path | None:
        claim = self.claims.get(namespace, name)
        bound = claim is not None and (claim.get("status") or {}).get("phase") == "Bound"
        return claim_directory(self._volumes, namespace, name) if bound else None


def _field(pod: Json, path: str) -> str | None:
    if path in _ADDRESSES:
        return "127.0.0.1"
    for kind in ("labels", "annotations"):
        prefix = f"metadata.{kind}['"
        if path.startswith(prefix) and path.endswith("']"):
            return (pod["metadata"].get(kind) or {}).get(path[len(prefix) : -2])
    if path not in _FIELDS:
        return None
    part, key = _FIELDS[path]
    found = pod[part].get(key)
    return None if found is None else str(found)
