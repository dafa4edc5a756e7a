"""What every controller gets, and the process that runs them: one that crashes is started again, SIGTERM ends all promptly, /metrics tells what they measured."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from bennu.lab.client import ApiClient
from bennu.lab.places import ClusterDir

_log = logging.getLogger(__name__)
_AGAIN = 0.5


@dataclass
class Registry:
    """Gauges and counters by name and labels, in Prometheus' text format."""

    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def set(self, name: str, value: float, labels: Mapping[str, str] | None = None) -> None:
        """Set a gauge."""
        self.samples[(name, tuple(sorted((labels or {}).items())))] = value

    def add(self, name: str, value: float = 1, labels: Mapping[str, str] | None = None) -> None:
        """Raise a counter."""
        key = (name, tuple(sorted((labels or {}).items())))
        self.samples[key] = self.samples.get(key, 0) + value

    def drop(self, name: str, labels: Mapping[str, str]) -> None:
        """Forget a sample, where what it measured is gone."""
        self.samples.pop((name, tuple(sorted(labels.items()))), None)

    def text(self) -> str:
        """The exposition."""
        lines = []
        for (name, labels), value in sorted(self.samples.items()):
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            # repr: a counter above a million must not be rounded to six digits.
            lines.append(f"{name}{{{inner}}} {float(value)!r}" if inner else f"{name} {float(value)!r}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@dataclass(frozen=True)
class ControllerContext:
    """The cluster that is controlled, an honest client of its API, and the event that ends everything."""

    cluster: ClusterDir
    client: ApiClient
    stop: asyncio.Event
    metrics: Registry = field(default_factory=Registry)

    def faults(self) -> Mapping[str, str]:
        """The lab's faults now."""
        return self.cluster.lab.faults()


Controller = Callable[[ControllerContext], Awaitable[None]]


async def run_all(ctx: ControllerContext, controllers: Mapping[str, Controller]) -> None:
    """Run every controller until ``ctx.stop``."""
    async with asyncio.TaskGroup() as group:
        for name, controller in controllers.items():
            group.create_task(_kept_alive(ctx, name, controller))


async def _kept_alive(ctx: ControllerContext, name: str, controller: Controller) -> None:
    while not ctx.stop.is_set():
        task = asyncio.ensure_future(controller(ctx))
        ended = asyncio.ensure_future(ctx.stop.wait())
        await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
        if ctx.stop.is_set():
            # Controllers follow the stop event by themselves; one that doesn't is cut off.
            with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError, Exception):
                await asyncio.wait_for(task, 8)
            return
        ended.cancel()
        if task.exception() is not None:
            _log.error("controller %s ended and is started again", name, exc_info=task.exception())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ctx.stop.wait(), _AGAIN)


async def serve_metrics(ctx: ControllerContext, port: int) -> asyncio.Server:
    """``GET /metrics`` on 127.0.0.1."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            body = ctx.metrics.text().encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)
