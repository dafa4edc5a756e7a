"""The clusters that the contract is asked of: the lab's API server over its real socket, and the one in memory."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bennu.adapters.kubernetes import KubernetesApi
from bennu.lab.kubeapi.cluster import ClusterSettings
from bennu.lab.kubeapi.server import listening, make_app, tls_of
from bennu.ports.kubernetes import Kubernetes
from tests.contract.kubernetes import configs
from tests.contract.kubernetes.pki import Authority
from tests.sim.memory_kubernetes import MemoryKubernetes

UID = "0b7f2f0e-5a5a-4c57-9d3f-0d8a3a1a0001"
TOKEN = "lab-admin-token"


class Cluster(Protocol):
    """An API, and where a pod's port really listens."""

    @property
    def api(self) -> Kubernetes: ...
    def expose(self, pod: str, port: int, real: int) -> None:
        """A pod in namespace ``default`` whose *port* listens on *real*."""


@dataclass(frozen=True)
class MemoryCluster:
    api: MemoryKubernetes

    def expose(self, pod: str, port: int, real: int) -> None:
        self.api.addresses[("default", pod, port)] = ("127.0.0.1", real)


@dataclass(frozen=True)
class LabCluster:
    """``url`` and ``authority``: for a kubeconfig of one's own."""

    api: KubernetesApi
    url: str
    authority: Authority

    def expose(self, pod: str, port: int, real: int) -> None:
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod, "namespace": "default", "annotations": {f"lab.bennu.io/port.{port}": str(real)}},
                "spec": {"containers": [{"name": "main", "image": "example/echo:1", "ports": [{"containerPort": port}]}]},
            }
        )


@contextmanager
def lab(folder: Path, authority: Authority) -> Iterator[LabCluster]:
    """The lab's API server in a thread of this process, reached over TLS."""
    pair = authority.server("127.0.0.1", "localhost", "api.internal")
    (folder / "server.crt").write_text(pair.certificate)
    (folder / "server.key").write_text(pair.key)
    app = make_app(ClusterSettings(UID, TOKEN, authority.pem.encode()))
    loop = asyncio.new_event_loop()
    stopped, started = asyncio.Event(), threading.Event()
    ports: list[int] = []

    async def serve() -> None:
        async with listening(app, tls_of(folder / "server.crt", folder / "server.key")) as port:
            ports.append(port)
            started.set()
            await stopped.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(20)
    try:
        url = f"https://127.0.0.1:{ports[0]}"
        path = configs.write(folder / "lab.kubeconfig", {"server": url, "certificate-authority-data": configs.encoded(authority.pem)}, {"token": TOKEN})
        yield LabCluster(KubernetesApi.of("lab-blue", [path]), url, authority)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)


@contextmanager
def echo() -> Iterator[int]:
    """A TCP server that sends back what it gets; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = [listener]

    def answer(client: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)
        client.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                opened.append(client)
                threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        for one in opened:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
