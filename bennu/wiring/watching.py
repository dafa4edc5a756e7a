"""What goes on in threads beside a run: the heartbeat, and the Single Master watch, which looks, fences, rings the run's alarm, and stays for a while after the authority has moved.

The servers and the pointers are looked at by a thread each: an API server that hangs must not blind the eyes on Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bennu.core.states import State
from bennu.engine.heartbeat import beat_beside
from bennu.engine.lookout import Lookout
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.wake import Slept
from bennu.errors import BennuError, Interrupted, LockLost, Paused, RolledBack
from bennu.phases.single_master import MasterWatch, left_to_watch

Look = Callable[[], BennuError | None]


def looks(engine: Engine, watch: MasterWatch) -> tuple[Look, Look]:
    """The two things that are looked at, with the engine's journal read anew each time."""

    def servers() -> BennuError | None:
        return watch.look(engine.as_of_now(), engine.lookout.journal.standing.direction)

    def pointers() -> BennuError | None:
        standing = engine.lookout.journal.standing
        return watch.look_at_pointers(engine.as_of_now(), standing.state, standing.direction)

    return _awake(servers), _awake(pointers)


def _awake(look: Look) -> Look:
    def looked() -> BennuError | None:
        # After a sleep nothing is fenced before the run has read the lock again; the next look is due soon.
        with suppress(Slept):
            return look()
        return None

    return looked


def raised(engine: Engine, found: BennuError | None) -> None:
    """Have the run end by what was found, and say it at once: the step in hand may take long."""
    if found is None:
        return
    engine.lookout.alarm.ring(found)
    engine.talk(Progress(Mark.WARN, engine.state, text=f"{found.message}; {found.changed}"))
    engine.world.systems.clock.wake()


@contextmanager
def watched(engine: Engine) -> Iterator[Engine]:
    """Watch while the context is open, and as long as ``staying`` says. Raises what was found after the run's end."""
    watch, over = MasterWatch(), threading.Event()
    for look in looks(engine, watch):
        threading.Thread(target=_looking, args=(engine, look, over), name="bennu-single-master", daemon=True).start()
    try:
        with staying(engine):
            yield engine
    finally:
        over.set()


@contextmanager
def beating(engine: Engine) -> Iterator[Engine]:
    """Write a heartbeat while the context is open and the run itself writes nothing. Who finds the lock lost has the run end by it."""
    over = threading.Event()
    threading.Thread(target=_beats, args=(engine, over), name="bennu-heartbeat", daemon=True).start()
    try:
        yield engine
    finally:
        over.set()


def _beats(engine: Engine, over: threading.Event) -> None:
    while not over.wait(engine.world.policy.heartbeat_s / 8):
        try:
            beat_beside(engine.world, engine.lookout)
        except LockLost as lost:
            raised(engine, lost)
            return
        except Exception as error:  # one that ends without a word would make a living holder look dead
            engine.talk(Progress(Mark.WARN, engine.state, text=f"no heartbeat can be written: {error}"))


@contextmanager
def staying(engine: Engine) -> Iterator[Engine]:
    """Hold a run that ends until ``watch_after_release_s`` after the hand-over, also where it ends by an error from PROMOTED on, which it says first. A run that pauses, was stopped by a signal
    or lost its lock makes way at once: whoever goes on from there, or back, watches again.
    """
    try:
        yield engine
    except (Paused, RolledBack, Interrupted, LockLost):
        raise
    except BennuError as error:
        if engine.state.number >= State.PROMOTED.number and engine.lookout.alarm.error is None and left_to_watch(engine.as_of_now()):
            engine.talk(Progress(Mark.WARN, engine.state, text=error.message))
            with suppress(Interrupted):
                stay(engine)
        raise
    stay(engine)


def _looking(engine: Engine, look: Look, over: threading.Event) -> None:
    said = ""
    while not over.is_set():
        try:
            raised(engine, look())
        except Exception as error:  # a watch that dies without a word would be worse than any of its faults
            if said != repr(error):
                said = repr(error)
                engine.talk(Progress(Mark.WARN, engine.state, text=f"the watch for two masters cannot look: {error}"))
        over.wait(engine.world.policy.watch_s)


def stay(engine: Engine) -> None:
    """Wait until the watch may end, where the old master was not taken down, or until somebody else leads. Raises what is found meanwhile, and Interrupted."""
    clock, policy, spans = engine.world.systems.clock, engine.world.policy, engine.lookout.journal.standing.spans
    left = left_to_watch(engine.as_of_now())
    if engine.state is State.IDLE_STABLE and spans and spans[-1].state is State.DRAINING:
        return
    if left:
        words = f"{left:.0f} s more, until {policy.watch_after_release_s:.0f} s after the hand-over; ^C ends it"
        engine.talk(Progress(Mark.TALK, engine.state, text=f"the Redis of both clusters are watched for {words}"))
    end, asked = clock.boot() + left, clock.boot()
    while clock.boot() < end:
        engine.lookout.alarm.answer()
        if number := engine.lookout.stop.number:
            over = f"the run itself was over, in {engine.state}; its lock was let go of"
            raise Interrupted(
                number, f"signal {number} ended the watch for two masters {end - clock.boot():.0f} s early", changed=over, next_step="bennu status"
            )
        if engine.lookout.wake.slept or clock.boot() - asked >= policy.request_poll_s:
            asked = clock.boot()
            if _led_by_another(engine.lookout):
                return
        clock.wait(policy.poll_s)
    engine.lookout.alarm.answer()


def _led_by_another(lookout: Lookout) -> bool:
    """Whether somebody has taken the lock that this run let go of: they watch themselves, and what they move is no finding."""
    journal, upto = lookout.journal, lookout.wake.lapsed()
    with suppress(BennuError):
        if not journal.refresh().problem:
            lookout.wake.seen = upto
    lock = journal.standing.lock
    return lock is not None and lock.epoch != journal.epoch
