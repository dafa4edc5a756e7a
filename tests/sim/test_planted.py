"""Bugs that are planted are caught: a simulation in which nothing is ever found might only be blind. In the very seeds that catch them the sound build has no violation."""

from __future__ import annotations

import pytest

from tests.sim.seeds.draw import story
from tests.sim.seeds.planted import BUGS
from tests.sim.seeds.play import Play

# Bug → a seed that catches it, out of the first so many, and words of the violation.
CAUGHT: dict[str, tuple[int, str]] = {}


@pytest.mark.parametrize("bug", list(BUGS))
def test_a_planted_bug_is_caught(bug: str) -> None:
    seed, words = CAUGHT[bug]
    found = Play(story(seed), BUGS[bug]).told().violations
    assert any(words in one for one in found), found
    assert Play(story(seed)).told().violations == []
