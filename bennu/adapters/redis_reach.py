"""The way to a Redis from where Bennu runs: straight to the Service's ready endpoint, or through the API server's port-forward.

Asked anew for every connection, so that a pod that moved is found; a port-forward is kept while its pod lives.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import ExitStack

from bennu.errors import DependencyDown
from bennu.ports.kubernetes import Json, Kind, Kubernetes, Ref
from bennu.ports.redis import Address

_ENDPOINTS = Kind("v1", "Endpoints")
_SECRET = Kind("v1", "Secret")


def endpoint(cluster: Kubernetes, namespace: str, service: str) -> tuple[Address, str]:
    """(address, pod name) of the Service's first ready endpoint. Raises DependencyDown where none is ready."""
    found: Json = cluster.get(Ref(_ENDPOINTS, service, namespace)) or {}
    for subset in found.get("subsets") or []:
        for address in subset.get("addresses") or []:
            pod = str((address.get("targetRef") or {}).get("name", ""))
            return Address(str(address["ip"]), int(subset["ports"][0]["port"])), pod
    raise DependencyDown(
        f"Service {namespace}/{service} in {cluster.context} has no ready endpoint", next_step=f"kubectl --context {cluster.context} -n {namespace} get pods"
    )


def direct(cluster: Kubernetes, namespace: str, service: str) -> Callable[[], Address]:
    """Connect to the pod's own address: from inside the network, or where pods are routable."""
    return lambda: endpoint(cluster, namespace, service)[0]


class Forwarded:
    """Through the API server, to the Service's ready pod; opened again when the pod changes."""

    def __init__(self, cluster: Kubernetes, namespace: str, service: str, port: int) -> None:
        self._cluster, self._namespace, self._service, self._port = cluster, namespace, service, port
        self._stack = ExitStack()
        self._pod = ""
        self._address: Address | None = None

    def __call__(self) -> Address:
        """A local address that reaches the pod."""
        _, pod = endpoint(self._cluster, self._namespace, self._service)
        if pod != self._pod or self._address is None:
            self._stack.close()
            self._address = None  # closed, whatever becomes of the next one
            host, port = self._stack.enter_context(self._cluster.forwarded(self._namespace, pod, self._port))
            self._pod, self._address = pod, Address(host, port)
        return self._address


def secret_value(cluster: Kubernetes, where: str, key: str, setting: str) -> Callable[[], str]:
    """A value of Secret ``<namespace>/<name>``, read when it is needed and kept nowhere; *setting* names it in bennu.yaml. Raises DependencyDown where it is missing."""
    namespace, _, name = where.partition("/")

    def read() -> str:
        found = cluster.get(Ref(_SECRET, name, namespace))
        text = ((found or {}).get("data") or {}).get(key)
        if text is None:
            raise DependencyDown(f"Secret {where} in {cluster.context} has no key {key}", next_step=f"check {setting} in bennu.yaml")
        return base64.b64decode(text).decode()

    return read
