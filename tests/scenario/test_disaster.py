"""The active cluster dies: the operator is told what is known, agrees to the loss by name, and the group goes on at the target."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from bennu.lab import audit, world
from tests.scenario.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("disaster")) as found:
        yield found


def lost(here: Rehearsal, master: str) -> set[str]:
    """Acknowledged writes that the master does not have."""
    return set(audit.audited(here.lab, master).lost)


def test_the_active_cluster_dies_while_the_canary_waits(here: Rehearsal) -> None:
    with here.second_terminal("rotate", "start", "--yes", "--no-input") as start:
        start.until_says("waits for 'bennu rotate promote'")
        assert here.bennu("rotate", "promote", "--dr", "--accept-loss", "--gone", "cluster-blue", "--yes").code in (3, 4)
        assert here.bennu("lab", "break", "cluster:blue", "--dir", str(here.lab.root)).out == "broken: cluster:blue\n"
        assert start.end().code in (5, 7, 8)
    refused = here.bennu("rotate", "promote", "--dr", "--no-input")
    assert refused.code == 7, refused.err
    assert re.search(r"the target holds \d+ keys, up to offset \d+; its link has been down for \d+ s", refused.err)
    assert re.search(r"the source wrote about \d+ bytes of replication stream a second", refused.err)
    assert "nothing was changed" in refused.err
    assert "bennu rotate promote --dr --accept-loss --gone cluster-blue" in refused.err
    said = here.bennu("rotate", "promote", "--dr", "--accept-loss", "--gone", "cluster-blue", "--yes", "--no-input")
    assert said.code == 0, said.err
    standing = here.standing()
    assert (standing["state"], standing["lock"]) == ("IDLE_STABLE", None)
    assert {count for _, count in here.masters_ever()} <= {0, 1}
    assert here.traffic_flows()
    # What died with blue is lost; nothing that green acknowledged is.
    gone = lost(here, "green")
    assert here.traffic_flows()
    assert lost(here, "green") == gone


def test_what_is_left_of_the_dead_cluster_is_taken_down_by_its_name(here: Rehearsal) -> None:
    assert here.bennu("rotate", "cleanup", "--colour", "blue", "--gone", "cluster-green", "--yes").code == 2
    said = here.bennu("rotate", "cleanup", "--colour", "blue", "--gone", "cluster-blue", "--yes", "--no-input")
    assert said.code == 0, said.err
    assert here.directories() == {"green"}
    assert [cluster.load().colour for cluster in here.lab.clusters()] == ["green"]
    assert here.traffic_flows()


def test_the_group_rotates_on_from_there(here: Rehearsal) -> None:
    said = here.start("--auto-promote", "--keep-source")
    assert said.code == 0, said.err
    assert here.directories() == {"green", "red"}
    before = lost(here, "red")
    assert int(world.traffic(here.lab)["acknowledged_total"]) > 0
    here.bennu("lab", "break", "cluster:red", "--dir", str(here.lab.root))
    assert here.bennu("rotate", "promote", "--dr").code == 3
    said = here.bennu("rotate", "start", "--dr", "--accept-loss", "--gone", "cluster-red", "--yes", "--no-input")
    assert said.code == 0, said.err
    assert here.traffic_flows()
    assert before <= lost(here, "green")
