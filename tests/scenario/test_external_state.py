"""State outside the clusters: ``redis: []`` is a whole rotation in which nothing is replicated and the pointer alone is handed over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.lab import world
from tests.scenario.rehearsal import TERM_TWO, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]


def test_a_rotation_without_redis_in_the_clusters(tmp_path: Path) -> None:
    with rehearsal(tmp_path, world.Wanted(external_redis=True)) as here:
        before = here.tree()
        said = here.start("--auto-promote", "--stop-after", "PROMOTED")
        assert said.code == 10, said.err
        assert "S4 DATA_SYNCING" in said.err
        said = here.bennu("rotate", "rollback", "--yes", "--no-input")
        assert said.code == 6, said.err
        assert here.edited_since(before) == TERM_TWO
        here.assert_at_rest("blue")
        said = here.start("--auto-promote")
        assert said.code == 0, said.err
        here.assert_at_rest("green")
