"""Real Redis replication runs through gateway and mirror, breaks with the link and heals with it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

from bennu.lab.controllers import gateway, kubelet, mirror, network, workloads
from bennu.lab.controllers.network_endpoints import real_port
from tests.contract.lab_node.clusters import LabCluster, eventually, lab_cluster, run
from tests.contract.lab_node.manifests import LINK_CRD, SHOP, redis, service
from tests.contract.lab_node.test_mirrors import MESH, Pair
from tests.contract.lab_node.test_pods import ready_pods
from tests.contract.lab_node.test_storage import says

Json = dict[str, Any]


async def redis_in(cluster: LabCluster) -> Json:
    await cluster.namespace(SHOP)
    await cluster.client.create(service("redis", 6379, target=6379, exported=True))
    await cluster.client.create(redis())
    (pod,) = await cluster.until("v1", "Pod", ready_pods)
    return dict(pod)


async def mirrored_port(two: Pair) -> int:
    def ready(found: dict[tuple[str, str], Json]) -> int | None:
        subsets = (found.get((SHOP, "redis-cluster-green")) or {}).get("subsets") or []
        return next((int(s["ports"][0]["port"]) for s in subsets if s.get("addresses")), None)

    return int(await two.blue.until("v1", "Endpoints", ready))


async def follows(pod: Json) -> bool:
    """Whether a replica's link to its master is up, by ``INFO replication``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", real_port(pod, 6379))
    writer.write(b"INFO replication\r\n")
    size = int((await reader.readline())[1:])
    answer = await reader.readexactly(size)
    writer.close()
    return b"master_link_status:up" in answer


def test_replication_follows_the_state_of_the_link(tmp_path: Path) -> None:
    async def story() -> None:
        parts = [workloads, kubelet, network, mirror]
        async with lab_cluster(tmp_path, "blue", only=parts) as blue, lab_cluster(tmp_path, "green", only=[*parts, gateway]) as green:
            source, target = await redis_in(green), await redis_in(blue)
            two = Pair(blue, green, contextlib.AsyncExitStack())
            await blue.namespace(MESH)
            await blue.client.create(LINK_CRD)
            await two.linked()
            port = await mirrored_port(two)
            assert await says(target, "REPLICAOF", "127.0.0.1", str(port)) == "+OK"

            async def connected() -> bool:
                return await follows(target)

            async def broken() -> bool:
                return not await follows(target)

            async def arrived() -> bool:
                return await says(target, "GET", "balance") == "43"

            await eventually(connected)
            blue.directory.lab.set_fault("link:blue-green", "cut")
            await eventually(broken)
            assert await says(source, "SET", "balance", "43") == "+OK"
            blue.directory.lab.clear_fault("link:blue-green")
            await eventually(arrived)

    run(story)


def test_a_hundred_small_round_trips_through_the_mesh_are_quick(tmp_path: Path) -> None:
    """A proxy that waits for more bytes (Nagle) would cost 40 ms each; they take well under that altogether."""

    async def story() -> None:
        parts = [workloads, kubelet, network, mirror]
        async with lab_cluster(tmp_path, "blue", only=[network, mirror]) as blue, lab_cluster(tmp_path, "green", only=[*parts, gateway]) as green:
            await redis_in(green)
            two = Pair(blue, green, contextlib.AsyncExitStack())
            await blue.namespace(MESH)
            await blue.namespace(SHOP)
            await blue.client.create(LINK_CRD)
            await two.linked()
            reader, writer = await asyncio.open_connection("127.0.0.1", await mirrored_port(two))
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(100):
                writer.write(b"PING\r\n")
                assert await reader.readline() == b"+PONG\r\n"
            assert loop.time() - began < 2
            writer.close()

    run(story)
