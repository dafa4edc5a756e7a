"""What a step writes with while it acts: a line for the operator, and an intent of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bennu.core.record import Kind
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout


@dataclass(frozen=True)
class Notes:
    """The pen (``phases.base.Pen``) of the step *step*."""

    lookout: Lookout
    tell: Callable[[str], None]
    step: str

    def intend(self, facts: Mapping[str, str]) -> None:
        """A swap of its own. Raises LockLost, DependencyDown, and Slept where what the step knows is old."""
        self.lookout.wake.check()
        self.lookout.journal.append(Entry(Kind.INTENT, step=self.step, data=facts))
