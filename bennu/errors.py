"""Every way in which Bennu can end without success, and what it then says.

::

    BennuError                        1   (a bug, when raised bare)
    ├── UsageError                    2   what was typed or configured is wrong
    │   └── ConfigError               2   … with file and line
    ├── GateRefused                   3   a gate refused; nothing was changed
    │   └── ReplicationLagError       3   the Lag Threshold invariant
    ├── LockHeld                      4   someone else holds the group
    │   ├── LockLost                  4   it was ours, and was taken over
    │   └── ClusterHeld               4   another group's lock holds a cluster that this one leads to
    ├── StoppedSafe                   5   stopped in a safe state; resumable
    ├── RolledBack                    6   the group is IDLE_STABLE at the source again
    ├── OperatorNeeded                7   no machine should decide this
    │   └── SplitBrainError           7   the Single Master invariant
    ├── DependencyDown                8   a system does not answer, or credentials expired
    ├── DurableStateError             9   journal or checkpoint unreadable or divergent
    ├── Paused                       10   waits for a human
    └── Interrupted            129/130/143   a signal, after a safe point was reached

The exit codes are what a runbook's script branches on. They stand here and nowhere else. Each error says three things: what happened (the
message), what was changed, and what to type next.
"""

from __future__ import annotations

from typing import ClassVar

NOTHING = "nothing was changed"


class BennuError(Exception):
    """Base of all errors that reach the user.

    ``changed`` says what Bennu had changed when it stopped, ``next_step`` what
    the operator should do now (a command, where there is one; empty: the class's ``usually``).
    """

    exit_code: ClassVar[int] = 1
    usually: ClassVar[str] = "'bennu status' shows how things stand"  # what to do next, where whoever raises it knows nothing better

    def __init__(self, message: str, *, changed: str = NOTHING, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.changed = changed
        self.next_step = next_step

    @property
    def code(self) -> int:
        """The process' exit code (an instance may carry its own, as a signal does)."""
        return self.exit_code


class UsageError(BennuError):
    """What was typed or configured cannot be meant."""

    exit_code = 2
    usually: ClassVar[str] = "mend what was typed or configured, and type it again"


class ConfigError(UsageError):
    """A file says something wrong; ``file`` and ``line`` (from 1) say where."""

    usually = "mend that line, then 'bennu config check'"

    def __init__(self, message: str, *, file: str, line: int | None = None, next_step: str = "") -> None:
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {message}", next_step=next_step)
        self.file = file
        self.line = line


class GateRefused(BennuError):
    """A precondition does not hold; nothing was changed."""

    exit_code = 3
    usually: ClassVar[str] = "mend what it names; 'bennu doctor' shows all checks"


class ReplicationLagError(GateRefused):
    """The Lag Threshold invariant: the target is too far behind to be promoted."""


class LockHeld(BennuError):
    """Another holder drives this group."""

    exit_code = 4
    usually: ClassVar[str] = "'bennu rotate status' shows who holds the group"


class LockLost(LockHeld):
    """The lock was ours and somebody took it over; no further effect may follow."""


class ClusterHeld(LockHeld):
    """A cluster of the group is held by another group's lock, or its ref moved while it was to be taken."""


class StoppedSafe(BennuError):
    """Stopped in a safe state; ``bennu rotate resume`` goes on."""

    exit_code = 5
    usually: ClassVar[str] = "mend the cause, then 'bennu rotate resume'"


class RolledBack(BennuError):
    """Not a failure of Bennu's: the rotation ended at the source again."""

    exit_code = 6
    usually: ClassVar[str] = "bennu status"


class OperatorNeeded(BennuError):
    """Loss or two masters are possible; a human decides."""

    exit_code = 7
    usually: ClassVar[str] = "'bennu rotate status --why' shows what was found"


class SplitBrainError(OperatorNeeded):
    """The Single Master invariant: more than one cluster may accept writes."""


class DependencyDown(BennuError):
    """A system that Bennu needs does not answer, or a credential expired."""

    exit_code = 8
    usually: ClassVar[str] = "when it answers: the same command again, or 'bennu rotate resume' where a rotation is open"


class DurableStateError(BennuError):
    """Journal or checkpoint cannot be read, or they contradict each other."""

    exit_code = 9
    usually: ClassVar[str] = "'bennu rotate status --why' shows the records that can be read"


class Paused(BennuError):
    """Waits for a human's ``promote`` or approval."""

    exit_code = 10
    usually: ClassVar[str] = "'bennu rotate resume' goes on"


class Interrupted(BennuError):
    """A signal ended the run at a safe point; exit code 128 + signal number."""

    usually = "'bennu rotate resume' goes on"

    def __init__(self, signal_number: int, message: str, *, changed: str, next_step: str) -> None:
        super().__init__(message, changed=changed, next_step=next_step)
        self.signal_number = signal_number

    @property
    def code(self) -> int:
        """128 + the signal's number: 129 (HUP), 130 (INT), 143 (TERM)."""
        return 128 + self.signal_number
