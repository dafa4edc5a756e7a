"""Where Bennu may write at all."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Group
from bennu.wiring.systems import own_folder


@pytest.mark.parametrize(
    ("layout", "folder"),
    [
        ("clusters/{env}/{region}/cluster-{colour}", "clusters/prod/us-east-1"),
        ("fleet/{env}-{region}/{colour}", "fleet/prod-us-east-1"),
        ("{env}/{region}/{colour}", "prod/us-east-1"),
        ("clusters/{colour}", "clusters"),
        ("cluster-{colour}", ""),
    ],
)
def test_only_the_groups_own_folder_may_be_written(layout: str, folder: str) -> None:
    assert own_folder(layout, Group("prod", "us-east-1")) == folder
