"""How a run ends: its last words, and what it leaves in the journal."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.record import Kind
from bennu.core.states import State, Status
from bennu.engine import lock
from bennu.engine.journal import Entry, Journal
from bennu.engine.turns import Inconclusive, StopAsked
from bennu.errors import BennuError, LockLost, Paused, RolledBack, SplitBrainError, StoppedSafe
from bennu.phases.base import Phase


def ending(phase: Phase, turn: Exception, reason: str, target: Colour, *, silent: bool = False, given_up: bool = False) -> BennuError:
    """After a turn, with the phase in safety: who has the authority, and what to type. *silent*: the target's Redis does not answer. *given_up*: the source was declared dead, and nothing goes
    back to it.
    """
    promoted = phase.state.number >= State.PROMOTED.number
    safe = f"{target.cluster} is the write master" if promoted else "the source is writable and has all traffic"
    back = "" if phase.state is State.DRAINING or given_up else ", 'bennu rotate rollback' goes back"
    if promoted and silent:
        lost = f"bring {target.cluster} back, then 'bennu rotate resume'; where it is lost for good, docs/disaster.md ('When the new master dies') says what to do by hand"
        return StoppedSafe(f"stopped in {phase.state}: {reason}", changed=f"{target.cluster} was promoted, and its Redis does not answer", next_step=lost)
    if isinstance(turn, Inconclusive):
        return Paused(reason, changed=safe, next_step=f"'bennu rotate resume' measures again{back}")
    if isinstance(turn, StopAsked):
        return Paused(f"stopped in {phase.state}: {turn}", changed=safe, next_step=f"'bennu rotate resume' goes on{back}")
    return StoppedSafe(f"stopped in {phase.state}: {reason}", changed=safe, next_step=f"mend the cause, then 'bennu rotate resume' goes on{back}")


def left_alone(journal: Journal, error: BennuError) -> None:
    """The run ends by *error*: say so in the journal and let go of the lock, as far as the remote answers. Raises LockLost, which then is how it ends."""
    try:
        if not isinstance(error, Paused | RolledBack):
            # Whoever resumes must know: after two masters, a restart of one of them explains no difference between them any more.
            found = (Entry(Kind.FACT, data={SPLIT_BRAIN: "true"}),) if isinstance(error, SplitBrainError) else ()
            journal.append(*found, Entry(Kind.STATUS, data={"reason": error.message[:300]}, status=Status.FAILED))
        if journal.standing.lock is not None:
            lock.release(journal)
    except LockLost:
        raise
    except BennuError:
        # The journal says "held" then; resume on this machine takes it at once, elsewhere --take-over does.
        return
