"""Linkerd's Link (multicluster.linkerd.io/v1alpha3) and its credentials, in the real schema (facts.md): all spec fields are strings, and without a selector nothing is mirrored."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bennu.manifests.yaml_write import dumped

ACCOUNT = "linkerd-service-mirror-remote-access-default"
_EXPORTED = {"matchLabels": {"mirror.linkerd.io/exported": "true"}}


@dataclass(frozen=True)
class LinkSpec:
    """One direction. ``name`` is the exporting cluster's; ports and periods are strings, as the CRD has them."""

    name: str
    namespace: str
    gateway_address: str
    gateway_port: str
    probe_port: str
    probe_period: str
    trust_domain: str = "cluster.local"


def manifest(spec: LinkSpec) -> str:
    """The Link as YAML."""
    identity = f"linkerd-gateway.{spec.namespace}.serviceaccount.identity.linkerd.{spec.trust_domain}"
    return dumped(
        {
            "apiVersion": "multicluster.linkerd.io/v1alpha3",
            "kind": "Link",
            "metadata": {"name": spec.name, "namespace": spec.namespace},
            "spec": {
                "clusterCredentialsSecret": f"cluster-credentials-{spec.name}",
                "gatewayAddress": spec.gateway_address,
                "gatewayIdentity": identity,
                "gatewayPort": spec.gateway_port,
                "probeSpec": {"failureThreshold": "3", "path": "/ready", "period": spec.probe_period, "port": spec.probe_port, "timeout": "30s"},
                "selector": _EXPORTED,
                "remoteDiscoverySelector": {"matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}},
                "federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "member"}},
                "targetClusterDomain": spec.trust_domain,
                "targetClusterLinkerdNamespace": "linkerd",
                "targetClusterName": spec.name,
            },
        }
    )


def peer_kubeconfig(name: str, server: str, authority_pem: str, token: str) -> str:
    """A kubeconfig for the mirror controller. Holds a token: straight to the cluster, never into Git."""
    cluster: dict[str, str] = {"server": server}
    if authority_pem:
        cluster["certificate-authority-data"] = base64.b64encode(authority_pem.encode()).decode()
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": "remote-cluster", "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": "remote-cluster"}}],
            "current-context": name,
        }
    )


def credentials(name: str, multicluster: str, mesh: str, kubeconfig: str) -> tuple[Mapping[str, Any], ...]:
    """The two Secrets of facts.md: for the service mirror, and, labelled, for the control plane's destination controller. Objects, not text: they never reach Git."""
    first = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"cluster-credentials-{name}", "namespace": multicluster},
        "type": "mirror.linkerd.io/remote-kubeconfig",
        "stringData": {"kubeconfig": kubeconfig},
    }
    second = {
        **first,
        "metadata": {
            "name": f"cluster-credentials-{name}",
            "namespace": mesh,
            "labels": {"multicluster.linkerd.io/cluster-name": name},
            "annotations": {"multicluster.linkerd.io/trust-domain": "cluster.local", "multicluster.linkerd.io/cluster-domain": "cluster.local"},
        },
    }
    return first, second
