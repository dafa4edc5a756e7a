"""Lab clusters of a test's own: a real API server over TLS, the node's controllers beside it, and real child processes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bennu.lab.client import ApiClient
from bennu.lab.controllers import cronjobs, gateway, kubelet, mirror, network, workloads
from bennu.lab.controllers.network_informers import Informer, Watched, following
from bennu.lab.controllers.runtime import ControllerContext, Registry
from bennu.lab.kubeapi.cluster import ClusterSettings
from bennu.lab.kubeapi.server import listening, make_app, tls_of
from bennu.lab.places import ClusterDir, ClusterFacts

Json = dict[str, Any]
DEADLINE = 20.0
TOKEN = "a-test's-admin"


@dataclass(frozen=True)
class LabCluster:
    """A running cluster: its directory, the admin's client."""

    directory: ClusterDir
    client: ApiClient
    url: str
    metrics: Registry

    def kubeconfig(self) -> str:
        ca = base64.b64encode((self.directory.root / "ca.crt").read_bytes()).decode()
        config = {
            "current-context": "a",
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
            "clusters": [{"name": "a", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": "a", "user": {"token": TOKEN}}],
        }
        return json.dumps(config)

    async def namespace(self, name: str) -> None:
        await self.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    async def until(self, api_version: str, kind: str, wanted: Callable[[dict[tuple[str, str], Json]], Any]) -> Any:
        """Wait until *wanted* says something true of the objects of a kind; returns it."""
        informer = Informer(self.client, Watched(api_version, kind))
        async with following([informer]) as changed:
            while True:
                changed.clear()
                found = wanted({(str(o["metadata"].get("namespace", "")), str(o["metadata"]["name"])): o for o in informer})
                if found:
                    return found
                try:
                    await asyncio.wait_for(changed.wait(), DEADLINE)
                except TimeoutError:
                    raise AssertionError(f"{kind} did not become so; last seen: {json.dumps(list(informer), indent=1)[:6000]}") from None


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]


@contextlib.asynccontextmanager
async def lab_cluster(lab: Path, colour: str, *, only: Iterable[Any] = ()) -> AsyncIterator[LabCluster]:
    """A cluster under the lab directory *lab*, with its API and (only some of) the node's controllers; all gone at the end."""
    root = lab / "clusters" / colour
    root.mkdir(parents=True)
    _certificates(root)
    app = make_app(ClusterSettings(uid=f"uid-{colour}", admin_token=TOKEN, ca_bundle=(root / "ca.crt").read_bytes()))
    async with listening(app, tls_of(root / "server.crt", root / "server.key")) as port:
        directory = _described(root, colour, port)
        async with ApiClient.of(directory) as client:
            context = ControllerContext(directory, client, asyncio.Event())
            async with controllers(context, list(only) or [workloads, cronjobs, kubelet, network, mirror, gateway]):
                yield LabCluster(directory, client, f"https://127.0.0.1:{port}", context.metrics)


@contextlib.asynccontextmanager
async def controllers(context: ControllerContext, modules: Iterable[Any]) -> AsyncIterator[None]:
    """The controllers run while the context is open."""
    tasks = [asyncio.create_task(m.run(context)) for m in modules]
    try:
        yield
    finally:
        context.stop.set()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def _described(root: Path, colour: str, port: int) -> ClusterDir:
    gateway_port, probe_port, metrics_port = free_ports(3)
    (root / "token").write_text(TOKEN)
    facts = ClusterFacts(
        colour=colour,
        group="prod/us-east-1",
        api_url=f"https://127.0.0.1:{port}",
        ca_file=str(root / "ca.crt"),
        token_file=str(root / "token"),
        uid=f"uid-{colour}",
        gateway_port=gateway_port,
        gateway_probe_port=probe_port,
        metrics_port=metrics_port,
        lb_host=f"ingress-{colour}.lab.test",
        volumes=str(root / "volumes"),
    )
    directory = ClusterDir(root)
    directory.save(facts)
    return directory


def _certificates(root: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's CA")])

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(public).serial_number(x509.random_serial_number())
        return made.not_valid_before(now - datetime.timedelta(minutes=5)).not_valid_after(now + datetime.timedelta(days=1))

    ca = builder(issuer, ca_key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]), key.public_key()).add_extension(names, critical=False)
    (root / "ca.crt").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (root / "server.crt").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (root / "server.key").write_bytes(private)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's story, bounded."""

    async def bounded() -> None:
        await asyncio.wait_for(story(), 3 * DEADLINE)

    asyncio.run(bounded())


async def eventually(ask: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so; for what no watch tells of."""

    async def asking() -> None:
        while not await ask():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.03)

    await asyncio.wait_for(asking(), DEADLINE)
