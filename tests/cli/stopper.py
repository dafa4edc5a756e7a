"""A holder, as a process of its own over real Git, that stops itself (SIGSTOP) in the middle of a step, right before its effect: a line in a file. Its exit code is Bennu's."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.adapters.clock import Pulse, SystemClock, both
from bennu.adapters.git import GitRepository, Remote
from bennu.core.clusters import Colour, Group
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry, Holder, Journal
from bennu.engine.wake import Wake
from bennu.errors import BennuError
from bennu.phases.base import Effect, Pen, Seen, Step, Systems, World
from bennu.ports.provisioner import Order
from bennu.wiring.awake import awake
from tests.unit.engine.desk import ANN, OPENING, Desk

UNSEEN_S = 0.5


class Lines:
    """A provisioner whose clusters are lines in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def up(self, order: Order, talk: Any) -> Mapping[str, str]:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{order.colour}\n")
        return {}


class Making(Step):
    """Stops itself at its first attempt, behind all that it reads."""

    id = "provisioning.infrastructure"
    title = "the infrastructure"
    stopped = False

    def observe(self, world: World) -> Seen:
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        if not Making.stopped:
            Making.stopped = True
            os.kill(os.getpid(), signal.SIGSTOP)
        world.systems.provisioner.up(Order(world.rotation.group, Colour.GREEN, str(world.rotation.id)), pen.tell)
        return Effect()


def journal(state: Path, remote: str, holder: Holder, group: Group) -> Journal:
    """One machine's, over real Git."""
    clock = SystemClock(Pulse(both, UNSEEN_S))
    return Journal(GitRepository(state, Remote(remote)), FileCheckpoint(state), clock, group, holder)


def main(state: str, remote: str, effects: str, name: str) -> int:
    """Lead a rotation from the state *name* on. The exit code."""
    clock, desk = SystemClock(Pulse(both, UNSEEN_S)), Desk()
    pen = journal(Path(state), remote, ANN, desk.journal().group)
    lock.begin(pen, OPENING)
    pen.append(Entry(Kind.STATE, state=State(name)))
    engine = desk.engine(pen, Making(), state=State(name))
    wake = Wake(clock.lapsed)
    object.__setattr__(engine.lookout, "wake", wake)
    nothing = cast("Any", None)
    systems = Systems(nothing, nothing, nothing, nothing, nothing, cast("Any", Lines(Path(effects))), nothing, nothing, clock)
    engine.world = World(engine.world.rotation, engine.world.settings, engine.world.policy, awake(systems, wake.check))
    engine.talk = lambda progress: print(progress.text, flush=True)
    try:
        for _ in engine.drive():
            pass
    except BennuError as error:
        print(error.message, flush=True)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
