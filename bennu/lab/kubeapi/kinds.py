"""The kinds that every lab cluster serves from its start, as a table; CRDs add to it at run time (``registry``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bennu.lab.kubeapi.shapes import Shape

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class CustomVersion:
    """What a CRD says of one version: its shape, printer columns and the scale paths (empty: no scale subresource)."""

    shape: Shape
    columns: tuple[Mapping[str, Any], ...]
    scale: Mapping[str, str]
    storage_version: str


@dataclass(frozen=True)
class ResourceType:
    """One resource in one version, as discovery shows it. ``subresources`` holds names such as ``status`` and ``scale``."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = frozenset()
    verbs: tuple[str, ...] = ALL_VERBS
    generation: bool = False
    custom: CustomVersion | None = field(default=None, compare=False)
    singular_name: str = ""
    list_kind_name: str = ""

    @property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        """(group, plural): all versions of a resource share one storage."""
        return (self.group, self.plural)

    @property
    def singular(self) -> str:
        """What ``kubectl get deployment`` says."""
        return self.singular_name or self.kind.lower()

    @property
    def list_kind(self) -> str:
        """``PodList``."""
        return self.list_kind_name or self.kind + "List"


def _core(plural: str, kind: str, *short: str, **more: Any) -> ResourceType:
    return ResourceType("", "v1", plural, kind, short_names=short, **more)


_STATUS = frozenset({"status"})
_SCALED = frozenset({"status", "scale"})
_ALL = ("all",)
_APPS: dict[str, Any] = {"categories": _ALL, "generation": True}
_RBAC = "rbac.authorization.k8s.io"
_AUTHZ = "authorization.k8s.io"
_REVIEW: dict[str, Any] = {"namespaced": False, "verbs": ("create",)}

BUILT_IN: tuple[ResourceType, ...] = (
    _core("namespaces", "Namespace", "ns", namespaced=False, subresources=frozenset({"status", "finalize"})),
    _core("nodes", "Node", "no", namespaced=False, subresources=_STATUS),
    _core("pods", "Pod", "po", categories=_ALL, subresources=frozenset({"status", "log", "portforward", "eviction"}), generation=True),
    _core("services", "Service", "svc", categories=_ALL, subresources=_STATUS),
    _core("endpoints", "Endpoints", "ep"),
    _core("configmaps", "ConfigMap", "cm"),
    _core("secrets", "Secret"),
    _core("serviceaccounts", "ServiceAccount", "sa", subresources=frozenset({"token"})),
    _core("events", "Event", "ev"),
    _core("persistentvolumes", "PersistentVolume", "pv", namespaced=False, subresources=_STATUS),
    _core("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", subresources=_STATUS),
    _core("resourcequotas", "ResourceQuota", "quota", subresources=_STATUS),
    _core("limitranges", "LimitRange", "limits"),
    ResourceType("apps", "v1", "deployments", "Deployment", short_names=("deploy",), subresources=_SCALED, **_APPS),
    ResourceType("apps", "v1", "statefulsets", "StatefulSet", short_names=("sts",), subresources=_SCALED, **_APPS),
    ResourceType("apps", "v1", "daemonsets", "DaemonSet", short_names=("ds",), subresources=_STATUS, **_APPS),
    ResourceType("apps", "v1", "replicasets", "ReplicaSet", short_names=("rs",), subresources=_SCALED, **_APPS),
    ResourceType("apps", "v1", "controllerrevisions", "ControllerRevision"),
    ResourceType("batch", "v1", "jobs", "Job", subresources=_STATUS, **_APPS),
    ResourceType("batch", "v1", "cronjobs", "CronJob", short_names=("cj",), subresources=_STATUS, **_APPS),
    ResourceType("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short_names=("hpa",), categories=_ALL, subresources=_STATUS),
    ResourceType("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", generation=True),
    ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short_names=("pdb",), subresources=_STATUS, generation=True),
    ResourceType("coordination.k8s.io", "v1", "leases", "Lease"),
    ResourceType("networking.k8s.io", "v1", "ingresses", "Ingress", short_names=("ing",), subresources=_STATUS, generation=True),
    ResourceType("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False, generation=True),
    ResourceType("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short_names=("netpol",), generation=True),
    ResourceType("storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False, short_names=("sc",)),
    ResourceType("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False, short_names=("pc",), generation=True),
    ResourceType(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False),
    ResourceType(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    ResourceType(_RBAC, "v1", "roles", "Role"),
    ResourceType(_RBAC, "v1", "rolebindings", "RoleBinding"),
    ResourceType(_AUTHZ, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", **_REVIEW),
    ResourceType(_AUTHZ, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", **_REVIEW),
    ResourceType(_AUTHZ, "v1", "subjectaccessreviews", "SubjectAccessReview", **_REVIEW),
    ResourceType("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", **_REVIEW),
    ResourceType("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", **_REVIEW),
    ResourceType(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        subresources=_STATUS,
        generation=True,
    ),
)
