"""What is in a cluster before anybody has written to it: namespaces, the API's own Service, the roles that others bind to."""

from __future__ import annotations

from bennu.lab.kubeapi.problems import Obj
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.requests import Target, WriteOptions
from bennu.lab.kubeapi.writer import Writer

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_NAMESPACED_GROUPS = ["", "apps", "batch", "networking.k8s.io", "policy", "discovery.k8s.io", "coordination.k8s.io"]
_RBAC = "rbac.authorization.k8s.io"
_OPTIONS = WriteOptions("kube-apiserver")


def _role(name: str, rules: list[Obj]) -> Obj:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "rules": rules,
    }


def _objects() -> list[Obj]:
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    binding: Obj = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "cluster-admin", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "system:masters"}],
    }
    service: Obj = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443, "targetPort": 6443}]},
    }
    visible = ["pods", "pods/log", "services", "endpoints", "configmaps", "events", "persistentvolumeclaims", "serviceaccounts", "namespaces"]
    return [
        _role("cluster-admin", everything),
        _role("admin", [{"apiGroups": [*_NAMESPACED_GROUPS, _RBAC], "resources": ["*"], "verbs": _WRITE}]),
        _role("edit", [{"apiGroups": _NAMESPACED_GROUPS, "resources": ["*"], "verbs": _WRITE}]),
        _role("view", [{"apiGroups": [""], "resources": visible, "verbs": _READ}, {"apiGroups": _NAMESPACED_GROUPS[1:], "resources": ["*"], "verbs": _READ}]),
        binding,
        service,
    ]


def furnish(registry: Registry, writer: Writer, uid: str) -> None:
    """Write it all; *uid* is kube-system's."""
    for name in ("kube-system", "default", "kube-public", "kube-node-lease"):
        _create(registry, writer, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, uid if name == "kube-system" else "")
    for obj in _objects():
        _create(registry, writer, obj, "")


def _create(registry: Registry, writer: Writer, obj: Obj, uid: str) -> None:
    resource = registry.of_kind(obj["apiVersion"], obj["kind"])
    if resource is None:
        raise LookupError(f"{obj['kind']} is not a built-in kind")
    namespace = obj["metadata"].get("namespace", "") if resource.namespaced else ""
    writer.create(Target(resource, namespace, obj["metadata"]["name"], "", "create"), obj, _OPTIONS, uid=uid)
