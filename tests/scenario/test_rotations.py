"""Whole rotations, by the command line, one after another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenario.rehearsal import rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]


def test_three_rotations_one_after_another_lose_nothing(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        acknowledged = 0
        for target in ("green", "red", "blue"):
            said = here.start("--auto-promote", "--ticket", "CHG-1", "-o", "json")
            assert said.code == 0, said.err
            assert said.data["state"] == "IDLE_STABLE"
            assert said.data["target"] == target
            assert 0 < float(said.data["facts"]["pause.ms"]) < 2000
            found = here.assert_at_rest(target)
            assert found.acknowledged > acknowledged
            acknowledged = found.acknowledged
        assert here.bennu("doctor").code == 0
