"""What the engine says while it runs: one value a happening, for any screen or script to show."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from bennu.core.states import State, Status


class Mark(enum.StrEnum):
    """What happened."""

    STATE = "state"  # a state was entered
    BEGIN = "begin"  # a step begins
    TALK = "talk"  # a line from a step or from the tool it drives
    WAIT = "wait"  # a gate is not open yet
    DONE = "done"  # a step holds
    SKIP = "skip"  # it held already
    PAUSED = "paused"  # a human is waited for
    WARN = "warn"  # something the operator should know
    END = "end"  # the run is over


@dataclass(frozen=True)
class Progress:
    """One happening. ``elapsed_s`` and ``deadline_s`` count from the step's begin; ``figures`` are the gate's."""

    mark: Mark
    state: State
    status: Status = Status.RUNNING
    step: str = ""
    title: str = ""
    text: str = ""
    elapsed_s: float = 0.0
    deadline_s: float = 0.0
    commit: str = ""
    figures: Mapping[str, str] = field(default_factory=dict)
