"""One pod from its first sight to its end: volumes, init containers, containers, status.

It adopts the pod first: ports and node are written on it. From then on the API server only marks the pod when it is deleted, until the kubelet says that its
processes have ended. Mounted files follow their ConfigMaps when the
kubelet says so (:mod:`kubelet`); what a process has read, it has read.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.kubelet_commands import ContainerConfigError, Surroundings, command_of, is_emulated, is_redis
from bennu.lab.controllers.kubelet_container import Assignment, Container
from bennu.lab.controllers.kubelet_lookups import Lookups
from bennu.lab.controllers.kubelet_status import ContainerState, PodState, status_of
from bennu.lab.controllers.network_endpoints import PORT
from bennu.lab.controllers.network_informers import REFUSALS
from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.processes import Launch
from bennu.lab.controllers.processes_book import PidBook
from bennu.lab.controllers.processes_logs import log_file
from bennu.lab.controllers.volumes import mounts_of, prepare, renew
from bennu.lab.controllers.workloads_jobs import stamp

Json = dict[str, Any]
_log = logging.getLogger(__name__)
_RETRY = 0.25
_GRACE = 5.0
_INHERITED = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "PYTHONPATH")


@dataclass(frozen=True)
class Node:
    """What all pods of a cluster share. ``directory`` is the cluster's, ``redis_server`` the path of valkey-server."""

    name: str
    directory: Path
    client: ApiClient
    lookups: Lookups
    ports: PortBook
    pids: PidBook
    redis_server: str


class PodRunner:
    """Runs one pod; :meth:`run` returns once nothing of it is left running."""

    def __init__(self, node: Node, pod: Json) -> None:
        self._node = node
        self.pod = pod
        self._ports: dict[int, int] = {}
        self._mounted: dict[str, Path] = {}
        self._init: list[Container] = []
        self._containers: list[Container] = []
        self._message = ""
        self._started = str((pod.get("status") or {}).get("startTime") or stamp(datetime.now(UTC)))
        self._dirty = asyncio.Event()
        self._ending = asyncio.Event()

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return str(self.pod["metadata"]["namespace"]), str(self.pod["metadata"]["name"])

    @property
    def runs_redis(self) -> bool:
        """Whether one of its containers is a Redis server."""
        return any(is_redis(str(c.get("image", ""))) for c in self.pod["spec"].get("containers") or [])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for container in self._containers:
            container.signal(number)

    def renew_volumes(self) -> None:
        """Bring what changed in its ConfigMaps and Secrets into its files."""
        if self._mounted and not self._ending.is_set():
            renew(self.pod, self._mounted, self._node.lookups.volumes_of(self.key[0]))

    async def run(self) -> None:
        """From adoption to the end of the last process. Cancelling it kills them."""
        publisher = asyncio.create_task(self._publish_changes())
        try:
            await self._adopt()
            if await self._mount() and await self._initialize():
                self._containers = [self._container(c) for c in self.pod["spec"].get("containers") or []]
                self._dirty.set()
                async with asyncio.TaskGroup() as running:
                    for container in self._containers:
                        running.create_task(container.run())
        finally:
            publisher.cancel()
            await asyncio.gather(publisher, return_exceptions=True)
        if not self._ending.is_set():
            await self._insist(self._publish)

    async def end(self) -> None:
        """Have all its containers end, each within the pod's grace period; a second call does nothing."""
        if self._ending.is_set():
            return
        self._ending.set()
        meta, spec = self.pod["metadata"], self.pod["spec"]
        grace = float(meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", _GRACE)))
        await asyncio.gather(*(c.end(grace) for c in [*self._init, *self._containers]))

    def discard(self) -> None:
        """Remove what the pod had on disk beside its claims and logs."""
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def _directory(self) -> Path:
        namespace, name = self.key
        return self._node.directory / "pods" / f"{namespace}-{name}"

    async def _adopt(self) -> None:
        """Write ports and node on the pod."""
        namespace, name = self.key
        for container in self.pod["spec"].get("containers") or []:
            for port in container.get("ports") or []:
                number = int(port["containerPort"])
                self._ports[number] = self._node.ports.port(f"pod/{namespace}/{name}/{number}")
        annotations = {f"{PORT}{number}": str(real) for number, real in self._ports.items()}
        change = {"metadata": {"annotations": annotations}, "spec": {"nodeName": self._node.name}}

        async def write() -> None:
            self._node.lookups.pods.note(await self._node.client.patch(self.pod, change))

        await self._insist(write)

    async def _mount(self) -> bool:
        """Prepare the volumes; tried again until what they need is there. False if the pod ended first."""
        source = self._node.lookups.volumes_of(self.key[0])
        while not self._ending.is_set():
            try:
                self._mounted = prepare(self.pod, self._directory, source)
                return True
            except (ContainerConfigError, OSError, ValueError, KeyError) as problem:
                self._message = str(problem)
                self._dirty.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _RETRY)
        return False

    async def _initialize(self) -> bool:
        """Run the init containers one after the other, each until it succeeds; False if one failed for good, or the pod ended first."""
        policy = "Never" if self.pod["spec"].get("restartPolicy") == "Never" else "OnFailure"
        specs = self.pod["spec"].get("initContainers") or []
        self._init = [self._container(spec, policy) for spec in specs]
        for spec, container in zip(specs, self._init, strict=True):
            if is_emulated(str(spec.get("image", ""))):
                container.pass_by()
            elif await container.run() != 0:
                return False
        return not self._ending.is_set()

    def _container(self, spec: Mapping[str, Any], policy: str = "") -> Container:
        before = {c["name"]: int(c.get("restartCount", 0)) for c in (self.pod.get("status") or {}).get("containerStatuses") or []}
        assignment = Assignment(
            spec=spec,
            launch=lambda: self._launch(spec),
            ports={int(p["containerPort"]): self._ports[int(p["containerPort"])] for p in spec.get("ports") or [] if int(p["containerPort"]) in self._ports},
            restarts=policy or str(self.pod["spec"].get("restartPolicy", "Always")),
            book=self._node.pids,
        )
        return Container(assignment, self._dirty.set, before.get(str(spec["name"]), 0))

    def _launch(self, spec: Mapping[str, Any]) -> Launch:
        namespace, name = self.key
        mounts = mounts_of(spec, self._mounted)
        base = {k: os.environ[k] for k in _INHERITED if k in os.environ}
        base |= {"PYTHONUNBUFFERED": "1", "BENNU_LAB_CLUSTER": str(self._node.directory), "POD_NAME": name, "POD_NAMESPACE": namespace}
        around = Surroundings(self._node.lookups.values_of(self.pod), mounts, self._ports, base, self._node.redis_server)
        command = command_of(spec, around)
        # The real image's working directory is /data: a Redis without "dir" writes there.
        cwd = mounts.get("/data", self._directory) if is_redis(str(spec.get("image", ""))) else self._directory
        log = log_file(self._node.directory / "logs", namespace, name, str(spec["name"]))
        return Launch(f"{namespace}/{name}/{spec['name']}", command.argv, command.env, cwd, log)

    async def _publish_changes(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self._insist(self._publish)

    async def _publish(self) -> None:
        waiting = [ContainerState(str(c["name"]), str(c.get("image", "")), {"waiting": {"reason": "PodInitializing"}}) for c in self.pod["spec"]["containers"]]
        state = PodState(
            init=[c.state for c in self._init],
            containers=[c.state for c in self._containers] or waiting,
            started=self._started,
            now=stamp(datetime.now(UTC)),
            message=self._message,
        )
        current = self._node.lookups.pods.get(*self.key)
        if current is None or current["metadata"]["uid"] != self.pod["metadata"]["uid"]:
            return
        status = status_of(current, state, restarts=self.pod["spec"].get("restartPolicy", "Always") == "Always")
        self._node.lookups.pods.note(await self._node.client.patch_status(self.pod, status))

    async def _insist(self, write: Any) -> None:
        """Repeat *write* until the API took it, or the pod is gone."""
        while True:
            try:
                await write()
                return
            except REFUSALS as problem:
                if self._node.lookups.pods.get(*self.key) is None:
                    return
                _log.info("pod %s: %s", "/".join(self.key), problem)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), _RETRY)
