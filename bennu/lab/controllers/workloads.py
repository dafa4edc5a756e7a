"""Deployments, StatefulSets, DaemonSets and Jobs become pods.

Each kind's rules are pure and stand in a module of their own; here they are carried out through the API. Pods are run by the kubelet, CronJobs make their Jobs
in :mod:`cronjobs`, and what an owner leaves behind the API server collects.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.network_informers import REFUSALS, Informer, Watched, created, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.controllers.workloads_daemonsets import plan_daemonset
from bennu.lab.controllers.workloads_deployments import plan_deployment
from bennu.lab.controllers.workloads_jobs import expires, moment, plan_job, stamp
from bennu.lab.controllers.workloads_statefulsets import plan_statefulset
from bennu.lab.controllers.workloads_templates import Json, Plan, controller_of, is_terminating

_log = logging.getLogger(__name__)
_KINDS = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("batch/v1", "Job"))
_AGAIN = 0.5


class Workloads:
    """Carries out the plans of all kinds."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self.owners = {kind: shared(client, Watched(version, kind)) for version, kind in _KINDS}
        self.pods = shared(client, Watched("v1", "Pod"))
        self.claims = shared(client, Watched("v1", "PersistentVolumeClaim"))

    @property
    def informers(self) -> tuple[Informer, ...]:
        """All that must be followed."""
        return (*self.owners.values(), self.pods, self.claims)

    async def look(self) -> float | None:
        """One look at everything; returns in how many seconds a Job's deadline or time to live asks for the next."""
        now = datetime.now(UTC)
        pods: dict[str, list[Json]] = defaultdict(list)
        for pod in self.pods:
            pods[str((controller_of(pod) or {}).get("uid", ""))].append(pod)
        waits: list[float] = []
        for informer in self.owners.values():
            for owner in informer:
                waits += await self._look_at(owner, pods[str(owner["metadata"]["uid"])], now)
        return min(waits, default=None)

    async def _look_at(self, owner: Json, pods: Sequence[Json], now: datetime) -> list[float]:
        if is_terminating(owner):
            return []
        try:
            await self._carry_out(owner, self._plan(owner, pods, now))
            return await self._age(owner, now) if owner["kind"] == "Job" else []
        except (*REFUSALS, KeyError, TypeError, ValueError) as problem:
            # One workload that can't be understood must not hold up the others.
            _log.warning("%s %s: %r", owner["kind"], owner["metadata"]["name"], problem)
            return [_AGAIN]

    def _plan(self, owner: Json, pods: Sequence[Json], now: datetime) -> Plan:
        match owner["kind"]:
            case "Deployment":
                return plan_deployment(owner, pods, stamp(now))
            case "StatefulSet":
                claims = [str(c["metadata"]["name"]) for c in self.claims.of(owner["metadata"]["namespace"])]
                return plan_statefulset(owner, pods, claims)
            case "DaemonSet":
                return plan_daemonset(owner, pods)
            case _:
                return plan_job(owner, pods, now)

    async def _carry_out(self, owner: Json, plan: Plan) -> None:
        for obj in plan.create:
            made = await created(self._client, obj)
            (self.pods if obj["kind"] == "Pod" else self.claims).note(made)
        for name in plan.delete:
            pod = self.pods.get(owner["metadata"]["namespace"], name)
            if pod is not None:
                await self._delete(pod)
        before = owner.get("status") or {}
        if any(before.get(k) != v for k, v in plan.status.items()):
            self.owners[owner["kind"]].note(await self._client.patch_status(owner, plan.status))

    async def _age(self, job: Json, now: datetime) -> list[float]:
        """Delete a finished Job whose time is over; else the seconds until its deadline or its end."""
        limits = []
        if (end := expires(job)) is not None:
            if end <= now:
                await self._client.delete(job)
                return []
            limits.append(end)
        elif (limit := job["spec"].get("activeDeadlineSeconds")) and (started := (job.get("status") or {}).get("startTime")):
            limits.append(moment(started).fromtimestamp(moment(started).timestamp() + float(limit), UTC))
        return [max(0.05, (at - now).total_seconds()) for at in limits]

    async def _delete(self, obj: dict[str, Any]) -> None:
        await self._client.delete(obj)
        # Marked at once, so that the next look doesn't choose another one in its place.
        obj["metadata"].setdefault("deletionTimestamp", stamp(datetime.now(UTC)))


async def run(ctx: ControllerContext) -> None:
    """Serve the cluster's workloads until the context's stop event is set."""
    workloads = Workloads(ctx.client)
    async with following(workloads.informers) as changed:
        await reconcile(ctx.stop, changed, workloads.look)
