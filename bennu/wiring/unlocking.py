"""``bennu unlock``: letting go of a lock whose holder is dead, without going on with its rotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bennu.core.holding import Held, view
from bennu.core.standing import Lock, Standing, folded
from bennu.engine import lock
from bennu.wiring.runs import Over, alone
from bennu.wiring.session import Session


def looked(here: Session) -> tuple[Held | None, Standing]:
    """The present lock, None where nobody holds the group. Raises DependencyDown."""
    standing = lock.fresh(here.journal)
    return (None if standing.lock is None else _viewed(here, standing.lock)), standing


def remembered(here: Session) -> str:
    """The present lock's id as the clone has it, empty for none; nobody is asked."""
    found = folded(here.systems.repository.journal(here.group).records).lock
    return found.id if found else ""


@dataclass(frozen=True)
class Unlockable:
    """A lock that may be let go of, as it was found."""

    held: Held
    let_go: Callable[[], Standing]  # raises LockHeld where its holder wrote meanwhile


@contextmanager
def unlocking(here: Session, over: Over) -> Iterator[Unlockable]:
    """Find the lock's holder dead: not on this machine (its file lock), and silent for two heartbeats. Raises LockHeld (4), GateRefused (3), DependencyDown (8)."""
    with alone(here):
        found = lock.unlockable(here.journal, over.id, over.patience(here, None, ""))
        yield Unlockable(_viewed(here, found), lambda: lock.unlock(here.journal, found, forced=over.force))


def _viewed(here: Session, found: Lock) -> Held:
    return view(here.journal.standing, found, now=here.systems.clock.wall(), still_s=here.journal.still_s)
