"""Driving an engine from a terminal: signals in, progress out, and a true last word whatever happens."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from bennu.cli import streams
from bennu.cli.output import Format, shown
from bennu.cli.render import commentary
from bennu.cli.talk import bug
from bennu.core.standing import Standing
from bennu.core.states import State
from bennu.engine.endings import left_alone
from bennu.engine.journal import Journal
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import StopFlag
from bennu.errors import BennuError, LockLost
from bennu.wiring import Session

Opening = Callable[[StopFlag], AbstractContextManager[Engine]]
Way = Callable[[Engine], Iterator[Progress]]


def forward(engine: Engine) -> Iterator[Progress]:
    """To the end."""
    return engine.drive()


def back(engine: Engine) -> Iterator[Progress]:
    """Back to the source."""
    return engine.roll_back()


def aborting(engine: Engine) -> Iterator[Progress]:
    """To safety, and no further."""
    return engine.abort()


class Signals:
    """The first INT, TERM or HUP asks for a stop at the next safe point; the second ends at once, with the guarantees of kill -9.

    A handler in Python runs only when the main thread gets to it, which may be inside a call that a signal came too early or too late to interrupt. So the interpreter's own handler, in C, writes
    each signal's number into a pipe, and a thread answers. That thread may take locks, too, which a handler must not.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.stop = StopFlag()
        self.talk: Callable[[str], None] = lambda line: None
        self._wake = wake

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Handle them while open, in the main thread. A HUP that was ignored (nohup) stays so."""
        numbers = [signal.SIGINT, signal.SIGTERM, *([] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP])]
        news, tell = os.pipe()
        os.set_blocking(tell, False)
        threading.Thread(target=self._answering, args=(news, frozenset(numbers)), name="bennu-signals", daemon=True).start()
        woken = signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._take) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(woken)
            os.close(tell)

    def _take(self, number: int, frame: FrameType | None) -> None:
        # The main thread itself must see it at its next safe point, however late the other thread comes.
        if not self.stop.number:
            self.stop.set(number)

    def _answering(self, news: int, numbers: frozenset[int]) -> None:
        with os.fdopen(news, "rb", buffering=0) as pipe:
            while (byte := pipe.read(1)) and byte[0] not in numbers:
                pass  # somebody else's signal
            if not byte:
                return
            first = byte[0]
            if not self.stop.number:
                self.stop.set(first)
            threading.Thread(target=self._answer, args=(first,), name="bennu-signal", daemon=True).start()  # the second one waits for no lock
            while byte := pipe.read(1):
                if byte[0] in numbers:
                    streams.farewell()
                    os._exit(128 + byte[0])

    def _answer(self, number: int) -> None:
        self._wake()  # a wait must not outlive the signal
        self.talk(f"{signal.Signals(number).name}: stopping at the next safe point; a second one ends at once, as kill -9 does")


def driven(session: Session, opening: Opening, output: Format, *, way: Way = forward) -> None:
    """Take the lock by *opening*, run to the end, and print the standing on stdout. Raises what the engine raises, after the journal was told.

    Signals are taken before the lock is: from its push on there is somebody to let go of it. From here on no reader of either stream can hold the run up.
    """
    streams.aside()
    signals = Signals(session.systems.clock.wake)
    with signals.taken(), opening(signals.stop) as engine, commentary() as screen:
        engine.talk = screen.show
        signals.talk = lambda line: screen.show(Progress(Mark.WARN, engine.state, text=line))
        try:
            for progress in way(engine):
                screen.show(progress)
        except LockLost:
            raise  # nothing may be written any more
        except BennuError as error:
            left_alone(engine.lookout.journal, error)
            raise _with_lock(session.journal, _with_weights(session, error)) from error
        except Exception as error:
            left_alone(engine.lookout.journal, BennuError("ended unexpectedly"))
            if os.environ.get("BENNU_DEBUG"):
                raise
            raise _with_lock(session.journal, _with_weights(session, _stumbled(session.journal.standing, error))) from error
        finally:
            _printed(engine.lookout.journal.standing, output)


def _stumbled(standing: Standing, error: Exception) -> BennuError:
    return bug(
        error,
        changed=f"rotation {standing.rotation} stands in {standing.state} ({standing.status}); the journal has every step",
        next_step="'bennu rotate resume' goes on; 'bennu --debug rotate resume' shows where it stumbles, if it does so again",
    )


def _with_lock(journal: Journal, error: BennuError) -> BennuError:
    """A lock that could not be let go of is said, with its id."""
    lock = journal.standing.lock
    if lock is not None and lock.id == journal.lock_id:
        error.changed += f"; the lock {lock.id} could not be let go of"
        error.next_step = f"{error.next_step or error.usually} (on another machine: 'bennu rotate resume --take-over {lock.id}')"
    return error


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
    if output is not Format.TEXT:
        sys.stdout.write(shown(standing, output))
        sys.stdout.flush()
