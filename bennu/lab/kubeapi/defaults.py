"""What the API fills in when an object of a built-in kind is created or changed.

Only defaults that a client of the lab can notice are here; custom resources get theirs from their schema (``schemas``). All functions change the object that
they are given, which is the writer's own copy.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from bennu.lab.kubeapi.problems import Obj

# Kubernetes' own default is 30 s; nothing in the lab needs so long to end.
LAB_GRACE_SECONDS = 5


def pod_spec(spec: Obj) -> None:
    """Defaults of a pod's spec, alone or in a template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", LAB_GRACE_SECONDS)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        container.setdefault("resources", {})
        image = str(container.get("image", ""))
        container.setdefault("imagePullPolicy", "Always" if ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest") else "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
    _volumes(spec)


def _volumes(spec: Obj) -> None:
    for volume in spec.get("volumes") or []:
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if isinstance(volume.get(source), dict):
                volume[source].setdefault("defaultMode", 420)


def _pod(obj: Obj) -> None:
    pod_spec(obj["spec"])
    obj["spec"].setdefault("serviceAccountName", "default")
    obj["spec"].setdefault("enableServiceLinks", True)
    status = obj.setdefault("status", {})
    status.setdefault("phase", "Pending")
    status.setdefault("qosClass", "BestEffort")


def _templated(obj: Obj) -> None:
    template = obj["spec"].setdefault("template", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def _deployment(obj: Obj) -> None:
    _templated(obj)
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy["rollingUpdate"] = {"maxUnavailable": "25%", "maxSurge": "25%", **(strategy.get("rollingUpdate") or {})}


def _stateful_set(obj: Obj) -> None:
    _templated(obj)
    spec = obj["spec"]
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("serviceName", "")
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    spec.setdefault("persistentVolumeClaimRetentionPolicy", {"whenDeleted": "Retain", "whenScaled": "Retain"})
    for claim in spec.get("volumeClaimTemplates") or []:
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        claim.setdefault("status", {"phase": "Pending"})
        claim["spec"].setdefault("volumeMode", "Filesystem")


def _daemon_set(obj: Obj) -> None:
    _templated(obj)
    obj["spec"].setdefault("revisionHistoryLimit", 10)
    obj["spec"].setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}})


def _replica_set(obj: Obj) -> None:
    _templated(obj)
    obj["spec"].setdefault("replicas", 1)


def _job_spec(spec: Obj) -> None:
    pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    spec["template"].setdefault("metadata", {})
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("suspend", False)


def _job(obj: Obj) -> None:
    spec = obj["spec"]
    _job_spec(spec)
    spec.setdefault("completionMode", "NonIndexed")
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    uid = obj["metadata"].get("uid")
    if uid and "selector" not in spec:
        # The real server derives both from the Job's UID, so that two Jobs of one name never adopt each other's pods.
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        names = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": obj["metadata"]["name"],
            "controller-uid": uid,
            "job-name": obj["metadata"]["name"],
        }
        metadata = spec["template"]["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), **names}


def _cron_job(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("concurrencyPolicy", "Allow")
    spec.setdefault("suspend", False)
    spec.setdefault("successfulJobsHistoryLimit", 3)
    spec.setdefault("failedJobsHistoryLimit", 1)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}).setdefault("template", {}).setdefault("spec", {}))
    template["spec"]["template"].setdefault("metadata", {})


def _service(obj: Obj) -> None:
    spec = obj["spec"]
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or []:
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in {"LoadBalancer", "NodePort"}:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _secret(obj: Obj) -> None:
    obj.setdefault("type", "Opaque")
    plain = obj.pop("stringData", None) or {}
    if plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}


def _namespace(obj: Obj) -> None:
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")
    labels = obj["metadata"].get("labels") or {}
    obj["metadata"]["labels"] = {**labels, "kubernetes.io/metadata.name": obj["metadata"]["name"]}


def _claim(obj: Obj) -> None:
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _volume(obj: Obj) -> None:
    obj["spec"].setdefault("volumeMode", "Filesystem")
    obj["spec"].setdefault("persistentVolumeReclaimPolicy", "Retain")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _binding(obj: Obj) -> None:
    for subject in obj.get("subjects") or []:
        if subject.get("kind") != "ServiceAccount":
            subject.setdefault("apiGroup", "rbac.authorization.k8s.io")


def _crd(obj: Obj) -> None:
    names = obj["spec"]["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", names["kind"] + "List")
    obj["spec"].setdefault("conversion", {"strategy": "None"})


_OF_KIND: dict[str, Callable[[Obj], None]] = {
    "Pod": _pod,
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "DaemonSet": _daemon_set,
    "ReplicaSet": _replica_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    "CustomResourceDefinition": _crd,
}


def fill(obj: Obj, kind: str) -> None:
    """Fill in the defaults of a built-in kind. The object's types have been checked before."""
    function = _OF_KIND.get(kind)
    if function is not None:
        function(obj)


def cluster_addresses() -> Iterator[str]:
    """ClusterIPs from 10.96.0.0/16, in order; .0.1 is the API's own Service."""
    for number in range(2, 65534):
        yield f"10.96.{number // 256}.{number % 256}"
