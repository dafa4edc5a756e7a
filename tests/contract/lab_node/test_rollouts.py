"""What Deployments, StatefulSets, DaemonSets and Jobs do next, decided from what is there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bennu.lab.controllers.workloads_daemonsets import plan_daemonset
from bennu.lab.controllers.workloads_deployments import plan_deployment
from bennu.lab.controllers.workloads_jobs import expires, plan_job
from bennu.lab.controllers.workloads_statefulsets import plan_statefulset
from bennu.lab.controllers.workloads_templates import Plan

NOW = "2026-11-23T12:00:00Z"
NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Json = dict[str, Any]


def workload(kind: str, image: str = "bennu.lab/pause", **spec: Any) -> Json:
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "payments", "uid": "owner", "generation": 3},
        "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}, **spec},
    }


def as_ready(pods: Sequence[Json]) -> list[Json]:
    done = []
    for i, pod in enumerate(pods):
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        done.append({**pod, "metadata": {**pod["metadata"], "uid": f"p{i}"}, "status": status})
    return done


def created(plan: Plan, kind: str = "Pod") -> list[Json]:
    return [o for o in plan.create if o["kind"] == kind]


def test_a_deployment_makes_as_many_pods_as_it_wants() -> None:
    plan = plan_deployment(workload("Deployment", replicas=3), [], NOW)
    assert len(plan.create) == 3
    assert all(p["metadata"]["ownerReferences"][0]["uid"] == "owner" for p in plan.create)


def test_a_rolling_update_starts_new_pods_before_it_ends_old_ones() -> None:
    old = as_ready(plan_deployment(workload("Deployment", replicas=1), [], NOW).create)
    changed = workload("Deployment", "bennu.lab/other", replicas=1)
    first = plan_deployment(changed, old, NOW)
    assert len(first.create) == 1
    assert first.delete == ()
    second = plan_deployment(changed, old + as_ready(first.create), NOW)
    assert second.delete == (old[0]["metadata"]["name"],)


def test_recreate_ends_all_old_pods_before_it_starts_one() -> None:
    old = as_ready(plan_deployment(workload("Deployment", replicas=1), [], NOW).create)
    changed = workload("Deployment", "bennu.lab/other", replicas=1, strategy={"type": "Recreate"})
    first = plan_deployment(changed, old, NOW)
    assert (first.create, first.delete) == ((), (old[0]["metadata"]["name"],))
    ending = [{**old[0], "metadata": {**old[0]["metadata"], "deletionTimestamp": NOW}}]
    assert plan_deployment(changed, ending, NOW).create == ()
    assert len(plan_deployment(changed, [], NOW).create) == 1


def test_scaling_to_zero_ends_every_pod_and_says_so() -> None:
    pods = as_ready(plan_deployment(workload("Deployment", replicas=2), [], NOW).create)
    plan = plan_deployment(workload("Deployment", replicas=0), pods, NOW)
    assert len(plan.delete) == 2
    done = plan_deployment(workload("Deployment", replicas=0), [], NOW).status
    assert (done["replicas"], done["readyReplicas"], done["observedGeneration"]) == (0, 0, 3)
    assert done["conditions"][0]["status"] == "True"


def test_an_unchanged_condition_keeps_its_time() -> None:
    deployment = workload("Deployment", replicas=1)
    pods = as_ready(plan_deployment(deployment, [], NOW).create)
    deployment["status"] = plan_deployment(deployment, pods, NOW).status
    later = plan_deployment(deployment, pods, "2026-11-23T13:00:00Z").status
    assert later["conditions"][0]["lastTransitionTime"] == NOW


def redis(**spec: Any) -> Json:
    claim = {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    return workload("StatefulSet", **{"replicas": 2, "volumeClaimTemplates": [claim], **spec})


def test_a_statefulset_makes_its_pods_one_after_the_other_with_their_claims() -> None:
    first = plan_statefulset(redis(), [], [])
    assert [p["metadata"]["name"] for p in created(first)] == ["web-0"]
    assert [c["metadata"]["name"] for c in created(first, "PersistentVolumeClaim")] == ["data-web-0"]
    second = plan_statefulset(redis(), as_ready(created(first)), ["data-web-0"])
    assert [o["metadata"]["name"] for o in second.create] == ["data-web-1", "web-1"]


def test_a_claim_that_exists_is_used_again() -> None:
    assert created(plan_statefulset(redis(), [], ["data-web-0"]), "PersistentVolumeClaim") == []


def both(image: str = "bennu.lab/pause") -> list[Json]:
    one = created(plan_statefulset(redis(), [], []))
    two = created(plan_statefulset(redis(), as_ready(one), []))
    return as_ready(one + two)


def changed_redis(**spec: Any) -> Json:
    return {**redis(**spec), "spec": {**redis(**spec)["spec"], "template": workload("StatefulSet", "bennu.lab/other")["spec"]["template"]}}


def test_an_update_goes_from_the_last_ordinal_down() -> None:
    assert plan_statefulset(changed_redis(), both(), []).delete == ("web-1",)


def test_on_delete_leaves_pods_with_an_old_template_alone() -> None:
    assert plan_statefulset(changed_redis(updateStrategy={"type": "OnDelete"}), both(), []).delete == ()


def test_a_partition_holds_lower_ordinals_back() -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    assert plan_statefulset(changed_redis(updateStrategy=strategy), both(), []).delete == ()


def test_scaling_down_ends_the_last_pod_and_keeps_its_claim() -> None:
    plan = plan_statefulset(redis(replicas=1), both(), ["data-web-0", "data-web-1"])
    assert (plan.delete, plan.create) == (("web-1",), ())


def test_a_daemonset_has_one_pod_for_the_one_node() -> None:
    plan = plan_daemonset(workload("DaemonSet"), [])
    assert len(plan.create) == 1
    ready = as_ready(plan.create)
    assert plan_daemonset(workload("DaemonSet"), ready).status["numberReady"] == 1
    assert plan_daemonset(workload("DaemonSet", "bennu.lab/other"), ready).delete == (ready[0]["metadata"]["name"],)


def ended(pod: Json, phase: str) -> Json:
    return {**pod, "status": {"phase": phase}}


def test_a_job_is_complete_when_its_pod_succeeded() -> None:
    job = workload("Job")
    (pod,) = plan_job(job, [], NOON).create
    status = plan_job(job, [ended(pod, "Succeeded")], NOON).status
    assert status["conditions"][0]["type"] == "Complete"
    assert status["succeeded"] == 1


def test_a_job_fails_beyond_its_backoff_limit() -> None:
    job = workload("Job", backoffLimit=1)
    pod = plan_job(job, [], NOON).create[0]
    assert len(plan_job(job, [ended(pod, "Failed")], NOON).create) == 1
    assert plan_job(job, [ended(pod, "Failed")] * 2, NOON).status["conditions"][0]["reason"] == "BackoffLimitExceeded"


def test_a_pod_that_is_being_ended_still_counts_so_that_nothing_runs_twice() -> None:
    job = workload("Job")
    pod = plan_job(job, [], NOON).create[0]
    ending = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": NOW}, "status": {"phase": "Running"}}
    assert plan_job(job, [ending], NOON).create == ()


def test_a_suspended_job_runs_nothing() -> None:
    assert plan_job(workload("Job", suspend=True), [], NOON).create == ()


def test_a_finished_job_expires_after_its_time_to_live() -> None:
    job = workload("Job", ttlSecondsAfterFinished=60)
    assert expires(job) is None
    job["status"] = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": NOW}]}
    assert expires(job) == NOON + timedelta(seconds=60)
