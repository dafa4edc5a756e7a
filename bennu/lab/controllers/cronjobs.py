"""CronJobs make Jobs when they are due, unless suspended.

As Kubernetes' own controller: of several missed times only the latest is made up for, ``concurrencyPolicy`` and the history limits count. The lab's annotation
(:data:`cronjobs_schedule.EVERY`) shortens the schedule, because nobody rehearses by the minute.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bennu.lab.client import ApiClient
from bennu.lab.controllers.cronjobs_schedule import EVERY, next_due, seconds
from bennu.lab.controllers.network_informers import Informer, Watched, created, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext
from bennu.lab.controllers.workloads_jobs import finished, moment, stamp
from bennu.lab.controllers.workloads_templates import Json, condition_of, controller_of, is_terminating, owner_reference

_log = logging.getLogger(__name__)
_FAR = timedelta(days=1)


@dataclass(frozen=True)
class Due:
    """``at``: the latest due moment not yet served, or None; ``next``: when to look again."""

    at: datetime | None
    next: datetime


def due(cron: Mapping[str, Any], last: datetime, now: datetime) -> Due:
    """When the CronJob, last served at *last*, is due. Raises ValueError for a schedule that can't be read."""
    annotations = cron["metadata"].get("annotations") or {}
    every = annotations.get(EVERY)
    if every:
        period = seconds(every)
        missed = int((now - last).total_seconds() / period)
        latest = last + timedelta(seconds=missed * period)
        return Due(latest if missed > 0 else None, latest + timedelta(seconds=period))
    latest_due, upcoming = None, next_due(cron["spec"]["schedule"], annotations, last)
    while upcoming is not None and upcoming <= now:
        latest_due, upcoming = upcoming, next_due(cron["spec"]["schedule"], annotations, upcoming)
    return Due(latest_due, upcoming or now + _FAR)


def job_of(cron: Mapping[str, Any], at: datetime) -> Json:
    """The Job for the due moment *at*; its name is the same however often it is asked for."""
    template = cron["spec"]["jobTemplate"]
    meta = template.get("metadata") or {}
    name = cron["metadata"]["name"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{name[:52]}-{int(at.timestamp() * 10)}",
            "namespace": cron["metadata"]["namespace"],
            "labels": dict(meta.get("labels") or {}),
            "annotations": {**(meta.get("annotations") or {}), "batch.kubernetes.io/cronjob-scheduled-timestamp": stamp(at)},
            "ownerReferences": [owner_reference(cron)],
        },
        "spec": template["spec"],
    }


def too_old(jobs: list[Json], cron: Mapping[str, Any]) -> list[Json]:
    """Finished Jobs beyond the history limits, oldest first."""
    spec = cron["spec"]
    surplus = []
    for kind, limit in (("Complete", spec.get("successfulJobsHistoryLimit", 3)), ("Failed", spec.get("failedJobsHistoryLimit", 1))):
        ended = sorted((j for j in jobs if condition_of(j, kind).get("status") == "True"), key=lambda j: str(j["metadata"]["name"]))
        surplus += ended[: max(0, len(ended) - int(limit))]
    return surplus


class CronJobs:
    """Looks at every CronJob; remembers when it served each, finer than the API's whole seconds."""

    def __init__(self, client: ApiClient, crons: Informer, jobs: Informer) -> None:
        self._client = client
        self._crons = crons
        self._jobs = jobs
        self._served: dict[str, datetime] = {}

    async def look(self) -> float | None:
        """One look; returns in how many seconds the next one is due."""
        now = datetime.now(UTC)
        upcoming = [n for cron in self._crons if (n := await self._look_at(cron, now)) is not None]
        return max(0.01, (min(upcoming) - now).total_seconds()) if upcoming else None

    async def _look_at(self, cron: Json, now: datetime) -> datetime | None:
        if is_terminating(cron):
            return None
        mine = [j for j in self._jobs.of(cron["metadata"]["namespace"]) if (controller_of(j) or {}).get("uid") == cron["metadata"]["uid"]]
        active = [j for j in mine if not finished(j)]
        when: Due | None = None
        if not cron["spec"].get("suspend"):
            try:
                when = due(cron, self._last(cron), now)
            except ValueError as problem:
                _log.warning("CronJob %s: %s", cron["metadata"]["name"], problem)
                return None
            if when.at is not None:
                active = await self._serve(cron, when.at, active)
        await self._record(cron, active, mine)
        for job in too_old(mine, cron):
            await self._client.delete(job)
        return when.next if when else None

    def _last(self, cron: Json) -> datetime:
        uid = str(cron["metadata"]["uid"])
        text = (cron.get("status") or {}).get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
        return self._served.get(uid) or moment(str(text))

    async def _serve(self, cron: Json, at: datetime, active: list[Json]) -> list[Json]:
        """Make the Job for *at* if the policy lets it; returns the active ones afterwards."""
        policy = cron["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            return active
        if policy == "Replace":
            for job in active:
                await self._client.delete(job)
            active = []
        self._served[str(cron["metadata"]["uid"])] = at
        made = await created(self._client, job_of(cron, at))
        self._jobs.note(made)
        return [*active, made]

    async def _record(self, cron: Json, active: list[Json], mine: list[Json]) -> None:
        before = cron.get("status") or {}
        refs = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": j["metadata"]["name"], "namespace": j["metadata"]["namespace"], "uid": j["metadata"]["uid"]}
            for j in active
        ]
        status: Json = {"active": refs}
        served = self._served.get(str(cron["metadata"]["uid"]))
        if served is not None:
            status["lastScheduleTime"] = stamp(served)
        ended = [str(j["status"]["completionTime"]) for j in mine if (j.get("status") or {}).get("completionTime")]
        if ended:
            status["lastSuccessfulTime"] = max(ended)
        if any(before.get(k) != v for k, v in status.items() if v or before.get(k)):
            self._crons.note(await self._client.patch_status(cron, status))


async def run(ctx: ControllerContext) -> None:
    """Serve the cluster's CronJobs until the context's stop event is set."""
    crons = shared(ctx.client, Watched("batch/v1", "CronJob"))
    jobs = shared(ctx.client, Watched("batch/v1", "Job"))
    async with following([crons, jobs]) as changed:
        await reconcile(ctx.stop, changed, CronJobs(ctx.client, crons, jobs).look)
