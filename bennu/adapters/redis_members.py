"""Which servers a group's Redis has in one cluster: the pods behind its Service, ready or not, and every pod of their workload.

Read in the background about once a second, so that an API server that is slow or gone never holds up who asks the servers themselves: then the last list stands.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from ipaddress import ip_address

from bennu.errors import BennuError, GateRefused
from bennu.ports.kubernetes import Json, Kind, Kubernetes, Ref
from bennu.ports.redis import Address

_ENDPOINTS = Kind("v1", "Endpoints")
_SERVICE = Kind("v1", "Service")
_POD = Kind("v1", "Pod")
_FRESH_S = 1.0
# A right that was refused is not asked for twice a second.
_REFUSED_S = 30.0

Ways = Mapping[str, Callable[[], Address]]


def beside(fixed: Callable[[], Address], pods: Callable[[], Ways]) -> Callable[[], Ways]:
    """One address by settings, under the empty name, and the pods as far as the API shows them: what stands behind the address may be one of them, or none."""
    return lambda: {"": fixed, **pods()}


class Members:
    """Pod name → the way to it. *forward*: through the API server's port-forward to this port; None = straight to the pod's address."""

    def __init__(self, cluster: Kubernetes, namespace: str, service: str, forward: int | None) -> None:
        self._cluster, self._namespace, self._service, self._forward = cluster, namespace, service, forward
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._reading: threading.Thread | None = None
        self._ways: Ways = {}
        self._tunnels: dict[str, _Tunnel] = {}
        self._owners: set[tuple[str, str]] = set()

    def __call__(self) -> Ways:
        """The last list; a newer one is fetched beside it. Only the first call waits."""
        with self._lock:
            if self._reading is None and time.monotonic() - self._read_at >= _FRESH_S:
                self._reading = threading.Thread(target=self._read, name="bennu-redis-members", daemon=True)
                self._reading.start()
            first = self._reading if not self._read_at else None
        if first is not None:
            first.join()
        return self._ways

    def _read(self) -> None:
        try:
            with suppress(BennuError):  # what cannot be listed now is asked for again; the last list stands
                self._ways = self._listed()
        finally:
            with self._lock:
                self._read_at, self._reading = time.monotonic(), None

    def _listed(self) -> Ways:
        direct = self._addresses()
        pods = self._pods(set(direct))
        if self._forward is None:
            return direct | {name: _fixed(address) for name, address in pods.items() if name not in direct and address is not None}
        names = {*direct, *pods} - {""}
        for gone in self._tunnels.keys() - names:
            self._tunnels.pop(gone).close()
        for name in names - self._tunnels.keys():
            self._tunnels[name] = _Tunnel(self._cluster, self._namespace, name, self._forward)
        return dict(self._tunnels)

    def _addresses(self) -> dict[str, Callable[[], Address]]:
        """By the Service's Endpoints. One that is not ready accepts writes all the same."""
        found: Json = self._cluster.get(Ref(_ENDPOINTS, self._service, self._namespace)) or {}
        ways: dict[str, Callable[[], Address]] = {}
        for subset in found.get("subsets") or []:
            if not subset.get("ports"):
                continue
            for address in [*(subset.get("addresses") or []), *(subset.get("notReadyAddresses") or [])]:
                pod = str((address.get("targetRef") or {}).get("name", address["ip"]))
                ways[pod] = _fixed(Address(str(address["ip"]), int(subset["ports"][0]["port"])))
        return ways

    def _pods(self, behind: set[str]) -> dict[str, Address | None]:
        """By the Service's selector and by who owns what it selects: a Service may select the master's label alone. Empty where pods may not be listed."""
        try:
            service: Json = self._cluster.get(Ref(_SERVICE, self._service, self._namespace)) or {}
            pods = self._cluster.list(_POD, namespace=self._namespace)
        except BennuError:
            return {}
        spec = service.get("spec", {})
        selector = (spec.get("selector") or {}).items()
        chosen = [pod for pod in pods if pod["metadata"]["name"] in behind or (selector and selector <= (pod["metadata"].get("labels") or {}).items())]
        self._owners |= {owner for pod in chosen for owner in _owners(pod)}
        wanted = {str(pod["metadata"]["name"]): pod for pod in [*chosen, *(pod for pod in pods if self._owners & set(_owners(pod)))]}
        return {name: _address(pod, spec) for name, pod in wanted.items() if pod.get("status", {}).get("phase") == "Running"}


def _owners(pod: Json) -> list[tuple[str, str]]:
    return [(str(owner["kind"]), str(owner["name"])) for owner in pod["metadata"].get("ownerReferences") or [] if owner.get("controller")]


def _address(pod: Json, service: Json) -> Address | None:
    """The pod's own address at the Service's first target port; a port by name is looked up in the pod."""
    ports = service.get("ports") or [{}]
    port = ports[0].get("targetPort", ports[0].get("port"))
    if isinstance(port, str):
        named = (one for container in pod["spec"].get("containers") or [] for one in container.get("ports") or [])
        port = next((one["containerPort"] for one in named if one.get("name") == port), None)
    ip = str(pod.get("status", {}).get("podIP", ""))
    # An address of the loopback is this machine's, not the pod's: whatever answers there is somebody else's server.
    return Address(ip, int(port)) if ip and port and not ip_address(ip).is_loopback else None


def _fixed(address: Address) -> Callable[[], Address]:
    return lambda: address


class _Tunnel:
    """A port-forward to one pod, opened when it is first needed."""

    def __init__(self, cluster: Kubernetes, namespace: str, pod: str, port: int) -> None:
        self._cluster, self._namespace, self._pod, self._port = cluster, namespace, pod, port
        self._stack = ExitStack()
        self._address: Address | None = None
        self._refused: tuple[float, GateRefused] | None = None

    def __call__(self) -> Address:
        if self._address is None:
            if self._refused is not None and time.monotonic() < self._refused[0]:
                raise self._refused[1]
            try:
                self._address = Address(*self._stack.enter_context(self._cluster.forwarded(self._namespace, self._pod, self._port)))
            except GateRefused as error:
                self._refused = time.monotonic() + _REFUSED_S, error
                raise
        return self._address

    def close(self) -> None:
        self._stack.close()
