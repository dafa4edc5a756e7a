"""The Kubernetes kinds and references that the phases ask for, in one place."""

from __future__ import annotations

from bennu.ports.kubernetes import Json, Kind, Ref

CONFIGMAP = Kind("v1", "ConfigMap")
SECRET = Kind("v1", "Secret")
SERVICE = Kind("v1", "Service")
NODE = Kind("v1", "Node")
POD = Kind("v1", "Pod")
NAMESPACE = Kind("v1", "Namespace")
ENDPOINTS = Kind("v1", "Endpoints")
PVC = Kind("v1", "PersistentVolumeClaim")
PV = Kind("v1", "PersistentVolume")
DEPLOYMENT = Kind("apps/v1", "Deployment")
STATEFULSET = Kind("apps/v1", "StatefulSet")
CRONJOB = Kind("batch/v1", "CronJob")
JOB = Kind("batch/v1", "Job")
GIT_REPOSITORY = Kind("source.toolkit.fluxcd.io/v1", "GitRepository")
KUSTOMIZATION = Kind("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
RESOURCESET = Kind("fluxcd.controlplane.io/v1", "ResourceSet")
LINK = Kind("multicluster.linkerd.io/v1alpha3", "Link")
HTTPROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute")
CRD = Kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")

BY_NAME = {kind.kind: kind for kind in (DEPLOYMENT, STATEFULSET, CRONJOB, JOB, SERVICE, PVC, PV, CONFIGMAP)}

MIRRORED = "mirror.linkerd.io/mirrored-service"
MIRROR_OF = "mirror.linkerd.io/cluster-name"
EXPORTED = "mirror.linkerd.io/exported"
FLUX_OWNER = "kustomize.toolkit.fluxcd.io/name"
FLUX_RECONCILE = "kustomize.toolkit.fluxcd.io/reconcile"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
EPOCH = "bennu.io/epoch"


def name_of(obj: Json) -> str:
    """``metadata.name``."""
    return str(obj.get("metadata", {}).get("name", ""))


def namespace_of(obj: Json) -> str:
    """``metadata.namespace``, empty for cluster-scoped objects."""
    return str(obj.get("metadata", {}).get("namespace", ""))


def ref_of(obj: Json) -> Ref:
    """The reference of a whole object."""
    return Ref(Kind(str(obj.get("apiVersion", "")), str(obj.get("kind", ""))), name_of(obj), namespace_of(obj))


def labels_of(obj: Json) -> dict[str, str]:
    """``metadata.labels``, never None."""
    return dict(obj.get("metadata", {}).get("labels") or {})


def annotations_of(obj: Json) -> dict[str, str]:
    """``metadata.annotations``, never None."""
    return dict(obj.get("metadata", {}).get("annotations") or {})


def condition(obj: Json, kind: str) -> tuple[str, str]:
    """(status, message) of a condition; empty strings where there is none."""
    for found in obj.get("status", {}).get("conditions") or []:
        if found.get("type") == kind:
            return str(found.get("status", "")), str(found.get("message", ""))
    return "", ""


def available(obj: Json) -> int:
    """Available replicas of a Deployment or StatefulSet."""
    status = obj.get("status", {})
    return int(status.get("availableReplicas") or status.get("readyReplicas") or 0)


def wanted(obj: Json) -> int:
    """Wanted replicas (Kubernetes' default is 1)."""
    replicas = obj.get("spec", {}).get("replicas")
    return 1 if replicas is None else int(replicas)
