"""What a Job does next: pods until enough succeeded or too many failed.

Pure. ``completions``, ``parallelism``, ``backoffLimit``, ``suspend``, ``activeDeadlineSeconds`` and ``ttlSecondsAfterFinished`` count; indexed completion and
pod failure policies are not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bennu.lab.controllers.workloads_templates import Json, Plan, condition_of, is_ready, is_terminating, phase_of, pod_of, suffix


@dataclass(frozen=True)
class _Tally:
    active: tuple[Json, ...]
    ending: int
    succeeded: int
    failed: int


def stamp(when: datetime) -> str:
    """RFC 3339 in UTC, to the second, as the API has it."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """The moment an API timestamp names."""
    return datetime.fromisoformat(text)


def finished(job: Mapping[str, Any]) -> bool:
    """Whether the Job is Complete or Failed."""
    return any(condition_of(job, kind).get("status") == "True" for kind in ("Complete", "Failed"))


def expires(job: Mapping[str, Any]) -> datetime | None:
    """When a finished Job with a ``ttlSecondsAfterFinished`` may be deleted."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or not finished(job):
        return None
    ended = [c for kind in ("Complete", "Failed") if (c := condition_of(job, kind)).get("status") == "True"]
    return moment(str(ended[0]["lastTransitionTime"])) + timedelta(seconds=float(ttl))


def plan_job(job: Mapping[str, Any], pods: Sequence[Json], now: datetime) -> Plan:
    """The pods to create or to delete, and the status."""
    tally = _tallied(pods)
    if finished(job):
        return Plan((), _names(tally.active), {**(job.get("status") or {}), "active": 0})
    verdict = _verdict(job, tally, now)
    if verdict is not None:
        return Plan((), _names(tally.active), _status(job, tally, now, verdict))
    if job["spec"].get("suspend"):
        return Plan((), _names(tally.active), _status(job, tally, now, None))
    # A pod that is being ended still counts as running: nothing may run twice.
    room = int(job["spec"].get("parallelism", 1)) - len(tally.active) - tally.ending
    left = int(job["spec"].get("completions", 1)) - tally.succeeded - len(tally.active) - tally.ending
    births = tuple(_pod(job) for _ in range(max(0, min(room, left))))
    return Plan(births, (), _status(job, tally, now, None))


def _tallied(pods: Sequence[Json]) -> _Tally:
    done = {"Succeeded": 0, "Failed": 0}
    active, ending = [], 0
    for pod in pods:
        phase = phase_of(pod)
        if phase in done:
            done[phase] += 1
        elif is_terminating(pod):
            ending += 1
        else:
            active.append(pod)
    return _Tally(tuple(active), ending, done["Succeeded"], done["Failed"])


def _verdict(job: Mapping[str, Any], tally: _Tally, now: datetime) -> Json | None:
    spec, started = job["spec"], (job.get("status") or {}).get("startTime")
    if tally.succeeded >= int(spec.get("completions", 1)):
        return {"type": "Complete", "status": "True", "reason": "CompletionsReached", "message": "Reached expected number of succeeded pods"}
    if tally.failed > int(spec.get("backoffLimit", 6)):
        return {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and started and now >= moment(started) + timedelta(seconds=float(deadline)):
        return {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline"}
    return None


def _status(job: Mapping[str, Any], tally: _Tally, now: datetime, verdict: Json | None) -> Json:
    before = job.get("status") or {}
    status: Json = {
        "active": len(tally.active),
        "ready": sum(is_ready(p) for p in tally.active),
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "terminating": tally.ending,
    }
    if not job["spec"].get("suspend"):
        status["startTime"] = before.get("startTime") or stamp(now)
    if verdict is not None:
        status |= {"active": 0, "ready": 0, "conditions": [{**verdict, "lastProbeTime": stamp(now), "lastTransitionTime": stamp(now)}]}
        if verdict["type"] == "Complete":
            status["completionTime"] = stamp(now)
    return status


def _pod(job: Mapping[str, Any]) -> Json:
    name = str(job["metadata"]["name"])
    labels = {"job-name": name, "batch.kubernetes.io/job-name": name, "controller-uid": str(job["metadata"]["uid"])}
    pod = pod_of(job, f"{name}-{suffix()}", labels)
    pod["spec"].setdefault("restartPolicy", "Never")
    return pod


def _names(pods: Sequence[Json]) -> tuple[str, ...]:
    return tuple(str(p["metadata"]["name"]) for p in pods)
