"""What a rotation would do, as data: ``plan`` shows it, nothing of it is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bennu.core.states import State


@dataclass(frozen=True)
class Planned:
    """One step to come. ``diff`` is a unified diff of its repository edits, empty where it has none; ``later`` says why a diff cannot be known yet."""

    state: State
    step: str
    title: str
    effect: str
    diff: str = ""
    later: str = ""
    timeout_s: float = 0.0
    confirm: str = ""


@dataclass(frozen=True)
class Plan:
    """All steps in order, and the lines of the new directory that still name the source ((path, line, text))."""

    group: str
    source: str
    target: str
    policy: str
    steps: tuple[Planned, ...]
    names_source: tuple[tuple[str, int, str], ...] = ()

    @property
    def commits(self) -> int:
        """How many commits it makes, as far as is known now."""
        return sum(1 for step in self.steps if step.diff)


def remaining(steps: Iterable[Planned], done: frozenset[str]) -> tuple[Planned, ...]:
    """Those that are still to come."""
    return tuple(step for step in steps if step.step not in done)
