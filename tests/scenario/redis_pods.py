"""The Redis of one of the lab's clusters, asked past Bennu."""

from __future__ import annotations

import asyncio
from typing import Any

import redis

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_endpoints import real_port
from tests.scenario.rehearsal import Rehearsal


def live(here: Rehearsal, colour: str, api_version: str, kind: str, name: str) -> Any:
    """An object of namespace ``database`` as the cluster's API has it."""

    async def found() -> Any:
        async with ApiClient.of(here.lab.cluster(colour)) as client:
            return await client.find(api_version, kind, name, "database")

    return asyncio.run(found())


def server(here: Rehearsal, colour: str) -> redis.Redis:
    """A client of the one pod's Redis."""
    port = real_port(live(here, colour, "v1", "Pod", "redis-0"), 6379)
    assert port is not None
    return redis.Redis(port=port, password=(here.lab.root / "redis-password").read_text().strip(), decode_responses=True, socket_timeout=10)
