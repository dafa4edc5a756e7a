"""One rotation in the lab, killed at every failpoint of S6 and at one of each other phase; each time somebody else goes on, or the same again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.chain import chained
from tests.chaos.struck import Orders
from tests.scenario.rehearsal import rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(1200)]

S6 = "switchover-locked"
PHASES = ("provisioning", "bootstrapping", "mesh-linking", "data-syncing", "traffic-canary", "promoted", "draining")
# What the hand-over does to the servers, of which no call may be missing.
HAND_OVER = ("source.pause", "source.fence", "target.make_master", "source.unpause", "source.attach", "source.cut_clients", "target.write_probe")


def test_a_rotation_killed_at_every_failpoint_of_s6_ends_whole(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        met = tmp_path / "met"
        met.touch()
        figures = chained(here, Orders(1, "blue", "green", str(met), phases=(S6,)))
    print(figures.line())
    assert {*PHASES} <= {place.split()[1].split(".")[0] for place in figures.places}
    for when in ("before", "after"):
        assert {f"{when} {S6}.hand-over redis.{call} #1" for call in HAND_OVER} <= {*figures.places}
    assert sum(S6 in place for place in figures.places) > 60
    assert (figures.lost, figures.twice, figures.masters) == (0, 0, [])
    # Whatever had to be begun anew is committed once all the same, where no attempt was given up on the way.
    assert figures.commits["Hand the write authority to cluster-green"] == 1
    assert figures.stopped or set(figures.commits.values()) == {1}, figures.commits
