"""The world as ``kill -9`` leaves it at every failpoint of a run: copied there, with all that the process had opened still open and nothing of what it had in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from bennu.core.states import State
from bennu.engine.progress import Progress
from bennu.engine.run import Engine
from tests.sim.pilot import ANN, Outcome, Pilot, Watch
from tests.sim.points import Call, Steps, call_of
from tests.sim.seams import Taps
from tests.sim.universe import Universe


@dataclass
class Recording:
    """What a run did: its writing calls, and the world at each of their moments."""

    calls: list[Call] = field(default_factory=list)
    worlds: list[Universe] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # every writing call, as the seams had it
    steps: Steps = field(default_factory=Steps)


class RecordedPilot(Pilot):
    """A process that is recorded."""

    def __init__(self, world: Universe) -> None:
        self.recording = Recording()
        self._began, self._seen = -1, -1.0
        super().__init__(world, ANN, taps=Taps(before=self._before, after=self._after))

    def _driven(self, opening: AbstractContextManager[Engine], *, way: Callable[[Engine], Iterator[Progress]] = Engine.drive) -> Outcome:
        return super()._driven(self.recording.steps.opening(opening), way=way)

    def _moment(self) -> int:
        """The number of the world as it is now: the last one's, where no time has passed since."""
        if self.world.clock.boot() != self._seen:
            self.recording.worlds.append(left_behind(self.world))
            self._seen = self.world.clock.boot()
        return len(self.recording.worlds) - 1

    def _before(self, name: str) -> None:
        self._began = self._moment()

    def _after(self, name: str) -> None:
        self._seen = -1.0  # an effect takes no time, and changes the world
        self.recording.calls.append(call_of(name, self.taps.args, self.recording.steps, self._began, self._moment()))


def recorded(world: Universe, command: Callable[[Pilot], Outcome], watch: Watch | None = None) -> tuple[Recording, Outcome]:
    """Ann gives a command in *world*, and nothing happens to her."""
    pilot = RecordedPilot(world)
    if watch is not None:
        pilot.watch = watch
    outcome = command(pilot)
    pilot.recording.heard = pilot.taps.calls
    return pilot.recording, outcome


def left_behind(world: Universe) -> Universe:
    """The world without the process: the kernel lets go of its file lock."""
    copy = world.copy()
    for disk in copy.disks.values():
        disk.locks.clear()
    return copy


def following(state: State) -> State:
    """The state that comes after, IDLE_STABLE after the last."""
    return list(State)[(state.number + 1) % 9]
