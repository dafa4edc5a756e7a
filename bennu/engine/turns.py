"""What can turn a run aside while it waits: a request typed elsewhere, a signal, a failed gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bennu.core.consent import SAID
from bennu.core.states import Direction, State
from bennu.errors import BennuError
from bennu.ports.repository import Request

HANDING_BACK = "handing the authority back to the source, then rolling back"
_ACCEPTED = {"promote": "promoting", "drain": "taking the source down"}


class Turn(Exception):
    """The run leaves its list of steps here. Control flow of the engine; never reaches a user."""


class RollbackAsked(Turn):
    """A human wants the source back; ``accept_loss``: even where that gives writes up."""

    def __init__(self, by: str, *, accept_loss: bool) -> None:
        super().__init__(by)
        self.accept_loss = accept_loss


class StopAsked(Turn):
    """A human wants the run to stop at this safe point (``pause``) or to give up the attempt (``abort``)."""

    def __init__(self, verb: str, by: str) -> None:
        super().__init__(f"{verb} by {by}")
        self.verb, self.by = verb, by


class Unheard(Turn):
    """Git is silent, and what is under way does not wait for it."""


class GateFailed(Turn):
    """No waiting will mend it; the phase retreats."""


class Inconclusive(Turn):
    """The deadline came with nothing measured: a human decides."""


class OutOfTime(Turn):
    """The gate's deadline passed."""


@dataclass
class StopFlag:
    """Set by a signal handler, read at safe points. ``number`` is the signal's."""

    number: int = 0

    def set(self, number: int) -> None:
        """Ask for a stop at the next safe point."""
        self.number = number


@dataclass
class Alarm:
    """Rung by who watches beside the run, read at safe points: what is wrong is fenced already, and the run ends by it."""

    error: BennuError | None = None

    def ring(self, error: BennuError) -> None:
        """Keep the first finding: the later ones are its echoes."""
        self.error = self.error or error

    def answer(self) -> None:
        """Raise what was found."""
        if self.error is not None:
            raise self.error


@dataclass(frozen=True)
class Wishes:
    """How this run shall behave. ``stop_after``: pause when this state's steps are done. ``promote``, ``drain``: a human said so already. ``accept_loss``: a way back past a broken reverse
    link (or a hand-over without a source) may give up what only that side has. ``dr``: the source is dead, go on without it; ``gone``: the cluster that the operator says can't be written to.
    """

    auto_promote: bool = False
    promote: bool = False
    no_wait: bool = False
    stop_after: State | None = None
    accept_loss: bool = False
    timeout_s: float = 0.0  # 0 = the policy's own
    dr: bool = False
    gone: str = ""
    drain: bool = False

    def says(self, verb: str) -> bool:
        """Whether whoever runs this says *verb* (promote, drain), now or ahead."""
        return self.drain if verb == "drain" else self.promote or self.auto_promote


def answer_to(request: Request, state: State, *, waiting: str = "") -> tuple[bool, str]:
    """Whether the holder takes the request up in *state*, where *waiting* is what it waits to be told (promote, drain; empty: nothing); and the words of the answer."""
    verb = request.verb
    before_switch = State.PROVISIONING.number <= state.number <= State.TRAFFIC_CANARY.number
    if verb in SAID:
        return (True, _ACCEPTED[verb]) if verb == waiting else (False, f"refused: in {state} nothing waits for a {verb}")
    if verb == "rollback":
        if before_switch:
            return True, "rolling back to the source"
        if state is State.PROMOTED:
            return True, HANDING_BACK
        return False, f"refused in {state}"
    if verb == "abort":
        return (True, "stopping; the traffic goes back to the source") if before_switch else (False, f"refused in {state}")
    if verb == "pause":
        return (True, "stopping at a safe point") if state is not State.SWITCHOVER_LOCKED else (False, "refused: S6 ends by itself in moments")
    return False, f"unknown request {verb!r}"


def answer_aside(request: Request, state: State, direction: Direction) -> tuple[bool, str]:
    """The words of the answer where the run cannot be turned: on its way back, or bringing itself to a stop."""
    if direction is Direction.FORWARD:
        return False, f"refused: the run in {state} is at something that it ends first; ask again after that"
    if request.verb != "rollback":
        return False, "refused: the group is on its way back to the source"
    if request.data.get("accept-loss") == "true":
        return False, "refused: the group is on its way back already; a loss is accepted by whoever begins that, or resumes it"
    return True, "going back to the source already"


@dataclass
class Silence:
    """Since when (seconds since boot) the Git remote has not answered, None while it does; ``again_at`` is the next try. ``tell`` takes a line for the operator."""

    since: float | None = None
    pause_s: float = 0.0
    again_at: float = 0.0
    tell: Callable[[str], None] = field(default=lambda line: None)


@dataclass
class Counters:
    """What the waits of one run remember between polls: times in seconds since boot."""

    heartbeat_at: float = -1e9
    awaiting: str = ""  # what the next heartbeat says
    requests_at: float = -1e9
    unanswered: str = ""  # the request whose answer is a verdict that is not there yet
    missed: dict[str, int] = field(default_factory=dict)
    silence: Silence = field(default_factory=Silence)
