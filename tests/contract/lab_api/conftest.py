"""A lab API server of the test's own: its CA, its certificate, a free port, and the ways to talk to it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import shutil
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bennu.lab.kubeapi.cluster import Cluster, ClusterSettings
from bennu.lab.kubeapi.server import CLUSTER, listening, make_app, tls_of

UID = "7f6a0a52-5a3f-4a63-8a3d-2f9a4c1d0b11"
TOKEN = "admin-token-of-a-test"


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
    root.joinpath("ca.crt").write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    root.joinpath("server.crt").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root.joinpath("server.key").write_bytes(private)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; ``body`` is the parsed JSON (or text)."""

    code: int
    body: Any
    headers: dict[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Api:
    """A running server. ``cluster`` is its inside, for what no client can see (how much its logs remember)."""

    url: str
    root: Path
    cluster: Cluster
    loop: asyncio.AbstractEventLoop
    token: str = TOKEN

    @property
    def ca(self) -> Path:
        return self.root / "ca.crt"

    def kubeconfig(self, token: str = "") -> Path:
        path = self.root / f"kubeconfig-{abs(hash(token))}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}],
            "users": [{"name": "lab", "user": {"token": token or self.token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": "default"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def call(self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", token: str | None = None, accept: str = "") -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        shown = self.token if token is None else token
        if shown:
            request.add_header("Authorization", f"Bearer {shown}")
        if data is not None:
            request.add_header("Content-Type", content_type)
        if accept:
            request.add_header("Accept", accept)
        context = ssl.create_default_context(cafile=str(self.ca))
        try:
            with urllib.request.urlopen(request, context=context, timeout=10) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as refused:
            return _answer(refused.code, refused.read(), refused.headers)

    def apply(self, path: str, body: Any, manager: str, *, force: bool = False, query: str = "") -> Answer:
        flags = f"?fieldManager={manager}&force={str(force).lower()}{query}"
        return self.call("PATCH", path + flags, body, content_type="application/apply-patch+yaml")

    def watch(self, path: str) -> Any:
        """An open watch: a response to read lines from; close it."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        return urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(self.ca)), timeout=10)


def _answer(code: int, raw: bytes, headers: Any) -> Answer:
    try:
        body: Any = json.loads(raw)
    except ValueError:
        body = raw.decode()
    return Answer(code, body, dict(headers.items()), tuple(headers.get_all("Warning") or ()))


def _serve(root: Path) -> Iterator[Api]:
    _certificates(root)
    app = make_app(ClusterSettings(uid=UID, admin_token=TOKEN, ca_bundle=(root / "ca.crt").read_bytes()))
    loop, up = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []
    stopped = asyncio.Event()

    async def serve() -> None:
        async with listening(app, tls_of(root / "server.crt", root / "server.key")) as port:
            ports.append(port)
            up.set()
            await stopped.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(10), "the API server did not start"
    yield Api(f"https://127.0.0.1:{ports[0]}", root, app[CLUSTER], loop)
    loop.call_soon_threadsafe(stopped.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A server of this test alone."""
    yield from _serve(tmp_path)


@dataclass(frozen=True)
class Kubectl:
    """The real kubectl against a test's server."""

    api: Api
    binary: str

    def run(self, *arguments: str, stdin: str = "", token: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        home = self.api.root / "home"
        home.mkdir(exist_ok=True)
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(self.api.kubeconfig(token)), **environment}
        return subprocess.run([self.binary, *arguments], input=stdin, capture_output=True, text=True, timeout=40, env=env, check=False)

    def __call__(self, *arguments: str, stdin: str = "", token: str = "", **environment: str) -> str:
        """Run it; its output. Fails the test if kubectl does not succeed."""
        done = self.run(*arguments, stdin=stdin, token=token, **environment)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout


@pytest.fixture
def kubectl(api: Api) -> Kubectl:
    """kubectl, if it is installed."""
    binary = shutil.which("kubectl")
    if binary is None:
        pytest.skip("kubectl is not installed")
    return Kubectl(api, binary)
