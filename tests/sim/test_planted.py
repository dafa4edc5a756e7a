"""Bugs that are planted are caught: a simulation in which nothing is ever found might only be blind. The sound build has no violation in the seed that catches one, nor in any of those told before
it (``test_seeds`` tells them all).
"""

from __future__ import annotations

from itertools import islice

import pytest

from tests.sim.seeds.draw import story
from tests.sim.seeds.planted import BUGS
from tests.sim.seeds.play import Play

SEEDS, TOLD = 20_000, 200  # of so many seeds, the first so many that concern the bug


@pytest.mark.parametrize("name", list(BUGS))
def test_a_planted_bug_is_caught(name: str) -> None:
    bug = BUGS[name]
    concerned = list(islice((seed for seed in range(SEEDS) if bug.concerns(story(seed))), TOLD))
    for number, seed in enumerate(concerned):
        if found := Play(story(seed), bug.plant).told().violations:
            print(f"{name}: caught by seed {seed}, the {number + 1}. of those that concern it: {found[0]}")
            break
    else:
        pytest.fail(f"not caught by {len(concerned)} seeds")
    assert Play(story(seed)).told().violations == []
