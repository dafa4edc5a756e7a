"""What the service mirror makes of an exported Service: its name, labels, Endpoints, and the Link's status line for it.

Pure. Names, labels, annotations and reasons are Linkerd's own (2.18 and later). Only plain mirroring: no federated Services, no remote discovery, no headless ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

CLUSTER_NAME = "mirror.linkerd.io/cluster-name"
MIRRORED = "mirror.linkerd.io/mirrored-service"
REMOTE_NAME = "mirror.linkerd.io/remote-svc-fq-name"
REMOTE_VERSION = "mirror.linkerd.io/remote-resource-version"
GATEWAY_IDENTITY = "mirror.linkerd.io/remote-gateway-identity"
GATEWAY = "lab.bennu.io/gateway"
"""Annotation on a mirror's Endpoints: ``host:port`` of the gateway, which Linkerd has as the address itself; in the lab that is the outbound proxy's."""
CONTROLLER = "linkerd.io/service-mirror"
_OWN = "mirror.linkerd.io/"


@dataclass(frozen=True)
class Remote:
    """What a Link says of the cluster it mirrors from."""

    cluster: str
    domain: str
    identity: str
    gateway: str

    @classmethod
    def of(cls, link: Mapping[str, Any]) -> Remote:
        """From a Link."""
        spec = link["spec"]
        # Several addresses may stand there, separated by commas; the lab's gateways have one.
        host = str(spec.get("gatewayAddress", "")).split(",")[0].strip()
        return cls(
            str(spec.get("targetClusterName", "")),
            str(spec.get("targetClusterDomain", "cluster.local")),
            str(spec.get("gatewayIdentity", "")),
            f"{host}:{spec.get('gatewayPort', 4143)}",
        )

    def mirror_name(self, service: str) -> str:
        """``redis`` → ``redis-cluster-blue``."""
        return f"{service}-{self.cluster}"

    @property
    def selector(self) -> str:
        """The label selector of everything mirrored from this cluster."""
        return f"{CLUSTER_NAME}={self.cluster},{MIRRORED}=true"


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a Link's label selector takes a Service; an absent or empty one takes none."""
    wanted = (selector or {}).get("matchLabels") or {}
    rules = (selector or {}).get("matchExpressions") or []
    if not wanted and not rules:
        return False
    return all(labels.get(k) == v for k, v in wanted.items()) and all(_holds(r, labels) for r in rules)


def _holds(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = rule["key"], rule.get("values") or []
    match rule["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def mirror_service(remote: Remote, exported: Mapping[str, Any]) -> Json:
    """The Service that stands for *exported* on the importing side; it has no selector."""
    meta = exported["metadata"]
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if not k.startswith(_OWN)}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": remote.mirror_name(str(meta["name"])),
            "namespace": meta["namespace"],
            "labels": {**labels, CLUSTER_NAME: remote.cluster, MIRRORED: "true"},
            "annotations": {
                REMOTE_NAME: f"{meta['name']}.{meta['namespace']}.svc.{remote.domain}",
                REMOTE_VERSION: str(meta.get("resourceVersion", "")),
            },
        },
        "spec": {"ports": [_service_port(p) for p in exported["spec"].get("ports") or []]},
    }


def mirror_endpoints(remote: Remote, service: Mapping[str, Any], ports: Mapping[int, int], *, alive: bool) -> Json:
    """Its Endpoints: the outbound proxies' ports (*ports*: Service port → real one), not ready where the gateway is believed dead."""
    where = "addresses" if alive else "notReadyAddresses"
    meta = service["metadata"]
    subsets = [
        {where: [{"ip": "127.0.0.1"}], "ports": [{**({"name": p["name"]} if p.get("name") else {}), "port": ports[int(p["port"])], "protocol": "TCP"}]}
        for p in service["spec"].get("ports") or []
    ]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": {CLUSTER_NAME: remote.cluster, MIRRORED: "true"},
            "annotations": {REMOTE_NAME: meta["annotations"][REMOTE_NAME], GATEWAY_IDENTITY: remote.identity, GATEWAY: remote.gateway},
        },
        "subsets": subsets,
    }


@dataclass(frozen=True)
class Outcome:
    """How the mirroring of one Service went: ``reason`` is Mirrored, InvalidService, Error or MissingNamespace."""

    namespace: str
    service: str
    reason: str
    message: str = ""


def with_outcome(entries: Sequence[Mapping[str, Any]], remote: Remote, outcome: Outcome, now: str) -> list[Json]:
    """The Link's ``mirrorServices`` after *outcome*; an equal one leaves its time of transition."""
    old = next((e for e in entries if refers(e, outcome.namespace, outcome.service)), None)
    condition = _condition(remote, outcome, now)
    if old is not None:
        before = (old.get("conditions") or [{}])[0]
        if before.get("status") == condition["status"] and before.get("lastTransitionTime"):
            condition["lastTransitionTime"] = before["lastTransitionTime"]
    entry = {
        "controllerName": CONTROLLER,
        "remoteRef": {"group": "", "kind": "Service", "name": outcome.service, "namespace": outcome.namespace},
        "conditions": [condition],
    }
    rest = [dict(e) for e in entries if e is not old]
    return sorted([*rest, entry], key=lambda e: (e["remoteRef"]["namespace"], e["remoteRef"]["name"]))


def refers(entry: Mapping[str, Any], namespace: str, service: str) -> bool:
    """Whether a ``mirrorServices`` entry is about that exported Service."""
    ref = entry.get("remoteRef") or {}
    return ref.get("namespace") == namespace and ref.get("name") == service


def _condition(remote: Remote, outcome: Outcome, now: str) -> Json:
    done = outcome.reason == "Mirrored"
    condition: Json = {
        "type": "Mirrored",
        "status": "True" if done else "False",
        "reason": outcome.reason,
        "message": outcome.message,
        "lastTransitionTime": now,
    }
    if done:
        condition["localRef"] = {"group": "", "kind": "Service", "name": remote.mirror_name(outcome.service), "namespace": outcome.namespace}
    return condition


def _service_port(port: Mapping[str, Any]) -> Json:
    kept = {k: port[k] for k in ("name", "port", "protocol", "appProtocol") if k in port}
    # As Linkerd writes it: the mirror's target port is the exported Service's port.
    return {**kept, "targetPort": port["port"]}
