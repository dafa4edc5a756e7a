"""The exit criteria: each answers open, shut or unknown, and what could not be observed opens none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bennu.core.gates import (
    LagPoint,
    LinkView,
    NodeState,
    Reconciliation,
    Workload,
    cluster_ready,
    control_plane_ready,
    dns_moved,
    drained,
    flux_at,
    lag_soaked,
    link_ready,
    none_running,
)
from bennu.core.verdict import Answer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
READY = Reconciliation("Kustomization apps", suspended=False, generation_current=True, ready="True", message="", revision=f"main@sha1:{COMMIT}")
NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


# S1


def test_a_cluster_with_its_nodes_ready_opens() -> None:
    verdict = cluster_ready("v1.34.1", (NodeState("a", True), NodeState("b", True)))
    assert verdict.is_open
    assert verdict.reason == "Kubernetes v1.34.1, 2 nodes ready"
    assert verdict.figures == (("nodes", "2"),)


@pytest.mark.parametrize(
    ("version", "nodes", "answer", "words"),
    [
        (None, None, Answer.SHUT, "does not answer"),
        (None, (NodeState("a", True),), Answer.SHUT, "does not answer"),
        ("v1", None, Answer.UNKNOWN, "could not be listed"),
        ("v1", (), Answer.SHUT, "no nodes yet"),
        ("v1", (NodeState("a", True), NodeState("b", False)), Answer.SHUT, "1 of 2 nodes ready; waiting for b"),
        ("v1", tuple(NodeState(name, False) for name in "abcde"), Answer.SHUT, "0 of 5 nodes ready; waiting for a, b, c"),
    ],
)
def test_a_cluster_that_lacks_something_does_not(version: str | None, nodes: tuple[NodeState, ...] | None, answer: Answer, words: str) -> None:
    verdict = cluster_ready(version, nodes)
    assert verdict.answer is answer
    assert words in verdict.reason
    assert not verdict.failed, "it may still come up"


# S2


def test_flux_at_the_commit_opens() -> None:
    assert flux_at(COMMIT, (READY, replace(READY, name="Kustomization infra"))).is_open


def test_a_resource_set_has_no_revision_to_compare() -> None:
    assert flux_at(COMMIT, (READY, replace(READY, name="ResourceSet profile", revision=""))).is_open


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (replace(READY, ready="False", message="path not found"), "is not ready: path not found"),
        (replace(READY, ready="Unknown"), "has not finished"),
        (replace(READY, ready=""), "has not finished"),
        (replace(READY, generation_current=False), "has not finished"),
        (replace(READY, generation_current=False, ready="False", message="old"), "has not finished"),
        (replace(READY, revision="main@sha1:ffffffffffffffffffffffffffffffffffffffff"), "waiting for 0123456789ab"),
    ],
)
def test_an_object_that_is_not_at_the_commit_keeps_the_gate_shut(one: Reconciliation, words: str) -> None:
    verdict = flux_at(COMMIT, (READY, one))
    assert verdict.answer is Answer.SHUT
    assert words in verdict.reason
    assert not verdict.failed


def test_a_suspended_object_fails_since_waiting_will_not_mend_it() -> None:
    assert flux_at(COMMIT, (READY, replace(READY, suspended=True))).failed


def test_a_later_commit_is_as_good_where_it_was_found_to_descend_from_ours() -> None:
    later = replace(READY, revision="main@sha1:ffffffffffffffffffffffffffffffffffffffff")
    assert not flux_at(COMMIT, (later,)).is_open
    assert flux_at(COMMIT, (later,), descends=True).is_open
    assert not flux_at(COMMIT, (replace(later, ready="Unknown"),), descends=True).is_open


def test_no_flux_object_and_no_commit_open_nothing() -> None:
    assert flux_at(COMMIT, ()).answer is Answer.SHUT
    assert flux_at("", (READY,)).answer is Answer.UNKNOWN


HEALTHY = (Workload("linkerd-destination", 1, 1), Workload("linkerd-identity", 2, 2))


def test_a_healthy_control_plane_with_an_issuer_that_outlives_the_rotation_opens() -> None:
    assert control_plane_ready(HEALTHY, NOW + timedelta(days=30), NOW + timedelta(hours=6)).is_open


@pytest.mark.parametrize(
    ("workloads", "ends", "answer", "fails"),
    [
        ((), NOW + timedelta(days=30), Answer.SHUT, False),
        ((Workload("linkerd-identity", 2, 1),), NOW + timedelta(days=30), Answer.SHUT, False),
        ((Workload("linkerd-identity", 0, 0),), NOW + timedelta(days=30), Answer.SHUT, False),
        (HEALTHY, None, Answer.UNKNOWN, False),
        (HEALTHY, NOW + timedelta(hours=5), Answer.SHUT, True),
        (HEALTHY, NOW + timedelta(hours=6), Answer.SHUT, True),
        (HEALTHY, NOW - timedelta(days=1), Answer.SHUT, True),
    ],
)
def test_any_other_control_plane_does_not(workloads: tuple[Workload, ...], ends: datetime | None, answer: Answer, fails: bool) -> None:
    verdict = control_plane_ready(workloads, ends, NOW + timedelta(hours=6))
    assert (verdict.answer, verdict.failed) == (answer, fails)


# S3

LINK = LinkView(
    "cluster-green → cluster-blue",
    exists=True,
    expected=("redis-cluster-blue", "api-cluster-blue"),
    mirrored=(("redis-cluster-blue", True, "Mirrored"), ("api-cluster-blue", True, "Mirrored")),
    ready_addresses={"redis-cluster-blue": True, "api-cluster-blue": True},
    gateway_alive=True,
    peer_api=True,
)


def test_a_link_whose_mirrors_gateway_and_other_api_server_answer_is_ready() -> None:
    assert link_ready(LINK).is_open


@pytest.mark.parametrize(
    ("link", "answer", "words"),
    [
        (replace(LINK, exists=False), Answer.SHUT, "does not exist yet"),
        (replace(LINK, mirrored=LINK.mirrored[:1]), Answer.SHUT, "waiting for mirror service api-cluster-blue"),
        (replace(LINK, mirrored=()), Answer.SHUT, "waiting for mirror service redis-cluster-blue"),
        (replace(LINK, mirrored=(LINK.mirrored[0], ("api-cluster-blue", False, "MissingNamespace"))), Answer.SHUT, "(MissingNamespace)"),
        (replace(LINK, ready_addresses={"redis-cluster-blue": True, "api-cluster-blue": False}), Answer.SHUT, "has no ready address"),
        (replace(LINK, ready_addresses={}), Answer.SHUT, "has no ready address"),
        (replace(LINK, gateway_alive=None), Answer.UNKNOWN, "no sample yet"),
        (replace(LINK, gateway_alive=False), Answer.SHUT, "the gateway is down"),
        (replace(LINK, peer_api=None), Answer.UNKNOWN, "was not asked yet"),
        (replace(LINK, peer_api=False), Answer.SHUT, "does not answer"),
    ],
)
def test_a_link_that_only_looks_ready_is_not(link: LinkView, answer: Answer, words: str) -> None:
    verdict = link_ready(link)
    assert verdict.answer is answer
    assert words in verdict.reason
    assert not verdict.failed, "the monitors' hysteresis decides, not one look"


def test_other_peoples_mirrors_do_not_count() -> None:
    foreign = replace(LINK, mirrored=(*LINK.mirrored, ("billing-cluster-blue", False, "Error")))
    assert link_ready(foreign).is_open


# S4


def _points(*lags: int, every: float = 2.0) -> tuple[LagPoint, ...]:
    return tuple(LagPoint(100 + every * index, lag, lag + 10) for index, lag in enumerate(lags))


def test_lag_below_the_limit_for_the_whole_soak_opens() -> None:
    verdict = lag_soaked(_points(*[0] * 31), 1024, 60)
    assert verdict.is_open
    assert verdict.figures == (("lag_bytes", "0"), ("lag_upper_bytes", "10"))


def test_one_sample_less_does_not() -> None:
    verdict = lag_soaked(_points(*[0] * 30), 1024, 60)
    assert verdict.answer is Answer.SHUT
    assert "for 58 of 60 s" in verdict.reason
    assert not verdict.failed


def test_a_breach_starts_the_time_again() -> None:
    breached = [0] * 30 + [1024] + [0] * 30
    assert not lag_soaked(_points(*breached), 1024, 60).is_open
    assert "for 58 of 60 s" in lag_soaked(_points(*breached), 1024, 60).reason
    assert lag_soaked(_points(*breached, 0), 1024, 60).is_open


def test_a_breach_at_this_moment_shuts_whatever_was_before() -> None:
    verdict = lag_soaked(_points(*[0] * 100, 1024), 1024, 60)
    assert verdict.answer is Answer.SHUT
    assert verdict.reason == "lag 1024 bytes, below 1024 is needed"


def test_a_hole_in_the_samples_starts_the_time_again_since_nobody_saw_what_happened_in_it() -> None:
    before, after = _points(*[0] * 31), tuple(replace(point, at=point.at + 3600) for point in _points(0, 0, 0))
    assert "for 4 of 60 s" in lag_soaked((*before, *after), 1024, 60).reason
    assert not lag_soaked((LagPoint(0, 0, 0), LagPoint(3600, 0, 0)), 1024, 60).is_open


def test_a_slow_poll_is_no_hole() -> None:
    assert lag_soaked(_points(0, 0, 0, every=30), 1024, 60).is_open


def test_no_sample_is_unknown() -> None:
    assert lag_soaked((), 1024, 60).answer is Answer.UNKNOWN


def test_the_lower_estimate_decides_and_the_upper_one_is_told() -> None:
    verdict = lag_soaked(tuple(LagPoint(2.0 * n, 0, 9000) for n in range(31)), 1024, 60)
    assert verdict.is_open
    assert "(at most 9000)" in verdict.reason


@given(lags=st.lists(st.integers(0, 2048), min_size=1, max_size=60), step=st.floats(0.5, 20))
def test_it_never_opens_within_a_soak_of_a_breach(lags: list[int], step: float) -> None:
    points = _points(*lags, every=step)
    if not lag_soaked(points, 1024, 60).is_open:
        return
    newest = points[-1].at
    assert all(point.lower < 1024 for point in points if newest - point.at <= 60)
    assert newest - points[0].at >= 60


# S7 and S8


def test_dns_has_moved_where_every_server_answers_with_the_new_address_alone() -> None:
    assert dns_moved({("api.acme.com", "ns1"): ("203.0.113.7",), ("api.acme.com", "1.1.1.1"): ("203.0.113.7",)}, "203.0.113.7").is_open


@pytest.mark.parametrize(
    ("targets", "answer"),
    [
        (None, Answer.UNKNOWN),
        ((), Answer.SHUT),
        (("203.0.113.1",), Answer.SHUT),
        (("203.0.113.7", "203.0.113.1"), Answer.SHUT),
        (("203.0.113.1", "203.0.113.7"), Answer.SHUT),
    ],
)
def test_one_server_that_lags_or_is_silent_keeps_it_from_opening(targets: tuple[str, ...] | None, answer: Answer) -> None:
    assert dns_moved({("a", "ns1"): ("203.0.113.7",), ("a", "ns2"): targets}, "203.0.113.7").answer is answer


def test_asking_nobody_is_unknown() -> None:
    assert dns_moved({}, "203.0.113.7").answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("rps", "answer"),
    [(0.0, Answer.OPEN), (0.5, Answer.OPEN), (0.51, Answer.SHUT), (90.0, Answer.SHUT), (None, Answer.UNKNOWN), (nan, Answer.UNKNOWN), (inf, Answer.UNKNOWN)],
)
def test_a_source_is_drained_where_its_traffic_was_measured_to_be_small(rps: float | None, answer: Answer) -> None:
    assert drained(rps, 0.5, ()).answer is answer


def test_whoever_still_calls_the_source_is_named() -> None:
    assert "clients: 10.0.0.4, 10.0.0.9" in drained(3.0, 0.5, ("10.0.0.4", "10.0.0.9")).reason
    assert "clients: unknown" in drained(3.0, 0.5, ()).reason


@pytest.mark.parametrize(("running", "answer"), [(0, Answer.OPEN), (1, Answer.SHUT), (None, Answer.UNKNOWN)])
def test_what_may_run_once_is_gone_only_where_its_pods_could_be_listed(running: int | None, answer: Answer) -> None:
    assert none_running("CronJob", "payments/settlement", running).answer is answer


def test_a_generation_that_flux_could_not_apply_is_told_with_its_reason() -> None:
    failed_build = Reconciliation(
        "Kustomization redis", suspended=False, generation_current=False, ready="False", message="kustomize build failed", revision=""
    )
    verdict = flux_at("a" * 40, (failed_build,))
    assert verdict.answer is Answer.SHUT
    assert "kustomize build failed" in verdict.reason
