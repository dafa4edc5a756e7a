"""The pods' programs as real processes, with the environment that the kubelet gives them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.contract.lab_node.clusters import eventually

Json = dict[str, Any]


@contextlib.asynccontextmanager
async def running(program: str, cluster: Path, *arguments: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``python -m bennu.lab.pods.<program>``; ended with the context."""
    process = await asyncio.create_subprocess_exec(*(sys.executable, "-m", f"bennu.lab.pods.{program}", *arguments), env=environment(cluster, env))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def ran(program: str, cluster: Path, *arguments: str, **env: str) -> int:
    """Run it to its end; the exit code."""
    async with running(program, cluster, *arguments, **env) as process:
        return await process.wait()


def environment(cluster: Path, env: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "BENNU_LAB_CLUSTER": str(cluster), "POD_NAMESPACE": "payments", "POD_NAME": "a-pod", **env}


async def lines(ledger: Path, count: int) -> list[Json]:
    """The ledger, once it has so many lines."""

    async def there() -> bool:
        return ledger.exists() and len(ledger.read_text().splitlines()) >= count

    await eventually(there)
    return [json.loads(line) for line in ledger.read_text().splitlines()]
