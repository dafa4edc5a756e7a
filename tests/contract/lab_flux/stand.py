"""A Git remote over HTTP, a cluster with Flux' controllers, and the ways to commit and to look."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from bennu.lab.client import ApiClient
from bennu.lab.controllers import flux_kustomize, flux_source, resourceset
from bennu.lab.fleet_files import git
from bennu.lab.places import LabDir, LabFacts
from bennu.lab.shared import git_http
from tests.contract.lab_node.clusters import LabCluster, free_ports, lab_cluster

Json = dict[str, Any]
NAMESPACE = "flux-system"
SOURCE = ("source.toolkit.fluxcd.io/v1", "GitRepository")
KUSTOMIZATION = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
RESOURCESET = ("fluxcd.controlplane.io/v1", "ResourceSet")
PASSWORD = "a-test's-password"


async def with_crds(client: ApiClient) -> None:
    """The lab's own CRDs, as S2 applies them."""
    folder = resources.files("bennu.lab") / "fleet" / "catalogs" / "infrastructure" / "crds"
    for file in folder.iterdir():
        for obj in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            await client.apply(obj, "test")


@dataclass
class Stand:
    """The remote and the cluster."""

    cluster: LabCluster
    lab: LabDir
    url: str
    checkout: Path
    tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def client(self) -> ApiClient:
        return self.cluster.client

    async def commit(self, files: Mapping[str, str | None]) -> str:
        """Write (None: remove) files, commit, push; the revision as Flux tells it."""
        for name, text in files.items():
            path = self.checkout / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        return await asyncio.to_thread(self._pushed)

    def _pushed(self) -> str:
        git(self.checkout, "add", "--all")
        git(self.checkout, "commit", "--quiet", "--allow-empty", "-m", "A change")
        git(self.checkout, "push", "--quiet", "origin", "main")
        return f"main@sha1:{git(self.checkout, 'rev-parse', 'HEAD').strip()}"

    async def source(self, name: str = "fleet", **spec: Any) -> None:
        await self.put(SOURCE, name, {"url": self.url, "interval": "1h", "ref": {"branch": "main"}, "secretRef": {"name": "git"}, **spec})

    async def kustomization(self, name: str = "apps", **spec: Any) -> None:
        base = {"interval": "1h", "prune": True, "path": "./apps", "sourceRef": {"kind": "GitRepository", "name": "fleet"}}
        await self.put(KUSTOMIZATION, name, {**base, **spec})

    async def put(self, kind: tuple[str, str], name: str, spec: Json) -> None:
        await self.client.apply({"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}, "test")

    async def changed(self, kind: tuple[str, str], name: str, change: Json) -> None:
        await self.client.patch(self.ref(kind, name), change)

    async def asked(self, kind: tuple[str, str], name: str) -> str:
        """requestedAt with a new token; the token."""
        token = f"token-{next(self.tokens)}"
        await self.changed(kind, name, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}})
        return token

    async def handled(self, kind: tuple[str, str], name: str) -> Json:
        """Ask for a reconciliation and wait for it: the object."""
        token = await self.asked(kind, name)
        return await self.until(kind, name, lambda status: status.get("lastHandledReconcileAt") == token)

    async def synchronised(self, revision: str, name: str = "apps", source: str = "fleet") -> Json:
        """Hurry the source, and wait until the Kustomization has tried the revision and come to an end: the object."""
        await self.handled(SOURCE, source)
        return await self.until(KUSTOMIZATION, name, lambda status: status.get("lastAttemptedRevision") == revision and ready(status) in ("True", "False"))

    async def until(self, kind: tuple[str, str], name: str, wanted: Callable[[Json], Any]) -> Json:
        """The object, once its status is so."""

        def found(objects: Mapping[tuple[str, str], Json]) -> Json | None:
            one = objects.get((NAMESPACE, name))
            return one if one is not None and wanted(one.get("status") or {}) else None

        got: Json = await self.cluster.until(*kind, found)
        return got

    async def config(self, name: str, namespace: str = "shop") -> Json | None:
        """A ConfigMap's data, None where it isn't there."""
        found = await self.client.find("v1", "ConfigMap", name, namespace)
        return None if found is None else dict(found.get("data") or {})

    @staticmethod
    def ref(kind: tuple[str, str], name: str, namespace: str = NAMESPACE) -> Json:
        return {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": name, "namespace": namespace}}


def conditions(of: Json) -> dict[str, tuple[str, str]]:
    """type → (status, reason), of an object or a status."""
    return {one["type"]: (one["status"], one["reason"]) for one in (of.get("status", of).get("conditions") or [])}


def message(of: Json, kind: str = "Ready") -> str:
    return next(str(one["message"]) for one in of["status"]["conditions"] if one["type"] == kind)


def ready(status: Json) -> str:
    return conditions(status).get("Ready", ("", ""))[0]


def configmap(name: str, namespace: str = "shop", **data: str) -> str:
    """A manifest."""
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data})


@contextlib.asynccontextmanager
async def stand(root: Path) -> AsyncIterator[Stand]:
    """One commit with ``apps/a.yaml`` (ConfigMap shop/a, k: v1); a source that is not applied yet."""
    lab = LabDir(root)
    (port,) = free_ports(1)
    lab.save(LabFacts("test", "2026-01-01T00:00:00+00:00", {"git": port}))
    (root / "git-password").write_text(f"{PASSWORD}\n")
    bare, checkout = root / "git" / "fleet.git", root / "checkout"
    checkout.mkdir()
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(checkout, "init", "--quiet", "--initial-branch=main")
    git(checkout, "remote", "add", "origin", str(bare))
    runner = web.AppRunner(git_http.app(lab), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with lab_cluster(root, "blue", only=[flux_source, flux_kustomize, resourceset]) as cluster:
            await with_crds(cluster.client)
            for namespace in (NAMESPACE, "shop"):
                await cluster.namespace(namespace)
            data = {"username": base64.b64encode(b"lab").decode(), "password": base64.b64encode(PASSWORD.encode()).decode()}
            await cluster.client.create({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git", "namespace": NAMESPACE}, "data": data})
            made = Stand(cluster, lab, f"http://127.0.0.1:{port}/fleet.git", checkout)
            await made.commit({"apps/a.yaml": configmap("a", k="v1")})
            yield made
    finally:
        await runner.cleanup()
