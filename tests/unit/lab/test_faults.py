"""What can be broken, by name: in force where it was meant, and never silently nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.errors import UsageError
from bennu.lab.faults import broken, forgotten, healed
from bennu.lab.places import ClusterFacts, LabDir


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    """Two clusters, as their files tell it."""
    lab = LabDir(tmp_path)
    for colour in ("blue", "green"):
        lab.cluster(colour).save(ClusterFacts(colour, "prod/us-east-1", "", "", "", "", 1, 1, 1, "", "", {"kubeapi": {"pid": 1, "started": "never"}}))
    return lab


@pytest.mark.parametrize(
    ("what", "how", "expected"),
    [
        ("link", "", {"link:blue-green": "cut", "link:green-blue": "cut"}),
        ("link:green-blue", "stall", {"link:green-blue": "stall"}),
        ("redis:blue", "stop", {"redis:blue": "stop"}),
        ("flux", "", {"flux:blue": "down", "flux:green": "down"}),
        ("payment:green", "slow", {"payment:green": "slow"}),
        ("git", "stall", {"git": "stall"}),
        ("metrics", "empty", {"metrics": "empty"}),
        ("api:green", "", {"api:green": "stop"}),
    ],
)
def test_a_fault_is_in_force_by_its_names_until_it_is_healed(lab: LabDir, what: str, how: str, expected: dict[str, str]) -> None:
    assert set(broken(lab, what, how)) == set(expected)
    assert lab.faults() == expected
    assert set(healed(lab, what)) == set(expected)
    assert lab.faults() == {}


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("lnik", "did you mean link"),
        ("metric", "did you mean metrics"),
        ("zzz", "choose: the mesh link"),
        ("flux:gren", "did you mean flux:green"),
        ("link:blue-gren", "did you mean link:blue-green"),
        ("link:blue-blue", "there is: link:blue-green"),
        ("redis:red", "there is: redis:blue, redis:green"),
        ("git:blue", "there is: git"),
    ],
)
def test_what_is_not_there_cannot_be_broken(lab: LabDir, what: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        broken(lab, what)
    assert hint in caught.value.next_step
    assert lab.faults() == {}


def test_a_way_that_is_none_is_refused_with_the_choices(lab: LabDir) -> None:
    with pytest.raises(UsageError) as caught:
        broken(lab, "link", "burn")
    assert "cut, stall" in caught.value.next_step


def test_a_link_needs_two_clusters(lab: LabDir) -> None:
    (lab.cluster("green").root / "cluster.json").unlink()
    with pytest.raises(UsageError, match="one cluster, blue"):
        broken(lab, "link")


def test_healing_all_heals_all_and_needs_nothing_broken(lab: LabDir) -> None:
    assert healed(lab, "all") == ()
    broken(lab, "git")
    broken(lab, "flux:blue")
    assert set(healed(lab, "all")) == {"git", "flux:blue"}


def test_what_is_not_broken_is_said_with_what_is(lab: LabDir) -> None:
    broken(lab, "git")
    with pytest.raises(UsageError) as caught:
        healed(lab, "dns")
    assert caught.value.next_step == "broken now: git"
    with pytest.raises(UsageError) as typo:
        healed(lab, "gti")
    assert "did you mean git" in typo.value.next_step


def test_a_second_kill_is_another_one(lab: LabDir) -> None:
    broken(lab, "redis:blue")
    first = lab.faults()["redis:blue"]
    broken(lab, "redis:blue")
    assert first == "kill"
    assert lab.faults()["redis:blue"] == "kill#2"


def test_a_cluster_that_is_gone_takes_its_faults_along(lab: LabDir) -> None:
    for what in ("git", "link", "flux", "api:green"):
        broken(lab, what)
    forgotten(lab, "green")
    assert set(lab.faults()) == {"git", "flux:blue"}


def test_the_faults_of_a_cluster_that_is_gone_can_be_healed(lab: LabDir) -> None:
    broken(lab, "api:green")
    (lab.cluster("green").root / "cluster.json").unlink()
    assert healed(lab, "all") == ("api:green",)
