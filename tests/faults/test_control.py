"""The control: the specification's own order, on the same servers, under the same users, before the same judge."""

from __future__ import annotations

import pytest

from tests.faults.control import by_the_timers
from tests.faults.stage import Case

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("turn", range(3))
def test_the_specifications_order_loses_writes_and_has_two_masters_every_time(case: Case, turn: int) -> None:
    by_the_timers(case)
    found = case.judged()
    assert found.master == "target"
    assert found.lost > 0, found
    assert found.two_masters > 0, found
