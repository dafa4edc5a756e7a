"""Objects that the tests apply."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
SHOP = "shop"


def deployment(name: str, *args: str, replicas: int = 1, image: str = "bennu.lab/pause", port: int | None = 8080, **spec: Any) -> Json:
    container: Json = {"name": name, "image": image, "args": list(args)}
    if port:
        container["ports"] = [{"containerPort": port}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
    }


def service(name: str, port: int, *, exported: bool = False, target: int = 8080, kind: str = "ClusterIP") -> Json:
    labels = {"mirror.linkerd.io/exported": "true"} if exported else {}
    spec = {"type": kind, "selector": {"app": name}, "ports": [{"name": "tcp", "port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": SHOP, "labels": labels}, "spec": spec}


def redis(**spec: Any) -> Json:
    container = {
        "name": "redis",
        "image": "valkey/valkey:9.0",
        "args": ["valkey-server", "--dir", "/data", "--appendonly", "yes", "--save", "", "--repl-diskless-sync-delay", "0"],
        "ports": [{"name": "redis", "containerPort": 6379}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "redis", "namespace": SHOP},
        "spec": {
            "replicas": 1,
            "serviceName": "redis",
            "selector": {"matchLabels": {"app": "redis"}},
            "template": {"metadata": {"labels": {"app": "redis"}}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
            **spec,
        },
    }


def cronjob(*args: str, suspend: bool = False, every: str = "300ms") -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "batch", "image": "bennu.lab/pause", "args": list(args)}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "settlement", "namespace": SHOP, "annotations": {"lab.bennu.io/every": every}},
        "spec": {"schedule": "* * * * *", "suspend": suspend, "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": {"spec": pod}}}},
    }


def job(*args: str, **spec: Any) -> Json:
    pod = {"restartPolicy": "Never", "containers": [{"name": "once", "image": "bennu.lab/pause", "args": list(args)}]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": SHOP}, "spec": {"template": {"spec": pod}, **spec}}


LINK_CRD: Json = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "links.multicluster.linkerd.io"},
    "spec": {
        "group": "multicluster.linkerd.io",
        "scope": "Namespaced",
        "names": {"kind": "Link", "plural": "links", "singular": "link", "listKind": "LinkList"},
        "versions": [
            {
                "name": "v1alpha3",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}
