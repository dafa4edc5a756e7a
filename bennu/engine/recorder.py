"""What a run writes down: the journal by the run's own thread, from the world as the journal has it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bennu.core import fsm
from bennu.core.record import Kind
from bennu.core.states import Direction, Event, State, Status
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout
from bennu.engine.progress import Mark, Progress
from bennu.engine.silence import until_heard, written
from bennu.engine.wait import keep_watch, woken
from bennu.phases.base import Phase, Step, World
from bennu.ports.repository import Change


@dataclass(kw_only=True)
class Recorder:
    """``talk`` takes what steps say while they act (a generator can't yield from inside them)."""

    world: World
    lookout: Lookout
    talk: Callable[[Progress], None] = field(default=lambda progress: None)

    def __post_init__(self) -> None:
        self.lookout.counters.silence.tell = self.lookout.journal.tell = lambda line: self.talk(Progress(Mark.WARN, self.state, text=line))

    @property
    def state(self) -> State:
        """The state by the journal."""
        return self.lookout.journal.standing.state

    def _said(self, step: Step, line: str) -> None:
        self.talk(Progress(Mark.TALK, self.state, step=step.id, title=step.title, text=line))

    def as_of_now(self) -> World:
        """The world with what the journal says now; safe to ask from another thread."""
        journal = self.lookout.journal
        return replace(self.world, epoch=journal.epoch, facts=journal.standing.facts)

    def _now(self) -> World:
        self.world = self.as_of_now()
        return self.world

    def _write(self, *entries: Entry, change: Change | None = None, clusters: tuple[str, ...] = (), phase: Phase | None = None) -> str:
        """Record; while Git is silent, with *phase* kept in sight (none: what it would turn to is what is being done)."""
        watched = phase or self._quiet(self.state)
        if phase is not None:
            self.lookout.wake.check()
        elif self.lookout.wake.slept:
            woken(self._now(), watched, self.lookout)
        return written(
            self.lookout,
            self.world,
            *entries,
            change=change,
            clusters=clusters,
            meanwhile=lambda: keep_watch(self._now(), watched, self.lookout),
            phase=watched,
        )

    def _until_heard(self, phase: Phase) -> None:
        until_heard(self.lookout, self.world, self.lookout.journal.reread, meanwhile=lambda: keep_watch(self._now(), phase, self.lookout))

    def _note(self, status: Status, reason: str, direction: Direction | None = None) -> None:
        self._write(Entry(Kind.STATUS, data={"reason": reason[:300]}, status=status, direction=direction))

    def _fail(self, reason: str) -> None:
        self._note(Status.FAILED, reason)

    def _enter(self, event: Event, *before: Entry) -> Progress:
        state = fsm.advance(self.state, event)
        status = Status.DONE if state is State.IDLE_STABLE else Status.RUNNING
        direction = Direction.FORWARD if state is State.IDLE_STABLE and event is not Event.ROLLBACK else None
        entered = Entry(Kind.STATE, data={"event": event.value}, state=state, status=status, direction=direction)
        # The last transition and the release in one swap: a holder that died between them would leave a lock with no rotation to take over.
        over = (Entry(Kind.RELEASE, state=state, status=status, direction=direction),) if state is State.IDLE_STABLE else ()
        self._write(*before, entered, *over)
        return Progress(Mark.STATE, state, status, text=event.value)

    def _quiet(self, state: State) -> Phase:
        """A phase without monitors: on the way back nothing is left to retreat to."""
        return Phase(state, Event.ROLLBACK, lambda world: (), turnable=False)
