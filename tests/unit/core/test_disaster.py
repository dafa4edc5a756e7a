"""A dead source: what may be lost, what proves that it is fenced, and whose data may become the group's."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bennu.core.disaster import AT, OFFSET, Evidence, Replica, Sample, exposed, fenced, promotable, sampled
from bennu.core.verdict import Answer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEFT = Replica(
    offset=60_000, keys=7, replid="a" * 40, replid2="", link_down_s=60, link_up=False, syncing=False, persistent=True, follows=True
)  # fmt: skip
SILENT = Evidence("cluster-blue", redis_answers=False, api_answers=False, known=True)


def test_the_rate_is_that_between_the_sample_and_the_last_byte_that_arrived() -> None:
    # Ten minutes between the sample and the death, in which 60,000 bytes arrived; dead for one minute.
    found = exposed(LEFT, Sample(0, NOON - timedelta(minutes=11)), NOON)
    assert found.bytes_per_s == pytest.approx(100.0)
    assert "about 100 bytes" in found.words()
    assert "about 6000 bytes if it went on until now" in found.words()


@pytest.mark.parametrize(
    "sample",
    [None, Sample(70_000, NOON - timedelta(minutes=11)), Sample(0, NOON)],
    ids=["never sampled", "another stream", "sampled after it died"],
)
def test_a_rate_that_cannot_be_told_is_not_made_up(sample: Sample | None) -> None:
    found = exposed(LEFT, sample, NOON)
    assert found.bytes_per_s is None
    assert "never sampled" in found.words()


def test_a_sample_is_read_back_as_the_journal_has_it() -> None:
    assert sampled({OFFSET: "12", AT: NOON.isoformat()}) == Sample(12, NOON)
    assert sampled({}) is None


def test_a_silent_server_alone_proves_nothing() -> None:
    verdict = fenced(SILENT)
    assert verdict.answer is Answer.UNKNOWN
    assert "the API of cluster-blue is silent" in verdict.reason
    assert "the provisioner has it still" in verdict.reason


@pytest.mark.parametrize(
    ("seen", "proof"),
    [
        (replace(SILENT, api_answers=True, redis_pods=0, nodes=3), "scaled to 0"),
        (replace(SILENT, api_answers=True, redis_pods=1, nodes=0), "no node"),
        (replace(SILENT, known=False), "the provisioner has no cluster-blue"),
        (replace(SILENT, typed="cluster-blue"), "an operator said"),
    ],
    ids=["scaled to 0", "nodes gone", "destroyed", "typed"],
)
def test_each_proof_is_enough(seen: Evidence, proof: str) -> None:
    verdict = fenced(seen)
    assert verdict.is_open
    assert proof in verdict.reason


@pytest.mark.parametrize(
    "seen",
    [
        replace(SILENT, redis_answers=True, typed="cluster-blue"),
        replace(SILENT, typed="cluster-green"),
        replace(SILENT, typed="blue"),
        replace(SILENT, known=False, api_answers=True, redis_pods=1, nodes=2),
        replace(SILENT, known=None),
        replace(SILENT, api_answers=True, redis_pods=1, nodes=2),
    ],
    ids=["it answers", "another's name", "not the whole name", "the provisioner errs", "nobody knows", "pods and nodes"],
)
def test_anything_less_is_no_proof(seen: Evidence) -> None:
    assert not fenced(seen).is_open


def test_whole_data_of_the_groups_history_may_be_promoted() -> None:
    assert promotable(LEFT, LEFT.replid).is_open
    assert promotable(replace(LEFT, replid="b" * 40, replid2=LEFT.replid), LEFT.replid).is_open
    assert promotable(LEFT, "").is_open


@pytest.mark.parametrize(
    ("left", "why"),
    [
        (replace(LEFT, link_up=True), "still hears"),
        (replace(LEFT, follows=False), "parked"),
        (replace(LEFT, syncing=True), "full synchronisation"),
        (replace(LEFT, replid="c" * 40), "history"),
        (replace(LEFT, keys=0), "no key"),
        (replace(LEFT, persistent=False), "persistence"),
    ],
)
def test_what_is_not_the_groups_data_is_refused_by_name(left: Replica, why: str) -> None:
    verdict = promotable(left, LEFT.replid)
    assert verdict.failed
    assert why in verdict.reason
