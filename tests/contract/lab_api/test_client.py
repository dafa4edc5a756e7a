"""The controllers' client against a real server: its verbs, and a watch that survives what servers do."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bennu.errors import DependencyDown
from bennu.lab.client import Access, ApiClient, ApiError
from bennu.lab.kubeapi.cluster import ClusterSettings
from bennu.lab.kubeapi.server import listening, make_app, tls_of

Event = tuple[str, dict[str, Any]]


def client(api: Any) -> ApiClient:
    return ApiClient(Access(api.url, api.token, api.ca.read_text()))


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


async def taken(events: AsyncIterator[Event], count: int) -> list[tuple[str, str]]:
    found = [await asyncio.wait_for(anext(events), 10) for _ in range(count)]
    return [(name, obj["metadata"]["name"]) for name, obj in found]


def test_its_verbs_do_what_they_say(api: Any) -> None:
    async def story() -> None:
        async with client(api) as kube:
            assert (await kube.create(config_map("a", k="1")))["data"] == {"k": "1"}
            with pytest.raises(ApiError) as refused:
                await kube.create(config_map("a"))
            assert (refused.value.code, refused.value.reason) == (409, "AlreadyExists")
            assert (await kube.patch(config_map("a"), {"data": {"k": "2"}}))["data"] == {"k": "2"}
            assert (await kube.apply(config_map("a", k="3"), "me"))["data"] == {"k": "3"}
            with pytest.raises(ApiError):
                await kube.apply(config_map("a", k="4"), "another", force=False)
            listed = await kube.list("v1", "ConfigMap", "default")
            assert {(item["kind"], item["metadata"]["name"]) for item in listed} == {("ConfigMap", "a"), ("ConfigMap", "kube-root-ca.crt")}
            found = await kube.find("v1", "ConfigMap", "a", "default")
            assert found is not None
            assert await kube.delete(found) is True
            assert await kube.delete(found) is False
            assert await kube.find("v1", "ConfigMap", "a", "default") is None
            assert await kube.find("no.such/v1", "Thing", "a") is None
            assert "default" in [item["metadata"]["name"] for item in await kube.list("v1", "Namespace")]
            assert await kube.list("networking.k8s.io/v1", "NetworkPolicy") == []

    asyncio.run(story())


def test_a_kubeconfig_is_enough_to_reach_a_server(api: Any) -> None:
    config = json.loads(api.kubeconfig().read_text())
    config["clusters"][0]["cluster"] = {"server": api.url, "certificate-authority-data": base64.b64encode(api.ca.read_bytes()).decode()}

    async def story() -> None:
        async with ApiClient.from_kubeconfig(json.dumps(config)) as kube:
            assert await kube.get("/api/v1/namespaces/default") is not None

    asyncio.run(story())
    with pytest.raises(ValueError, match="lacks"):
        ApiClient.from_kubeconfig("contexts: []")


def test_a_server_that_is_not_there_is_a_dependency_that_is_down(api: Any) -> None:
    async def story() -> None:
        async with ApiClient(Access("https://127.0.0.1:1", "t", api.ca.read_text())) as kube:
            with pytest.raises(DependencyDown):
                await kube.get("/version")

    asyncio.run(story())


def test_a_watch_tells_what_exists_and_then_each_change(api: Any) -> None:
    async def story() -> None:
        async with client(api) as kube, aclosing(kube.watch("v1", "ConfigMap", "default")) as events:
            await kube.create(config_map("a"))
            assert await taken(events, 2) == [("ADDED", "a"), ("ADDED", "kube-root-ca.crt")]
            await kube.patch(config_map("a"), {"data": {"k": "1"}})
            await kube.delete(config_map("a"))
            assert await taken(events, 2) == [("MODIFIED", "a"), ("DELETED", "a")]

    asyncio.run(story())


def test_a_kind_that_is_not_served_yet_is_waited_for(api: Any) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"plural": "things", "kind": "Thing"}
    spec = {
        "group": "lab.test",
        "scope": "Cluster",
        "names": names,
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
    }
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.lab.test"}, "spec": spec}

    async def story() -> None:
        async with client(api) as kube, aclosing(kube.watch("lab.test/v1", "Thing")) as events:
            first = asyncio.ensure_future(taken(events, 1))
            await kube.create(crd)
            await kube.create({"apiVersion": "lab.test/v1", "kind": "Thing", "metadata": {"name": "t"}})
            assert await first == [("ADDED", "t")]

    asyncio.run(story())


def test_a_restarted_server_is_listed_again_and_losses_are_told(api: Any, tmp_path: Path) -> None:
    """Also shows that a version from before the restart is refused: the new server starts with a higher one."""

    def fresh() -> Any:
        return make_app(ClusterSettings(uid="u", admin_token=api.token, ca_bundle=api.ca.read_bytes()))

    async def story() -> None:
        tls = tls_of(tmp_path / "server.crt", tmp_path / "server.key")
        async with listening(fresh(), tls) as port:
            kube = ApiClient(Access(f"https://127.0.0.1:{port}", api.token, api.ca.read_text()))
            await kube.create(config_map("lost"))
            events = kube.watch("v1", "ConfigMap", "default")
            assert await taken(events, 2) == [("ADDED", "kube-root-ca.crt"), ("ADDED", "lost")]
        async with listening(fresh(), tls, port):
            await kube.create(config_map("new"))
            told = await taken(events, 4)
            assert sorted(told) == [("ADDED", "kube-root-ca.crt"), ("ADDED", "new"), ("DELETED", "kube-root-ca.crt"), ("DELETED", "lost")]
            await events.aclose()
            await kube.close()

    asyncio.run(story())
