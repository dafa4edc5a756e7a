"""The example apps' Deployments are what the documentation says of them: ``doctor`` takes each as the way that its folder is named after."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bennu.core.clusters import Colour
from bennu.core.pointer_reading import Way
from bennu.phases.app_pointer import readings_borne_out
from tests.sim.pilot import universe
from tests.sim.test_app_pointer import asked
from tests.sim.universe import Kit

APPS = Path(__file__).parents[2] / "examples" / "apps"


def test_there_is_an_example_for_each_way() -> None:
    assert {folder.name for folder in APPS.iterdir() if (folder / "app.py").exists()} == {way.value for way in Way}


@pytest.mark.parametrize("way", list(Way))
@pytest.mark.parametrize("example", list(Way))
def test_an_example_is_taken_for_its_own_way_and_for_no_faster_one(example: Way, way: Way) -> None:
    world = universe(Kit(dns=False))
    text = (APPS / example / "deployment.yaml").read_text(encoding="utf-8")
    deployment = next(one for one in yaml.safe_load_all(text) if one["kind"] == "Deployment")
    deployment["metadata"]["name"] = "payment-service"
    world.clusters[Colour.BLUE].put(deployment)
    invisible = {Way.WATCH, Way.SERVICE}  # a pod spec does not show which of the two
    assert readings_borne_out(asked(world, way)).is_open is (way is example or {way, example} == invisible)
