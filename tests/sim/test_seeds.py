"""Two thousand seeded stories, twenty tests of a hundred, so that workers share them. ``make sim`` tells a hundred thousand."""

from __future__ import annotations

import re

import pytest

from tests.sim.seeds.__main__ import batch, complaint
from tests.sim.seeds.draw import story
from tests.sim.seeds.play import Play

_EACH = 100


@pytest.mark.parametrize("number", range(20))
def test_a_hundred_seeded_stories_come_to_rest_without_a_violation(number: int) -> None:
    sums = batch(number * _EACH, _EACH)
    assert sums.stories == _EACH
    assert not sums.violations, "\n".join(sums.violations)


def test_the_same_seed_tells_the_same_story() -> None:
    for seed in (3, 17):
        first, second = Play(story(seed)).told(), Play(story(seed)).told()
        assert (first.trace, first.codes, *map(_nameless, first.log)) == (second.trace, second.codes, *map(_nameless, second.log))


def _nameless(line: str) -> str:
    """Without the ids of locks, which are drawn by nobody's seed."""
    return re.sub(r"\b[0-9a-f]{16}\b", "<lock>", line)


def test_a_violation_says_seed_commit_and_how_to_see_it_again() -> None:
    ending = Play(story(5)).told()
    ending.violations.append("something that must never be")
    said = complaint(ending)
    assert "seed 5 at commit " in said
    assert "something that must never be" in said
    assert "python -m tests.sim.seeds --seed 5 -v" in said
