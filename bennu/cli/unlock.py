"""``bennu unlock``: show the lock, or let go of one whose holder is dead."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.common import ConfigOption, ForceOption, GroupOption, NoInputOption, PolicyOption, RepoOption, YesOption, confirmed, locks, say, session
from bennu.cli.output import Format, OutputOption, shown

if TYPE_CHECKING:
    from bennu.core.holding import Held
    from bennu.core.standing import Standing

LockArgument = Annotated[
    str, typer.Argument(metavar="[LOCK-ID]", help="The lock's id; without it, the lock is shown and nothing changed.", autocompletion=locks)
]


@dataclass(frozen=True)
class Shown:
    """What ``-o json`` prints: the lock as it was found (null: nobody holds the group), whether it was let go of, and what to type next."""

    group: str
    lock: Held | None
    unlocked: bool
    next: str


def unlock(
    lock: LockArgument = "",
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    force: ForceOption = False,
    yes: YesOption = False,
    no_input: NoInputOption = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show who holds the group; with the lock's id, let go of it for a holder that is dead. Its rotation stays as it is: 'rotate resume' goes on with it.

    Example:  bennu unlock --group prod/us-east-1
    """
    from bennu import wiring
    from bennu.errors import UsageError

    here = session(repo, config, group, policy=policy, no_input=no_input)
    if not lock:
        if force:
            raise UsageError("--force without a lock's id says nothing", next_step="'bennu unlock' shows the lock and its id")
        held, standing = wiring.looked(here)
        _printed(Shown(str(here.group), held, False, _ways(standing)), output)
        return
    with wiring.unlocking(here, wiring.Over(lock, force, say)) as found:
        held = found.held
        question = f"Let go of lock {held.id} of {held.holder}, last heard of at {held.heartbeat}, which stands in {held.state}?"
        confirmed(question, yes=yes, no_input=no_input)
        standing = found.let_go()
    goes_on = "'bennu rotate resume' goes on with it, 'bennu rotate rollback' undoes it" if standing.open else "'bennu rotate start' begins a rotation"
    _printed(Shown(str(here.group), held, True, goes_on), output)


def _ways(standing: Standing) -> str:
    from bennu.core.holding import ways

    return ways(standing) if standing.lock or standing.open else "'bennu rotate start' begins a rotation"


def _printed(found: Shown, output: Format) -> None:
    if output is not Format.TEXT:
        sys.stdout.write(shown(found, output))
        return
    held = found.lock
    if held is None:
        sys.stdout.write(f"nobody holds {found.group}\n  next:       {found.next}\n")
        return
    head = f"lock {held.id} of {found.group} " + ("is let go of; whatever its holder does next fails" if found.unlocked else "is held")
    age = "" if held.age_s is None else f" ({held.age_s:.0f} s ago, if both clocks are right; seen from here, silent for {held.still_s:.0f} s)"
    names = {"machine": held.machine or "unknown", "pid": held.pid or "unknown", "since": held.since, "heartbeat": f"{held.heartbeat}{age}"}
    rows = {"holder": held.holder, **names, "rotation": held.rotation, "stands in": f"{held.state} ({held.status})", "step": held.step, "awaits": held.awaiting}
    lines = [f"  {name + ':':<11} {text}\n" for name, text in {**rows, "next": found.next}.items() if text]
    sys.stdout.write(f"{head}\n{''.join(lines)}")
