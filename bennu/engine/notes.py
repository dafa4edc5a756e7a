"""What a step writes with while it acts: a line for the operator, and an intent of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bennu.core.disaster import BY
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout
from bennu.engine.turns import Unheard
from bennu.errors import DependencyDown


@dataclass(frozen=True)
class Notes:
    """The pen (``phases.base.Pen``) of the step *step*."""

    lookout: Lookout
    tell: Callable[[str], None]
    step: str

    def intend(self, facts: Mapping[str, str]) -> None:
        """A swap of its own. Raises LockLost, DependencyDown, in S6 Unheard instead, and Slept where what the step knows is old."""
        self.lookout.wake.check()
        try:
            self.lookout.journal.append(Entry(Kind.INTENT, step=self.step, data=facts))
        except DependencyDown as error:
            standing = self.lookout.journal.standing
            if standing.state is State.SWITCHOVER_LOCKED and not standing.facts.get(BY):
                raise Unheard(error.message) from error
            raise

    def undisturbed(self) -> AbstractContextManager[None]:
        """No push from beside the run while it is open."""
        return self.lookout.journal.undisturbed()
