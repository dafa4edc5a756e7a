"""The pointer of a benchmark: one file ``host port maintenance``, and the ConfigMap objects of both clusters, which stand behind it, as files.

``FileCluster`` keeps the port ``Kubernetes`` as far as S6 asks it: ``get`` and ``apply`` of the pointer object, with resourceVersion as compare-and-swap and field ownership, and the
Endpoints of the mirror. Two processes may use it at once (flock), and one may be killed at any instant (each file is replaced as a whole). It is no API server: nothing else is
answered, and each write costs what a file costs.
"""

from __future__ import annotations

import fcntl
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.grounds import Grounds
from bennu.core.clusters import Colour
from bennu.manifests import traffic_state
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Conflict, Json, Kind, Ref
from bennu.ports.redis import Address

NAMESPACE, NAME = "payments", "global-traffic-state"
SERVICE, SERVICE_NAMESPACE = "redis", "database"
TEMPLATE = f"""apiVersion: v1
kind: ConfigMap
metadata:
  name: {NAME}
  namespace: {NAMESPACE}
data:
  REDIS_READ_HOST: ""
  REDIS_WRITE_HOST: ""
  IS_WRITE_MASTER: "false"
  MAINTENANCE_MODE: "false"
"""


def replaced(path: Path, text: str) -> None:
    """Put *text* at *path* as a whole: a reader sees the old or the new."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process, and one thread, at a time."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class _Object:
    """A stored ConfigMap: its data and annotations, and which of both the manager ``bennu`` applied last."""

    version: int
    data: Mapping[str, str]
    annotations: Mapping[str, str]
    owned_data: tuple[str, ...] = ()
    owned_annotations: tuple[str, ...] = ()

    def applied(self, data: Mapping[str, str], annotations: Mapping[str, str]) -> _Object:
        """Server-side apply by one manager: what it leaves out, having applied it before, goes; what others wrote stays."""
        kept = {key: value for key, value in self.data.items() if key not in self.owned_data}
        noted = {key: value for key, value in self.annotations.items() if key not in self.owned_annotations}
        return _Object(self.version + 1, {**kept, **data}, {**noted, **annotations}, tuple(data), tuple(annotations))

    def live(self) -> Json:
        """As the API shows it."""
        meta = {"name": NAME, "namespace": NAMESPACE, "resourceVersion": str(self.version), "annotations": dict(self.annotations)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": dict(self.data)}


class FileCluster:
    """Port ``Kubernetes`` of one colour, for S6 alone."""

    def __init__(self, grounds: Grounds, colour: Colour) -> None:
        self._grounds, self._colour = grounds, colour
        self._file = grounds.state / f"pointer-{colour}.json"

    @property
    def context(self) -> str:
        """See the port."""
        return f"bench-{self._colour}"

    def get(self, ref: Ref) -> Json | None:
        """See the port: the pointer object, and the Endpoints of the other side's mirror."""
        if ref == Ref(CONFIGMAP, NAME, NAMESPACE):
            return self._stored().live()
        for colour, node in self._grounds.nodes.items():
            if ref == Ref(Kind("v1", "Endpoints"), f"{SERVICE}-{colour.cluster}", SERVICE_NAMESPACE):
                return {"subsets": [{"addresses": [{"ip": node.mirror.host}], "ports": [{"port": node.mirror.port}]}]}
        return None

    def apply(self, obj: Json, *, force: bool = False) -> Json:
        """See the port. The file that apps read is replaced after the object: who reads it was told what the object says."""
        meta = obj["metadata"]
        with locked(self._file.with_suffix(".lock")):
            stored = self._stored()
            if meta.get("resourceVersion") and meta["resourceVersion"] != str(stored.version):
                raise Conflict(f"resourceVersion {meta['resourceVersion']} is not the current one ({stored.version})")
            fresh = stored.applied(obj.get("data") or {}, meta.get("annotations") or {})
            replaced(self._file, json.dumps(vars(fresh)))
            self._tell_apps(fresh.data)
        return fresh.live()

    def _tell_apps(self, data: Mapping[str, str]) -> None:
        named = self._named(data)
        host = self._grounds.nodes[named].pointer
        text = f"{host.host} {host.port} {int(data.get(traffic_state.MAINTENANCE) == 'true')}"
        if self._grounds.pointer.read_text(encoding="utf-8") != text:
            replaced(self._grounds.pointer, text)

    def _named(self, data: Mapping[str, str]) -> Colour:
        if data.get(traffic_state.MASTER) == "true":
            return self._colour
        return next(colour for colour in self._grounds.nodes if colour is not self._colour)

    def _stored(self) -> _Object:
        if self._file.exists():
            return _Object(**json.loads(self._file.read_text(encoding="utf-8")))
        # Nobody wrote the object yet: it says what the file says, as Flux would have applied it.
        host, port, _ = self._grounds.pointer.read_text(encoding="utf-8").split()
        master = self._grounds.colour_at(Address(host, int(port)))
        hot = traffic_state.hot(SERVICE, SERVICE_NAMESPACE)
        warm = traffic_state.warm(SERVICE, SERVICE_NAMESPACE, mirror=f"{SERVICE}-{master.cluster}")
        text = traffic_state.edited(TEMPLATE, hot if master is self._colour else warm, NAME)
        return _Object(1, traffic_state.data(text, NAME), {})

    # What S6 does not ask for.

    def endpoint(self) -> tuple[str, str]:
        """See the port."""
        self._unasked("endpoint")

    def credential_expiry(self, needed_until: datetime) -> datetime | None:
        """See the port: a file needs no credential."""
        return None

    def uid(self) -> str:
        """See the port."""
        return f"bench-{self._colour}"

    def version(self) -> str:
        """See the port. Costs a reading of the object, as a health check of an API server costs a request."""
        return f"v0.0.0-file.{self._stored().version}"

    def serves(self, kind: Kind) -> bool:
        """See the port."""
        return kind == CONFIGMAP

    def list(self, kind: Kind, *, namespace: str = "", labels: str = "") -> tuple[Json, ...]:
        """See the port: nothing else is there."""
        return (self._stored().live(),) if kind == CONFIGMAP and namespace in ("", NAMESPACE) and not labels else ()

    def patch(self, ref: Ref, change: Json) -> Json:
        """See the port."""
        self._unasked("patch")

    def patch_status(self, ref: Ref, change: Json) -> Json:
        """See the port."""
        self._unasked("patch_status")

    def delete(self, ref: Ref) -> bool:
        """See the port."""
        self._unasked("delete")

    def can(self, verb: str, kind: Kind, namespace: str = "") -> bool:
        """See the port."""
        return kind == CONFIGMAP and verb in ("get", "patch")

    def forwarded(self, namespace: str, pod: str, port: int) -> Any:
        """See the port."""
        self._unasked("forwarded")

    def watch(self, kind: Kind, *, namespace: str = "", timeout: float) -> Iterator[Json]:
        """See the port."""
        self._unasked("watch")

    def _unasked(self, what: str) -> NoReturn:
        raise NotImplementedError(f"a benchmark's cluster has the pointer object and nothing to {what}")
