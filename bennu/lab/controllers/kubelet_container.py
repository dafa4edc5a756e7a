"""One container of a pod: started, restarted when it dies, ended.

Its state is the API's; the pod (:mod:`kubelet_pod`) puts the states together and publishes them. An emulated container runs nothing and is ready at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bennu.lab.controllers.kubelet_commands import ContainerConfigError, is_emulated
from bennu.lab.controllers.kubelet_readiness import Probe, watch
from bennu.lab.controllers.kubelet_status import ContainerState
from bennu.lab.controllers.processes import Child, Launch
from bennu.lab.controllers.processes_book import PidBook
from bennu.lab.controllers.workloads_jobs import stamp

_log = logging.getLogger(__name__)
_BACKOFF_FIRST, _BACKOFF_MOST = 0.2, 5.0
_HEALTHY_AFTER = 10.0


@dataclass(frozen=True)
class Assignment:
    """What a container is to run: ``launch()`` makes its command anew at each start (raises ContainerConfigError), ``restarts`` is the pod's restart policy."""

    spec: Mapping[str, Any]
    launch: Callable[[], Launch]
    ports: Mapping[int, int]
    restarts: str
    book: PidBook


class Container:
    """Runs one container; *changed* is called at every change of :attr:`state`."""

    def __init__(self, assignment: Assignment, changed: Callable[[], None], before: int = 0) -> None:
        self._what = assignment
        self._changed = changed
        self._child: Child | None = None
        self._ending = asyncio.Event()
        self.state = ContainerState(
            str(assignment.spec["name"]), str(assignment.spec.get("image", "")), {"waiting": {"reason": "ContainerCreating"}}, restarts=before
        )

    async def run(self) -> int:
        """Until it ended for good; returns its exit code. Emulated ones run until :meth:`end`."""
        if is_emulated(self.state.image):
            self._become({"running": {"startedAt": _now()}}, ready=True)
            await self._ending.wait()
            return 0
        backoff, code = _BACKOFF_FIRST, 0
        while not self._ending.is_set():
            began = time.monotonic()
            code = await self._once()
            if self._ending.is_set() or not self._comes_back(code):
                return code
            if time.monotonic() - began > _HEALTHY_AFTER:
                backoff = _BACKOFF_FIRST
            await self._back_off(backoff)
            backoff = min(_BACKOFF_MOST, backoff * 2)
        return code

    def pass_by(self) -> None:
        """An emulated init container: it is said to have succeeded."""
        now = _now()
        self._become({"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}})

    async def end(self, grace: float) -> None:
        """Have it end: SIGTERM, then SIGKILL after *grace* seconds."""
        self._ending.set()
        if self._child is not None:
            await self._child.end(grace)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process, if it has one."""
        if self._child is not None:
            self._child.signal(number)

    async def _once(self) -> int:
        """Start it and see it end; returns the exit code (128 for one that couldn't be started)."""
        started = _now()
        try:
            child = await Child.start(self._what.launch(), self._what.book)
        except (ContainerConfigError, OSError) as problem:
            _log.info("%s: %s", self.state.name, problem)
            self._become({"waiting": {"reason": "CreateContainerConfigError", "message": str(problem)}})
            return 128
        self._child = child
        if self._ending.is_set():
            child.signal(signal.SIGKILL)
        probe = Probe.of(self._what.spec, self._what.ports)
        self._become({"running": {"startedAt": started}}, ready=probe is None)
        code = await self._seen_out(child, probe)
        self._child = None
        reason = "Completed" if code == 0 else "Error"
        self._become({"terminated": {"exitCode": code, "reason": reason, "startedAt": started, "finishedAt": _now()}})
        return code

    async def _seen_out(self, child: Child, probe: Probe | None) -> int:
        gone = asyncio.Event()
        probing = asyncio.create_task(watch(probe, gone, self._say_ready)) if probe else None
        try:
            return await child.wait()
        except asyncio.CancelledError:
            child.signal(signal.SIGKILL)
            raise
        finally:
            gone.set()
            if probing:
                probing.cancel()

    def _comes_back(self, code: int) -> bool:
        if "waiting" in self.state.state:
            return True
        return self._what.restarts == "Always" or (self._what.restarts == "OnFailure" and code != 0)

    async def _back_off(self, seconds: float) -> None:
        if "terminated" in self.state.state:
            last, code = self.state.state, self.state.exit_code
            waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {seconds:g}s after exit code {code}"}
            self.state = replace(self.state, restarts=self.state.restarts + 1, last=last)
            self._become({"waiting": waiting})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _say_ready(self, ready: bool) -> None:
        self.state = replace(self.state, ready=ready)
        self._changed()

    def _become(self, state: dict[str, Any], *, ready: bool = False) -> None:
        self.state = replace(self.state, state=state, ready=ready)
        self._changed()


def _now() -> str:
    return stamp(datetime.now(UTC))
