"""Back to the source, from every state that has a way back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.scenario.rehearsal import TERM_TWO, Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("rollbacks")) as found:
        yield found


@pytest.mark.parametrize("state", ["PROVISIONING", "BOOTSTRAPPING", "MESH_LINKING", "DATA_SYNCING", "TRAFFIC_CANARY"])
def test_rollback_from_before_the_switch(here: Rehearsal, state: str) -> None:
    before = here.tree()
    said = here.start("--stop-after", state)
    assert said.code == 10, said.err
    assert here.standing()["state"] == state
    said = here.bennu("rotate", "rollback", "--yes", "--no-input")
    assert said.code == 6, said.err
    assert here.tree() == before
    here.assert_at_rest("blue")


def test_rollback_while_the_target_has_traffic(here: Rehearsal) -> None:
    before = here.tree()
    with here.second_terminal("rotate", "start", "--yes", "--no-input") as start:
        start.until_says("✓ watching 20 %")
        said = here.bennu("rotate", "rollback", "--yes", "--no-input")
        assert (said.code, said.out) == (0, "rolling back to the source\n"), said.err
        assert start.end().code == 6
    assert here.tree() == before
    here.assert_at_rest("blue")


def test_rollback_from_promoted_is_a_second_switchover(here: Rehearsal) -> None:
    before = here.tree()
    said = here.start("--auto-promote", "--stop-after", "PROMOTED")
    assert said.code == 10, said.err
    assert here.bennu("rotate", "promote").code == 3
    said = here.bennu("rotate", "rollback", "--yes", "--no-input")
    assert said.code == 6, said.err
    assert said.err.count("writes were paused for") == 1
    assert here.edited_since(before) == TERM_TWO
    here.assert_at_rest("blue")


def test_no_rollback_without_a_rotation_and_none_from_draining(here: Rehearsal) -> None:
    said = here.bennu("rotate", "rollback", "--yes", "--no-input")
    assert said.code == 3
    assert "IDLE_STABLE" in said.err
    with here.second_terminal("rotate", "start", "--yes", "--no-input", "--auto-promote") as start:
        start.until_says("✓ the source's ExternalDNS stops")
        start.kill()
        start.end()
    said = here.bennu("rotate", "rollback", "--yes", "--no-input")
    assert said.code == 3
    assert "DRAINING" in said.err
    assert here.bennu("rotate", "resume", "--no-input").code == 0
    here.assert_at_rest("green")
