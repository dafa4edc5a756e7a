"""Whether a container is ready: its port takes a connection, or its ``httpGet`` probe is answered well.

An ``exec`` probe is read as "the first port takes a connection", since the lab has no container to execute in. Liveness is not probed: what must die in a
rehearsal is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_BEFORE = 0.05
_TIMEOUT = 1.0
_THRESHOLD = 3


@dataclass(frozen=True)
class Probe:
    """What to ask: ``port`` is the real one; ``path`` None means that a connection suffices. ``period`` (seconds) counts once it was ready."""

    port: int
    path: str | None
    period: float

    @classmethod
    def of(cls, container: Mapping[str, Any], ports: Mapping[int, int]) -> Probe | None:
        """The container's probe, or one of its first port; None where there is no port: then it is ready when it runs."""
        spec = container.get("readinessProbe") or {}
        handler = spec.get("httpGet") or spec.get("tcpSocket") or {}
        real = ports.get(_number(container, handler.get("port")))
        if real is None:
            return None
        path = str(spec["httpGet"].get("path", "/")) if "httpGet" in spec else None
        return cls(real, path, min(1.0, float(spec.get("periodSeconds", 1))))

    async def passes(self) -> bool:
        """Ask once."""
        try:
            return await asyncio.wait_for(self._ask(), _TIMEOUT)
        except (OSError, TimeoutError, ValueError):
            return False

    async def _ask(self) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            if self.path is None:
                return True
            writer.write(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: kube-probe/lab\r\nConnection: close\r\n\r\n".encode())
            status = (await reader.readline()).split()
            return len(status) > 1 and 200 <= int(status[1]) < 400
        finally:
            writer.close()


async def watch(probe: Probe, gone: asyncio.Event, said: Callable[[bool], None]) -> None:
    """Tell *said* of every change of readiness, until *gone* (the process ended)."""
    ready, failures = False, 0
    while not gone.is_set():
        passed = await probe.passes()
        failures = 0 if passed else failures + 1
        if passed != ready and (passed or failures >= _THRESHOLD):
            ready = passed
            said(ready)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), probe.period if ready else _BEFORE)


def _number(container: Mapping[str, Any], wanted: Any) -> int:
    """The container port that a probe names by number or by name; the first one where it names none; 0 where there is none."""
    ports = container.get("ports") or []
    if wanted is None:
        return int(ports[0]["containerPort"]) if ports else 0
    if isinstance(wanted, int) or str(wanted).isdigit():
        return int(wanted)
    return next((int(p["containerPort"]) for p in ports if p.get("name") == wanted), 0)
