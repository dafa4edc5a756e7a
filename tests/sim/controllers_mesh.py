"""What Linkerd's mirror controllers do, in one direction: mirrors and their endpoints, the Link's status, the gateway's probe."""

from __future__ import annotations

from typing import Any

from bennu.phases.kinds import ENDPOINTS, EXPORTED, LINK, MIRROR_OF, MIRRORED, SECRET, SERVICE, labels_of, name_of, namespace_of, ref_of
from bennu.ports.kubernetes import Ref
from tests.sim.memory_kubernetes import MemoryKubernetes

MULTICLUSTER = "linkerd-multicluster"


def linked(importing: MemoryKubernetes, link: str) -> bool:
    """Whether the Link is there with its credentials."""
    if not importing.up or importing.at(Ref(LINK, link, MULTICLUSTER)) is None:
        return False
    return importing.at(Ref(SECRET, f"cluster-credentials-{link}", MULTICLUSTER)) is not None


def mirror(importing: MemoryKubernetes, exporting: MemoryKubernetes, link: str, *, alive: bool) -> None:
    """One tick of one direction. A dead gateway leaves the mirrors, without addresses; a dead API server leaves them as they are."""
    if not linked(importing, link) or not exporting.up:
        return
    seen = (importing.changes(SERVICE, ENDPOINTS, LINK), exporting.changes(SERVICE), alive)
    if importing.looked.get(link) == seen:
        return
    exported = [one for one in exporting.peek(SERVICE) if labels_of(one).get(EXPORTED) == "true"]
    wanted = {(namespace_of(one), f"{name_of(one)}-{link}") for one in exported}
    for gone in [one for one in importing.peek(SERVICE) if labels_of(one).get(MIRROR_OF) == link]:
        if (namespace_of(gone), name_of(gone)) not in wanted:
            importing.remove(ref_of(gone))
            importing.remove(Ref(ENDPOINTS, name_of(gone), namespace_of(gone)))
    states = []
    for one in exported:
        _mirrored(importing, namespace_of(one), f"{name_of(one)}-{link}", link, alive=alive)
        condition = {"type": "Mirrored", "status": "True", "reason": "Mirrored"}
        states.append({"remoteRef": {"name": name_of(one), "namespace": namespace_of(one)}, "conditions": [condition]})
    live = importing.at(Ref(LINK, link, MULTICLUSTER))
    if live is not None and live.get("status") != {"mirrorServices": states}:
        importing.put({**live, "status": {"mirrorServices": states}}, manager="linkerd")
    if importing.changes(SERVICE, ENDPOINTS, LINK) == seen[0]:
        importing.looked[link] = seen


def _mirrored(importing: MemoryKubernetes, namespace: str, name: str, link: str, *, alive: bool) -> None:
    meta: dict[str, Any] = {"name": name, "namespace": namespace, "labels": {MIRRORED: "true", MIRROR_OF: link}}
    subsets = [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 4143}]}] if alive else []
    importing.put({"apiVersion": "v1", "kind": "Service", "metadata": meta})
    importing.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets})
