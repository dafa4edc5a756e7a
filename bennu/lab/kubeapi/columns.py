"""The columns of ``kubectl get`` for the built-in kinds, as upstream's printers have them (those of priority 1 are ``-o wide``'s)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bennu.lab.kubeapi.jsontree import dotted
from bennu.lab.kubeapi.problems import Obj


@dataclass(frozen=True)
class Column:
    """``cell`` makes the text or number; ``priority`` 1 is shown by ``-o wide`` only."""

    name: str
    cell: Callable[[Obj], Any]
    type: str = "string"
    priority: int = 0

    def definition(self) -> Obj:
        """As the Table's head has it."""
        form = "name" if self.name == "Name" else ""
        return {"name": self.name, "type": self.type, "format": form, "description": "", "priority": self.priority}


_UNITS = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def duration(seconds: float) -> str:
    """As Kubernetes shows ages: ``45s``, ``3m12s``, ``5h``, ``3d4h``, ``2y30d``."""
    left = max(0, int(seconds))
    if left < 120:
        return f"{left}s"
    if left < 600:
        return _two(left, 60, "m", 1, "s")
    if left < 3 * 3600:
        return f"{left // 60}m"
    if left < 8 * 3600:
        return _two(left, 3600, "h", 60, "m")
    if left < 48 * 3600:
        return f"{left // 3600}h"
    if left < 8 * 86400:
        return _two(left, 86400, "d", 3600, "h")
    if left < 2 * 365 * 86400:
        return f"{left // 86400}d"
    return _two(left, 365 * 86400, "y", 86400, "d")


def _two(seconds: int, big: int, big_name: str, small: int, small_name: str) -> str:
    rest = seconds % big // small
    return f"{seconds // big}{big_name}" + (f"{rest}{small_name}" if rest else "")


def since(moment: str | None) -> str:
    """The age of an RFC 3339 time."""
    if not moment:
        return "<unknown>"
    try:
        then = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    return duration((datetime.now(UTC) - then).total_seconds())


def _get(path: str, default: Any = "") -> Callable[[Obj], Any]:
    def cell(obj: Obj) -> Any:
        value = dotted(obj, path)
        return default if value is None else value

    return cell


def _list(obj: Obj, path: str) -> list[Any]:
    found = dotted(obj, path)
    return list(found) if isinstance(found, list | dict) else []


def _number(name: str, path: str, priority: int = 0) -> Column:
    return Column(name, _get(path, 0), type="integer", priority=priority)


def _joined(items: Any, empty: str = "<none>") -> str:
    return ",".join(str(item) for item in items or ()) or empty


def _size(path: str) -> Callable[[Obj], Any]:
    return lambda obj: len(_list(obj, path))


def _containers(path: str, field: str) -> Callable[[Obj], str]:
    return lambda obj: _joined([container.get(field) for container in _list(obj, path)], "")


def _selector(path: str) -> Callable[[Obj], str]:
    return lambda obj: _joined([f"{key}={value}" for key, value in sorted((dotted(obj, path) or {}).items())])


named = Column("Name", _get("metadata.name"))
age = Column("Age", lambda obj: since(obj["metadata"].get("creationTimestamp")))


def _pod_ready(pod: Obj) -> str:
    ready = sum(1 for status in _list(pod, "status.containerStatuses") if status.get("ready"))
    return f"{ready}/{len(pod['spec'].get('containers') or ())}"


def _pod_status(pod: Obj) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    for status in _list(pod, "status.containerStatuses"):
        for state in ("waiting", "terminated"):
            reason = dotted(status, f"state.{state}.reason")
            if reason:
                return str(reason)
    reason = dotted(pod, "status.reason") or dotted(pod, "status.phase") or "Unknown"
    return "Completed" if reason == "Succeeded" else str(reason)


def _restarts(pod: Obj) -> str:
    return str(sum(int(status.get("restartCount", 0)) for status in _list(pod, "status.containerStatuses")))


def _external(service: Obj) -> str:
    ingress = dotted(service, "status.loadBalancer.ingress")
    if dotted(service, "spec.type") == "LoadBalancer":
        return _joined([entry.get("hostname") or entry.get("ip") for entry in ingress or ()], "<pending>")
    return str(dotted(service, "spec.externalName") or _joined(dotted(service, "spec.externalIPs")))


def _ports(service: Obj) -> str:
    def one(port: Obj) -> str:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        return f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}"

    ports: list[Obj] = _list(service, "spec.ports")
    return _joined([one(port) for port in ports])


def _endpoints(endpoints: Obj) -> str:
    found: list[str] = []
    for subset in _list(endpoints, "subsets"):
        ports: list[Obj] = subset.get("ports") or [{}]
        found.extend(f"{address.get('ip')}:{port.get('port')}" for address in subset.get("addresses") or () for port in ports)
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or "<none>"


def _slice_ports(piece: Obj) -> str:
    return _joined([port.get("port") for port in piece.get("ports") or ()], "<unset>")


def _slice_addresses(piece: Obj) -> str:
    return _joined([address for endpoint in piece.get("endpoints") or () for address in endpoint.get("addresses") or ()], "<unset>")


def _node_status(node: Obj) -> str:
    ready: Obj = next((c for c in _list(node, "status.conditions") if c.get("type") == "Ready"), {})
    text = {"True": "Ready", "False": "NotReady"}.get(ready.get("status", ""), "Unknown")
    return text + (",SchedulingDisabled" if dotted(node, "spec.unschedulable") else "")


def _node_roles(node: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    return _joined(sorted(label.removeprefix(prefix) for label in node["metadata"].get("labels") or {} if label.startswith(prefix)))


def _fraction(above: str, below: str, default_below: int = 0) -> Callable[[Obj], str]:
    return lambda obj: f"{dotted(obj, above) or 0}/{default_below if dotted(obj, below) is None else dotted(obj, below)}"


def _job_duration(job: Obj) -> str:
    start, end = dotted(job, "status.startTime"), dotted(job, "status.completionTime")
    if not start:
        return ""
    if not end:
        return since(start)
    return duration((datetime.fromisoformat(end.replace("Z", "+00:00")) - datetime.fromisoformat(start.replace("Z", "+00:00"))).total_seconds())


def _job_status(job: Obj) -> str:
    for kind, text in (("Complete", "Complete"), ("Failed", "Failed"), ("Suspended", "Suspended")):
        if any(c.get("type") == kind and c.get("status") == "True" for c in _list(job, "status.conditions")):
            return text
    return "Terminating" if "deletionTimestamp" in job["metadata"] else "Running"


def _last(cron_job: Obj) -> str:
    moment = dotted(cron_job, "status.lastScheduleTime")
    return since(moment) if moment else "<none>"


def _ref(path: str) -> Callable[[Obj], str]:
    return lambda obj: f"{dotted(obj, path + '.kind')}/{dotted(obj, path + '.name')}"


def _event_object(event: Obj) -> str:
    involved = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


def _modes(path: str) -> Callable[[Obj], str]:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return lambda obj: ",".join(short.get(mode, mode) for mode in _list(obj, path))


def _claim_ref(volume: Obj) -> str:
    claim = dotted(volume, "spec.claimRef")
    return f"{claim.get('namespace')}/{claim.get('name')}" if claim else ""


def _claim_status(claim: Obj) -> str:
    return "Terminating" if "deletionTimestamp" in claim["metadata"] else str(dotted(claim, "status.phase") or "")


_TEMPLATE = "spec.template.spec.containers"
_WIDE = (Column("Containers", _containers(_TEMPLATE, "name"), priority=1), Column("Images", _containers(_TEMPLATE, "image"), priority=1))
_WIDE_SELECTED = (*_WIDE, Column("Selector", _selector("spec.selector.matchLabels"), priority=1))
_DATA = (named, Column("Data", _size("data"), type="integer"), age)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "Namespace": (named, Column("Status", _get("status.phase")), age),
    "Node": (named, Column("Status", _node_status), Column("Roles", _node_roles), age, Column("Version", _get("status.nodeInfo.kubeletVersion"))),
    "Pod": (
        named,
        Column("Ready", _pod_ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        age,
        Column("IP", _get("status.podIP", "<none>"), priority=1),
        Column("Node", _get("spec.nodeName", "<none>"), priority=1),
    ),
    "Service": (
        named,
        Column("Type", _get("spec.type")),
        Column("Cluster-IP", _get("spec.clusterIP", "<none>")),
        Column("External-IP", _external),
        Column("Port(s)", _ports),
        age,
        Column("Selector", _selector("spec.selector"), priority=1),
    ),
    "Endpoints": (named, Column("Endpoints", _endpoints), age),
    "EndpointSlice": (named, Column("AddressType", _get("addressType")), Column("Ports", _slice_ports), Column("Endpoints", _slice_addresses), age),
    "ConfigMap": _DATA,
    "Secret": (named, Column("Type", _get("type")), *_DATA[1:]),
    "ServiceAccount": (named, Column("Secrets", _size("secrets"), type="integer"), age),
    "Event": (
        Column("Last Seen", lambda event: since(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp"))),
        Column("Type", _get("type")),
        Column("Reason", _get("reason")),
        Column("Object", _event_object),
        Column("Message", lambda event: str(event.get("message") or event.get("note") or "").strip()),
    ),
    "PersistentVolume": (
        named,
        Column("Capacity", _get("spec.capacity.storage")),
        Column("Access Modes", _modes("spec.accessModes")),
        Column("Reclaim Policy", _get("spec.persistentVolumeReclaimPolicy")),
        Column("Status", _claim_status),
        Column("Claim", _claim_ref),
        Column("StorageClass", _get("spec.storageClassName")),
        age,
    ),
    "PersistentVolumeClaim": (
        named,
        Column("Status", _claim_status),
        Column("Volume", _get("spec.volumeName")),
        Column("Capacity", _get("status.capacity.storage")),
        Column("Access Modes", _modes("status.accessModes")),
        Column("StorageClass", _get("spec.storageClassName")),
        age,
    ),
    "Deployment": (
        named,
        Column("Ready", _fraction("status.readyReplicas", "spec.replicas")),
        _number("Up-to-date", "status.updatedReplicas"),
        _number("Available", "status.availableReplicas"),
        age,
        *_WIDE_SELECTED,
    ),
    "StatefulSet": (named, Column("Ready", _fraction("status.readyReplicas", "spec.replicas")), age, *_WIDE),
    "DaemonSet": (
        named,
        _number("Desired", "status.desiredNumberScheduled"),
        _number("Current", "status.currentNumberScheduled"),
        _number("Ready", "status.numberReady"),
        _number("Up-to-date", "status.updatedNumberScheduled"),
        _number("Available", "status.numberAvailable"),
        age,
        *_WIDE_SELECTED,
    ),
    "ReplicaSet": (
        named,
        _number("Desired", "spec.replicas"),
        _number("Current", "status.replicas"),
        _number("Ready", "status.readyReplicas"),
        age,
        *_WIDE_SELECTED,
    ),
    "Job": (
        named,
        Column("Status", _job_status),
        Column("Completions", _fraction("status.succeeded", "spec.completions", 1)),
        Column("Duration", _job_duration),
        age,
        *_WIDE,
    ),
    "CronJob": (
        named,
        Column("Schedule", _get("spec.schedule")),
        Column("Timezone", _get("spec.timeZone", "<none>")),
        Column("Suspend", lambda obj: "True" if dotted(obj, "spec.suspend") else "False"),
        Column("Active", _size("status.active"), type="integer"),
        Column("Last Schedule", _last),
        age,
    ),
    "PodDisruptionBudget": (
        named,
        Column("Min Available", _get("spec.minAvailable", "N/A")),
        Column("Max Unavailable", _get("spec.maxUnavailable", "N/A")),
        _number("Allowed Disruptions", "status.disruptionsAllowed"),
        age,
    ),
    "Lease": (named, Column("Holder", _get("spec.holderIdentity")), age),
    "Ingress": (
        named,
        Column("Class", _get("spec.ingressClassName", "<none>")),
        Column("Hosts", lambda obj: _joined([rule.get("host", "*") for rule in _list(obj, "spec.rules")], "*")),
        Column("Address", lambda obj: _joined([entry.get("hostname") or entry.get("ip") for entry in _list(obj, "status.loadBalancer.ingress")], "")),
        age,
    ),
    "RoleBinding": (named, Column("Role", _ref("roleRef")), age),
    "ClusterRoleBinding": (named, Column("Role", _ref("roleRef")), age),
    "ClusterRole": (named, Column("Created At", _get("metadata.creationTimestamp"))),
    "Role": (named, Column("Created At", _get("metadata.creationTimestamp"))),
    "CustomResourceDefinition": (named, Column("Created At", _get("metadata.creationTimestamp"))),
}
