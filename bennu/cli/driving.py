"""Driving an engine from a terminal: signals in, progress out, and a true last word whatever happens."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from bennu.cli.output import Format, shown
from bennu.cli.render import commentary
from bennu.core.standing import Standing
from bennu.core.states import State
from bennu.engine.endings import left_alone
from bennu.engine.run import Engine
from bennu.errors import BennuError, LockLost
from bennu.wiring import Session


@contextmanager
def signals(engine: Engine) -> Iterator[None]:
    """The first INT, TERM or HUP asks for a stop at the next safe point; the second ends at once, with the guarantees of kill -9."""

    def first(number: int, frame: FrameType | None) -> None:
        if engine.lookout.stop.number:
            os._exit(128 + number)
        engine.lookout.stop.set(number)
        engine.world.systems.clock.wake()  # a wait must not outlive the signal

    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = {number: signal.signal(number, first) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def driven(session: Session, engine: Engine, output: Format, *, back: bool = False) -> Standing:
    """Run to the end, show it, and print the standing on stdout. Raises what the engine raises, after the journal was told."""
    with commentary() as screen:
        engine.talk = screen.show
        try:
            with signals(engine):
                for progress in engine.roll_back() if back else engine.drive():
                    screen.show(progress)
        except LockLost:
            raise  # nothing may be written any more
        except BennuError as error:
            left_alone(engine.lookout.journal, error)
            raise _with_weights(session, error) from error
        except BaseException:
            left_alone(engine.lookout.journal, BennuError("ended unexpectedly"))
            raise
        finally:
            standing = engine.lookout.journal.standing
            _printed(standing, output)
    return standing


def _with_weights(session: Session, error: BennuError) -> BennuError:
    """A process that ends at a weight above 0 says that nobody watches, and the command (design §5)."""
    standing = session.journal.standing
    weights = session.wanted_weights(standing) if standing.state in (State.TRAFFIC_CANARY, State.SWITCHOVER_LOCKED) else {}
    if any(weights.values()):
        shares = ", ".join(f"{app} {weight} %" for app, weight in weights.items())
        error.changed += f"; NOBODY WATCHES the traffic at the target now: {shares}"
        error.next_step = "'bennu rotate resume' watches again, 'bennu rotate rollback' takes the traffic back"
    return error


def _printed(standing: Standing, output: Format) -> None:
    if output is Format.TEXT:
        return
    try:
        sys.stdout.write(shown(standing, output))
        sys.stdout.flush()
    except BrokenPipeError:
        return
