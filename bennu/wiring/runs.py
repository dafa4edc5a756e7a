"""Beginning, resuming and cleaning: file lock, journal, engine, in that order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

from bennu.core.holding import held, where
from bennu.core.standing import folded
from bennu.core.states import State
from bennu.engine import cleanup, lock
from bennu.engine.endings import left_alone
from bennu.engine.lookout import Lookout
from bennu.engine.run import Engine
from bennu.engine.runbook import Runbook
from bennu.engine.turns import Counters, StopFlag, Wishes
from bennu.engine.wake import Wake
from bennu.errors import BennuError, GateRefused, Interrupted, LockHeld, LockLost, UsageError
from bennu.phases import disaster, rollback
from bennu.phases.aftermath import target_silent, writes_astray
from bennu.phases.base import Rotation
from bennu.phases.order import PHASES
from bennu.wiring.awake import awake
from bennu.wiring.session import Session


def wishes(
    *,
    auto_promote: bool = False,
    promote: bool = False,
    no_wait: bool = False,
    stop_after: str = "",
    timeout_s: float = 0,
    accept_loss: bool = False,
    dr: bool = False,
    gone: str = "",
    drain: bool = False,
) -> Wishes:
    """From flags; UsageError for a state that isn't one."""
    try:
        state = State(stop_after.upper()) if stop_after else None
    except ValueError:
        raise UsageError(f"{stop_after!r} is not a state", next_step=f"choose one of {', '.join(State)}") from None
    return Wishes(auto_promote, promote, no_wait, state, accept_loss, timeout_s, dr, gone, drain)


RUNBOOK = Runbook(PHASES, rollback.steps, rollback.judge, rollback.reverse, rollback.reverse_retreat, disaster.steps, writes_astray, target_silent)


@dataclass(frozen=True)
class Over:
    """A lock to be taken from its holder, by its id (empty: none). ``force``: also from one whose last heartbeat is young. ``tell`` takes a line for whoever waits."""

    id: str = ""
    force: bool = False
    tell: Callable[[str], None] = lambda line: None

    def patience(self, here: Session, stop: StopFlag | None, command: str) -> lock.Patience:
        """How long its holder must have been silent, by the group's policy; a signal ends the watch."""
        return lock.Patience(here.policy.heartbeat_s, here.policy.poll_s, self.force, self.tell, lambda: _unless_stopped(stop, command))


@contextmanager
def alone(here: Session) -> Iterator[None]:
    """This machine's file lock. Raises LockHeld at once where another process has it, with what its checkpoint says of it: nobody asks a network."""
    with ExitStack() as stack:
        try:
            stack.enter_context(here.systems.checkpoint.exclusive(here.group))
        except LockHeld as taken:
            known = None
            with suppress(BennuError):
                known = here.systems.checkpoint.load(here.group)
            standing = folded(known.records) if known else None
            if standing is not None and standing.lock is not None:
                state = f"rotation {standing.rotation} is open in {where(standing)}, {held(standing, here.systems.clock.wall())}"
                raise LockHeld(f"{taken.message}: {state}", next_step=f"{taken.next_step}, 'bennu rotate abort' stops it") from None
            raise
        yield


@contextmanager
def started(here: Session, rotation: Rotation, wanted: Wishes, stop: StopFlag | None = None) -> Iterator[Engine]:
    """Begin a rotation: file lock, journal, engine. Raises Interrupted where *stop* was set before the lock was taken, GateRefused where *wanted* says what this person may not say."""
    here.refuse_words(wanted, rotation.started_by)
    with alone(here):
        opening = lock.Opening(
            rotation.source, rotation.target, rotation.ticket, tuple((name, "true") for name in sorted(rotation.options)), _pinned(here, rotation)
        )
        _unless_stopped(stop, "bennu rotate start")
        lock.begin(here.journal, opening)
        with here.beating(_engine(here, rotation, wanted, stop)) as engine, here.watched(engine):
            yield engine


@contextmanager
def resumed(here: Session, wanted: Wishes, stop: StopFlag | None = None, *, over: Over = Over()) -> Iterator[Engine]:
    """Go on with the open rotation, *over* whose lock it may be. Raises GateRefused where none is open or a word is not this person's to say, LockHeld, Interrupted as ``started`` does."""
    with alone(here):
        standing = lock.fresh(here.journal)
        if not standing.open and not (standing.rotation and standing.begun and not standing.ended):
            raise GateRefused("no rotation is open", next_step="'bennu rotate start' begins one")
        here.refuse_words(wanted, standing.started_by)
        _unless_stopped(stop, "bennu rotate resume")
        patience = over.patience(here, stop, "bennu rotate resume")
        standing = lock.take(here.journal, over=over.id, patience=patience, clusters=_pinned(here, here.rotation(standing)))
        with _or_let_go(here):
            rotation = here.rotation(standing)
        with here.beating(_engine(here, rotation, wanted, stop)) as engine, here.watched(engine):
            yield engine


@contextmanager
def cleaning(here: Session, rotation: Rotation, wanted: Wishes, stop: StopFlag | None = None) -> Iterator[Engine]:
    """Take a warm cluster down, as a rotation of its own that begins in DRAINING."""
    with alone(here):
        opening = lock.Opening(rotation.source, rotation.target, "", tuple((name, "true") for name in sorted(rotation.options)), _pinned(here, rotation))
        _unless_stopped(stop, "bennu rotate cleanup")
        lock.begin(here.journal, opening)
        with _or_let_go(here):
            cleanup.enter(here.journal, rotation.source)
        with here.beating(_engine(here, rotation, wanted, stop)) as engine:
            yield engine


@contextmanager
def _or_let_go(here: Session) -> Iterator[None]:
    """What fails between the lock and the first step leaves no lock behind."""
    try:
        yield
    except LockLost:
        raise
    except BennuError as error:
        left_alone(here.journal, error)
        raise


def _pinned(here: Session, rotation: Rotation) -> tuple[str, ...]:
    """UIDs of the rotation's clusters, as far as Git pins them: what its lock holds. The live source's is that one, or ``start`` refuses."""
    world = here.world(rotation)
    return tuple(uid for colour in (rotation.source, rotation.target) if (uid := world.outputs(colour).get("CLUSTER_UID", "")))


def _unless_stopped(stop: StopFlag | None, command: str) -> None:
    """The last place where a signal finds nothing to be let go of; one that comes later is met at the first step's safe point."""
    if stop is not None and stop.number:
        raise Interrupted(stop.number, f"stopped by signal {stop.number} before the lock was taken", changed="nothing", next_step=command)


def _engine(here: Session, rotation: Rotation, wanted: Wishes, stop: StopFlag | None) -> Engine:
    with _or_let_go(here):
        world, wake = here.world(rotation), Wake(here.systems.clock.lapsed)
        world = replace(world, systems=awake(world.systems, wake.check))
        lookout = Lookout(here.journal, here.box, stop or StopFlag(), Counters(), wake, aside=here.aside)
        return Engine(runbook=RUNBOOK, world=world, lookout=lookout, wishes=wanted)
