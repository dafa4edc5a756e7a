"""Workloads that may run in one cluster only: CronJobs, queue consumers, schedulers. Stopped at one side in Git, none left running, then started at the other."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.gates import none_running
from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, opened, shut, worst
from bennu.manifests import tree
from bennu.phases import warm_directory
from bennu.phases.base import World
from bennu.phases.kinds import BY_NAME, CRONJOB, JOB, POD, available, labels_of, name_of, wanted
from bennu.phases.reconciled import FluxStep
from bennu.ports.kubernetes import Json, Kubernetes, Ref
from bennu.ports.repository import Edit
from bennu.settings import WorkloadSettings


class _Exclusive(FluxStep):
    """Common to both: whose, and where."""

    def __init__(self, *, at_source: bool, step_id: str) -> None:
        super().__init__()
        self.id = step_id  # type: ignore[misc]  # one class, an id a use
        self._at_source = at_source

    def colour(self, world: World) -> Colour:
        """The cluster that is changed."""
        return world.rotation.source if self._at_source else world.rotation.target

    def where(self, world: World) -> tuple[Colour, ...]:
        """That cluster alone."""
        return (self.colour(world),)

    def workloads(self, world: World) -> tuple[WorkloadSettings, ...]:
        """Which ones."""
        return tuple(world.conf.active_only)

    def timeout_s(self, policy: Policy) -> float:
        """What the slowest workload may take (``stop_within``), and Flux' share on top."""
        return policy.stop_timeout_s + policy.reconcile_timeout_s


class Stop(_Exclusive):
    """Hold the workloads, and wait until none runs."""

    title = "what may run only once stops"
    awaits = "no pod of an active_only workload running"
    subject = "Stop what may run only once, before the switchover"
    why = "These workloads must never run in two clusters at once."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """profile-sync.yaml with holding patches."""
        path = world.path(self.colour(world), tree.PROFILE_SYNC)
        text = world.systems.repository.read(path)
        return () if text is None else (Edit(path, warm_directory.held(world, text, path, self.workloads(world))),)

    def then(self, world: World) -> Verdict:
        """None running."""
        cluster = world.systems.cluster(self.colour(world))
        found = [none_running(w.kind, f"{w.namespace}/{w.name}", running(cluster, w)) for w in self.workloads(world)]
        return worst(found) if found else opened("nothing is declared active_only")


class Start(_Exclusive):
    """Release the workloads."""

    title = "what may run only once starts"
    awaits = "the active_only workloads to run"
    subject = "Start what may run only once"
    why = "The other cluster runs none of them any more."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """profile-sync.yaml without the holding patches."""
        path = world.path(self.colour(world), tree.PROFILE_SYNC)
        text = world.systems.repository.read(path)
        return () if text is None else (Edit(path, warm_directory.released(world, text, path, self.workloads(world))),)

    def then(self, world: World) -> Verdict:
        """Deployments available, CronJobs not suspended."""
        cluster = world.systems.cluster(self.colour(world))
        found = [_runs(cluster, w) for w in self.workloads(world)]
        return worst(found) if found else opened("nothing is declared active_only")


def running(cluster: Kubernetes, workload: WorkloadSettings) -> int | None:
    """How many pods of a workload exist (terminating ones count: they still run). None = its object cannot be read."""
    live = cluster.get(Ref(BY_NAME[workload.kind], workload.name, workload.namespace))
    if live is None:
        return 0
    pods = cluster.list(POD, namespace=workload.namespace)
    alive = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    if workload.kind == CRONJOB.kind:
        jobs = {name_of(job) for job in cluster.list(JOB, namespace=workload.namespace) if _owned_by(job, "CronJob", workload.name)}
        return sum(1 for pod in alive if any(_owned_by(pod, "Job", job) for job in jobs))
    selector = live.get("spec", {}).get("selector", {}).get("matchLabels") or {}
    return sum(1 for pod in alive if selector.items() <= labels_of(pod).items())


def _owned_by(obj: Json, kind: str, name: str) -> bool:
    return any(owner.get("kind") == kind and owner.get("name") == name for owner in obj.get("metadata", {}).get("ownerReferences") or [])


def _runs(cluster: Kubernetes, workload: WorkloadSettings) -> Verdict:
    live = cluster.get(Ref(BY_NAME[workload.kind], workload.name, workload.namespace))
    label = f"{workload.kind} {workload.namespace}/{workload.name}"
    if live is None:
        return shut(f"{label} is not there")
    if workload.kind == CRONJOB.kind:
        return shut(f"{label} is suspended") if live.get("spec", {}).get("suspend") else opened(f"{label} is scheduled")
    return (
        opened(f"{label} runs") if wanted(live) and available(live) >= wanted(live) else shut(f"{label}: {available(live)} of {max(wanted(live), 1)} available")
    )
