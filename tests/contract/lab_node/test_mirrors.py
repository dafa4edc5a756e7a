"""The service mirror between two real API servers: bytes, faults, and what its status does and doesn't say."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bennu.lab.controllers import gateway, kubelet, mirror, network, workloads
from bennu.lab.controllers.runtime import ControllerContext
from tests.contract.lab_node.clusters import LabCluster, controllers, eventually, lab_cluster, run
from tests.contract.lab_node.manifests import LINK_CRD, SHOP, deployment, service
from tests.contract.lab_node.test_pods import ready_pods

Json = dict[str, Any]
Objects = dict[tuple[str, str], Json]
MESH = "linkerd-multicluster"
ALIVE = ("gateway_alive", (("target_cluster_name", "cluster-green"),))
MIRROR = (SHOP, "web-cluster-green")


def link(green: LabCluster) -> Json:
    facts = green.directory.load()
    return {
        "apiVersion": "multicluster.linkerd.io/v1alpha3",
        "kind": "Link",
        "metadata": {"name": "cluster-green", "namespace": MESH},
        "spec": {
            "clusterCredentialsSecret": "cluster-credentials-cluster-green",
            "gatewayAddress": "127.0.0.1",
            "gatewayPort": str(facts.gateway_port),
            "gatewayIdentity": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local",
            "probeSpec": {"failureThreshold": "3", "path": "/ready", "period": "100ms", "port": str(facts.gateway_probe_port), "timeout": "30s"},
            "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}},
            "targetClusterDomain": "cluster.local",
            "targetClusterLinkerdNamespace": "linkerd",
            "targetClusterName": "cluster-green",
        },
    }


@dataclass(frozen=True)
class Pair:
    """Blue imports what green exports; closing ``green_gateway`` ends green's gateway."""

    blue: LabCluster
    green: LabCluster
    green_gateway: contextlib.AsyncExitStack

    async def linked(self) -> Json:
        kubeconfig = base64.b64encode(self.green.kubeconfig().encode()).decode()
        name = "cluster-credentials-cluster-green"
        await self.blue.client.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "mirror.linkerd.io/remote-kubeconfig",
                "metadata": {"name": name, "namespace": MESH},
                "data": {"kubeconfig": kubeconfig},
            }
        )
        return await self.blue.client.create(link(self.green))

    async def port(self) -> int:
        """The mirror's port, once its endpoint is ready."""

        def ready(found: Objects) -> int | None:
            subsets = (found.get(MIRROR) or {}).get("subsets") or []
            return next((int(s["ports"][0]["port"]) for s in subsets if s.get("addresses")), None)

        return int(await self.blue.until("v1", "Endpoints", ready))

    async def carries(self) -> bool:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", await self.port())
            writer.write(b"hello")
            try:
                return await asyncio.wait_for(reader.readexactly(5), 1) == b"hello"
            finally:
                writer.close()
        return False

    async def status(self, reason: str) -> Json:
        def so(found: Objects) -> Json | None:
            for entry in (found[MESH, "cluster-green"].get("status") or {}).get("mirrorServices") or []:
                if entry["conditions"][0]["reason"] == reason:
                    return dict(entry)
            return None

        return dict(await self.blue.until("multicluster.linkerd.io/v1alpha3", "Link", so))


@contextlib.asynccontextmanager
async def pair(lab: Path, *, namespace_in_blue: bool = True) -> AsyncIterator[Pair]:
    async with (
        lab_cluster(lab, "blue", only=[network, mirror]) as blue,
        lab_cluster(lab, "green", only=[workloads, kubelet, network]) as green,
        contextlib.AsyncExitStack() as stack,
    ):
        await stack.enter_async_context(controllers(ControllerContext(green.directory, green.client, asyncio.Event()), [gateway]))
        await blue.namespace(MESH)
        if namespace_in_blue:
            await blue.namespace(SHOP)
        await green.namespace(SHOP)
        await blue.client.create(LINK_CRD)
        await green.client.create(service("web", 80, exported=True))
        await green.client.create(deployment("web"))
        await green.until("v1", "Pod", ready_pods)
        yield Pair(blue, green, stack)


def test_an_exported_service_is_mirrored_and_carries_bytes(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            entry = await two.status("Mirrored")
            assert entry["conditions"][0]["localRef"]["name"] == "web-cluster-green"
            mirrored = await two.blue.client.find("v1", "Service", "web-cluster-green", SHOP)
            assert mirrored is not None
            assert mirrored["metadata"]["labels"]["mirror.linkerd.io/cluster-name"] == "cluster-green"
            assert mirrored["metadata"]["annotations"]["mirror.linkerd.io/remote-svc-fq-name"] == "web.shop.svc.cluster.local"
            await eventually(two.carries)

    run(story)


def test_a_cut_link_resets_streams_and_its_endpoints_go_unready_and_heal(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            await eventually(two.carries)
            reader, writer = await asyncio.open_connection("127.0.0.1", await two.port())
            writer.write(b"hello")
            await reader.readexactly(5)
            before = await two.status("Mirrored")
            two.blue.directory.lab.set_fault("link:blue-green", "cut")
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 1) == b""

            def unready(found: Objects) -> bool:
                return all("addresses" not in s and s["notReadyAddresses"] for s in found[MIRROR]["subsets"])

            await two.blue.until("v1", "Endpoints", unready)
            await two.blue.until(
                "discovery.k8s.io/v1", "EndpointSlice", lambda found: [e["conditions"]["ready"] for s in found.values() for e in s["endpoints"]] == [False]
            )
            # As measured: the Link's status doesn't say a word of it.
            assert await two.status("Mirrored") == before
            two.blue.directory.lab.clear_fault("link:blue-green")
            await eventually(two.carries)

    run(story)


def test_a_stalled_link_holds_bytes_without_a_reset(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            await eventually(two.carries)
            reader, writer = await asyncio.open_connection("127.0.0.1", await two.port())
            two.blue.directory.lab.set_fault("link:blue-green", "stall")

            async def silent() -> bool:
                writer.write(b"x")
                try:
                    await asyncio.wait_for(reader.readexactly(1), 0.1)
                except TimeoutError:
                    return True
                return False

            await eventually(silent)
            two.blue.directory.lab.clear_fault("link:blue-green")
            assert await asyncio.wait_for(reader.readexactly(1), 5) == b"x"
            writer.close()

    run(story)


def test_a_fault_of_one_direction_leaves_the_other_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            await eventually(two.carries)
            two.blue.directory.lab.set_fault("link:green-blue", "cut")
            assert await two.carries()

    run(story)


def test_a_dead_gateway_moves_addresses_to_not_ready(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            await eventually(two.carries)
            assert two.blue.metrics.samples[ALIVE] == 1
            await two.green_gateway.aclose()
            await two.blue.until("v1", "Endpoints", lambda found: all("addresses" not in s for s in found[MIRROR]["subsets"]))
            assert two.blue.metrics.samples[ALIVE] == 0
            async with controllers(ControllerContext(two.green.directory, two.green.client, asyncio.Event()), [gateway]):
                await eventually(two.carries)

    run(story)


def test_a_missing_namespace_is_said_and_heals(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path, namespace_in_blue=False) as two:
            await two.linked()
            entry = await two.status("MissingNamespace")
            assert entry["conditions"][0]["status"] == "False"
            await two.blue.namespace(SHOP)
            await two.status("Mirrored")

    run(story)


def test_unexporting_removes_the_mirror(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            await two.linked()
            await two.status("Mirrored")
            exported = service("web", 80)
            await two.green.client.patch(exported, {"metadata": {"labels": {"mirror.linkerd.io/exported": None}}})
            await two.blue.until("v1", "Service", lambda found: MIRROR not in found)
            await two.blue.until("v1", "Endpoints", lambda found: MIRROR not in found)

    run(story)


def test_deleting_the_link_leaves_mirrors_that_still_carry_and_making_it_again_takes_them_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            made = await two.linked()
            await eventually(two.carries)
            await two.blue.client.delete(made)
            await two.blue.until("multicluster.linkerd.io/v1alpha3", "Link", lambda found: not found)
            assert await two.carries()
            await two.blue.client.create(link(two.green))
            await two.status("Mirrored")
            assert await two.carries()

    run(story)


def test_a_link_without_selector_mirrors_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with pair(tmp_path) as two:
            bare = link(two.green)
            del bare["spec"]["selector"]
            kubeconfig = base64.b64encode(two.green.kubeconfig().encode()).decode()
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": bare["spec"]["clusterCredentialsSecret"], "namespace": MESH}}
            await two.blue.client.create({**secret, "data": {"kubeconfig": kubeconfig}})
            made = await two.blue.client.create(bare)
            # Once a selector comes, the mirror does: until then nothing was there.
            assert await two.blue.client.find("v1", "Service", "web-cluster-green", SHOP) is None
            await two.blue.client.patch(made, {"spec": {"selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}}}})
            await two.status("Mirrored")

    run(story)
