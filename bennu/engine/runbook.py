"""What a run follows, as data: the phases and the lists beside them; and the words of the commits that its steps make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bennu.core.states import Direction, State
from bennu.errors import BennuError
from bennu.phases.base import Commit, Phase, Step, World

Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Runbook:
    """The lists that a run follows. ``rollback`` and ``disaster`` take the state they start from; ``judge`` is what is asked before S7's way back, while a no changes nothing;
    ``reverse`` is S7's way back, up to the authority being at the source, and ``reverse_retreat`` what brings that to safety where it cannot go on; ``disaster`` is what is asked before a
    dead source is given up; ``astray`` says whether the side that should write is known not to, and ``silent`` whether the target's Redis
    does not answer.
    """

    phases: tuple[Phase, ...]
    rollback: Callable[[World, State], Steps]
    judge: Callable[[World], Steps]
    reverse: Callable[[World], Steps]
    reverse_retreat: Callable[[World], Steps]
    disaster: Callable[[World, State], Steps]
    astray: Callable[[World, State, Direction], BennuError | None] = lambda world, state, direction: None
    silent: Callable[[World], bool] = lambda world: False

    def phase(self, state: State) -> Phase:
        """The phase of a state."""
        return next(phase for phase in self.phases if phase.state is state)


def commit_message(world: World, step: Step, commit: Commit) -> str:
    """A step's commit message, with what every commit of Bennu's says of itself in its trailers."""
    trailers = {"Bennu-Rotation": str(world.rotation.id), "Bennu-Step": step.id, "Bennu-Epoch": str(world.epoch)}
    if world.rotation.ticket:
        trailers["Bennu-Ticket"] = world.rotation.ticket
    tail = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    middle = f"\n{commit.body}\n" if commit.body else ""
    return f"{commit.subject}\n{middle}\n{tail}\n"
