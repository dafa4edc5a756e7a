"""The places where a process may die, generated from what a run did: four for each effect of each step.

An effect is a call of a port's writing method (``tests.sim.effects``), a commit, or a record of the journal that belongs to no step. Its points are: before the intent that announces it is
pushed; after that, just before the effect itself; after the effect; after the record that says it is done is in Git and on the disk.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bennu.core.record import Kind, Record
from bennu.engine.run import Engine
from bennu.engine.runbook import Runbook
from bennu.phases.base import Phase, Step

JOURNAL, COPY = "repository.advance", "checkpoint.save"
PARTS = ("observe", "act", "gate")
LISTS = ("rollback", "judge", "reverse", "reverse_retreat", "disaster")


class At(enum.StrEnum):
    """The four."""

    BEFORE_INTENT = "before the intent"
    AFTER_INTENT = "after the intent"
    AFTER_EFFECT = "after the effect"
    AFTER_DONE = "after done"


@dataclass(frozen=True)
class Call:
    """One writing call of a run. ``step`` is the one that made it, or that its records are of, empty for none; ``before`` and ``after`` number the moments around it."""

    name: str
    step: str
    kinds: tuple[str, ...]
    commits: bool
    before: int
    after: int
    part: str = ""  # of the step, in which it was made; empty for a record that the engine makes of it

    @property
    def is_effect(self) -> bool:
        """Whether it is one, or only says that there will be, or was."""
        return self.name != COPY and (self.name != JOURNAL or self.commits or not self.step)

    def __str__(self) -> str:
        return f"{self.step or 'no step'} {self.name}{' ' + '+'.join(self.kinds) if self.kinds else ''}"


@dataclass(frozen=True)
class Failpoint:
    """One point of one effect; ``moment`` is the number of its moment."""

    effect: Call
    at: At
    moment: int

    def __str__(self) -> str:
        return f"{self.at}: {self.effect}"


def failpoints(calls: Sequence[Call]) -> list[Failpoint]:
    """All of them, effect by effect."""
    return [point for number, call in enumerate(calls) if call.is_effect for point in _of(calls, number)]


def _of(calls: Sequence[Call], number: int) -> Iterator[Failpoint]:
    effect = calls[number]
    own = [one for one in calls[:number] if effect.step and one.step == effect.step and {Kind.INTENT, Kind.DONE} & {*one.kinds}]
    # Done before: this is another time. What watches or waits announces nothing.
    intent = own[-1] if own and Kind.DONE not in own[-1].kinds else effect
    later = calls[number + 1 :]
    if effect.step:
        ends = (place for place, one in enumerate(later) if one.step == effect.step and {Kind.DONE, Kind.ABORTED} & {*one.kinds})
        later = later[next(ends, -1) + 1 :]
    done = next((one for one in later if one.name == COPY), calls[-1])
    yield Failpoint(effect, At.BEFORE_INTENT, intent.before)
    yield Failpoint(effect, At.AFTER_INTENT, effect.before)
    yield Failpoint(effect, At.AFTER_EFFECT, effect.after)
    yield Failpoint(effect, At.AFTER_DONE, done.after)


@dataclass
class Steps:
    """Which step is under way, as the engine goes through its lists. ``ran`` are the classes of those that were run."""

    now: str = ""
    part: str = ""
    ran: set[type[Step]] = field(default_factory=set)

    def opening(self, real: AbstractContextManager[Engine]) -> AbstractContextManager[Engine]:
        """*real* with every list of its runbook watched."""

        @contextmanager
        def watched() -> Iterator[Engine]:
            with real as engine:
                engine.runbook = self._runbook(engine.runbook)
                yield engine

        return watched()

    def _runbook(self, real: Runbook) -> Runbook:
        def listed(make: Callable[..., tuple[Step, ...]]) -> Callable[..., tuple[Step, ...]]:
            return lambda *args: tuple(self._watched(step) for step in make(*args))

        def phase(one: Phase) -> Phase:
            return replace(one, steps=listed(one.steps), retreat=listed(one.retreat))

        more: dict[str, Any] = {name: listed(getattr(real, name)) for name in LISTS}
        return replace(real, phases=tuple(phase(one) for one in real.phases), **more)

    def _watched(self, step: Step) -> Step:
        def within(asked: Callable[..., Any], part: str) -> Callable[..., Any]:
            def called(*args: Any) -> Any:
                before, self.now, self.part = (self.now, self.part), step.id, part
                found: Any = step
                while found is not None:  # swapped, or one in place of another
                    self.ran.add(type(found))
                    found = getattr(found, "_step", None)
                try:
                    return asked(*args)
                finally:
                    self.now, self.part = before

            return called

        for part in PARTS:
            setattr(step, part, within(getattr(step, part), part))
        return step


def call_of(name: str, args: Sequence[Any], steps: Steps, before: int = 0, after: int = 0) -> Call:
    """What a tap heard, as a ``Call``; *steps* know which one is under way."""
    records: tuple[Record, ...] = tuple(args[2]) if name == JOURNAL else ()
    commits = name == JOURNAL and len(args) > 3 and args[3] is not None
    step = steps.now or next((one.step for one in records if one.step), "")
    return Call(name, step, tuple(one.kind.value for one in records), commits, before, after, steps.part)
