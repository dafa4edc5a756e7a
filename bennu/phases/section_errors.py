"""How a pass of the critical section ends without success: what passes by itself, what only goes forward from here, and what a resume refuses to decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bennu.core.switchover import Decision, Todo
from bennu.errors import NOTHING, BennuError, DependencyDown, DurableStateError, GateRefused, OperatorNeeded, StoppedSafe
from bennu.phases.base import StepAborted
from bennu.ports.redis import Observation

_FORWARD = "the target is master; the old master is fenced and accepts no write"


class NotNow(StepAborted):
    """Nothing was changed, or it was let go of within the pause, and what stood in the way passes by itself: worth another try."""


@contextmanager
def nothing_held_back() -> Iterator[None]:
    """A pointer that cannot be written while the source is master ends the attempt: the retreat puts back what can be, and says what cannot."""
    try:
        yield
    except DependencyDown as down:
        raise StepAborted(f"a pointer cannot be written: {down.message}") from down


@contextmanager
def only_forward() -> Iterator[None]:
    """What fails after the proof says what stands, and that a resume goes on from there."""
    try:
        yield
    except GateRefused as refused:
        raise StoppedSafe(f"after the promotion: {refused.message}", changed=_FORWARD, next_step="mend the cause, then bennu rotate resume") from refused
    except BennuError as error:
        if error.changed == NOTHING:
            error.changed = _FORWARD
        error.next_step = error.next_step or "bennu rotate resume"
        raise


def restarted_armed(source: Observation, target: Observation) -> OperatorNeeded:
    """The source came back parked from a restart while it was armed and no intent was open: nothing was promoted, nobody writes, and only a human can say that its data are whole."""
    return OperatorNeeded(
        f"the source's Redis restarted while its fence was armed, and came back parked: nobody accepts writes. It holds {source.keys} keys, the target {target.keys}",
        changed="nothing was promoted; both pointers name the source",
        next_step="where the source's data are whole, say REPLICAOF NO ONE to it, then bennu rotate resume",
    )


def promoted_and_parked(source: Observation | None, target: Observation) -> OperatorNeeded:
    """The new master restarted before its variant in Git was applied, and came back parked as its former one says: only a human can say that its data are whole. *source* None: it was given up."""
    other = f", the old master {source.keys}" if source is not None else ""
    old = "the old master accepts no write" if source is not None else "the old master was given up, and is not asked"
    return OperatorNeeded(
        f"the new master's Redis restarted before its own variant was applied, and came back parked: nobody accepts writes. It holds {target.keys} keys{other}",
        changed=f"the target was promoted and {'both pointers name it' if source is not None else 'a pointer may name it'}; {old}",
        next_step="where its data are whole, say REPLICAOF NO ONE to it, then bennu rotate resume",
    )


def roles(source: Observation, target: Observation | None, *, named: bool) -> str:
    """Who accepts writes, and whom the pointers name, in words: what a run that decides nothing has found, or left. *target* None: it cannot be read."""
    other = "the target cannot be read" if target is None else "the target is master" if target.is_master else "the target is its replica"
    if source.is_master:
        found = f"the source is master; {other}"
    elif target is None:
        found = f"the source is fenced; {other}: nobody is known to accept writes, and none is lost"
    else:
        found = (
            f"the source is fenced; {other}"
            if target.is_master
            else "the source is fenced, and the target is no master: nobody accepts writes, and none is lost"
        )
    return f"{found}; {'a pointer names the target' if named else 'no pointer names the target'}"


def refusal(decision: Decision, changed: str = NOTHING) -> BennuError:
    """A decision that no machine should go on from, as the error that says so. *changed*: how things stand, as ``roles`` words it."""
    if decision.todo is Todo.DIVERGENT:
        return DurableStateError(decision.why, changed=changed, next_step="bennu rotate status --why")
    if decision.todo is Todo.UNREACHABLE:
        return DependencyDown(decision.why, changed=changed, next_step="make both Redis servers reachable, then 'bennu rotate resume'")
    return OperatorNeeded(decision.why, changed=changed, next_step="bennu rotate status --why")
