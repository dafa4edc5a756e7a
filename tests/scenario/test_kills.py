"""kill -9 anywhere, and resume: by the same laptop, and by another one that has nothing but the repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.scenario.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]

# Each is the last line that the killed process said: what comes next is cut in the middle.
POINTS = {
    "provisioning": "✓ the target's directory in Git",
    "bootstrapping": "✓ Flux' own objects",
    "replicating": "✓ the redis-init-sync Job",
    "canary": "✓ watching 20 %",
    "before the fence": "✓ what may run only once stops",
    "inside the hand-over": "✓ the pre-check",
    "after the hand-over": "writes were paused",
    "dns": "✓ all traffic to the new master",
    "draining": "✓ the Links are removed",
}


def killed(here: Rehearsal, verb: str, point: str, *more: str) -> None:
    options = ["--yes"] if verb == "start" else more
    with here.second_terminal("rotate", verb, "--no-input", "--auto-promote", *options) as run:
        run.until_says(POINTS[point])
        run.kill()
        assert run.end().code == -9


@pytest.mark.parametrize(
    "points",
    [("provisioning", "canary", "before the fence"), ("bootstrapping", "inside the hand-over", "dns"), ("replicating", "after the hand-over", "draining")],
    ids="-".join,
)
def test_a_rotation_killed_three_times_ends_whole(tmp_path: Path, points: tuple[str, ...]) -> None:
    with rehearsal(tmp_path) as here:
        killed(here, "start", points[0])
        # Another laptop: only the repository is left. Of the same user and host's name, and another machine all the same.
        shutil.rmtree(tmp_path / "state")
        told = here.bennu("rotate", "status", "--why", "-o", "json").data
        assert (told["outlook"]["code"], told["stale"]) == (0, "")
        assert (bool(told["outlook"]["gates"]), bool(told["intent"]["step"]), told["ages"]["heartbeat"] >= 0) == (True, True, True)
        assert "a resume" in here.bennu("rotate", "status", "--why").out
        refused = here.bennu("rotate", "resume", "--no-input")
        lock = json.loads(here.bennu("unlock", "-o", "json").out)["lock"]["id"]
        assert refused.code == 4
        assert f"rotate resume --take-over {lock}" in refused.err
        killed(here, "resume", points[1], "--take-over", lock, "--force")
        killed(here, "resume", points[2])
        assert here.traffic_flows()
        said = here.bennu("rotate", "resume", "--no-input", "--auto-promote")
        assert said.code == 0, said.err
        assert [line for line in said.err.splitlines() if line.startswith("bennu: a resume ")], said.err
        here.assert_at_rest("green")
