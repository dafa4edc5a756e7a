"""Options that most commands share, and the session they make."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

if TYPE_CHECKING:
    from bennu.wiring import Over, Session

RepoOption = Annotated[
    Path | None, typer.Option("--repo", help="Your checkout of the GitOps repository (default: the current directory and above).", envvar="BENNU_REPO")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="The settings file (default: bennu.yaml in the repository's root).", envvar="BENNU_CONFIG")]


def _groups(incomplete: str) -> list[str]:
    """Live completion: the groups of the settings file; silent when there is none."""
    from bennu import wiring
    from bennu.errors import BennuError

    try:
        return [str(group) for group in wiring.groups(wiring.Options(environ=os.environ)) if str(group).startswith(incomplete)]
    except BennuError:
        return []


def _colours(incomplete: str) -> list[str]:
    return [colour for colour in ("red", "blue", "green") if colour.startswith(incomplete)]


def locks(context: click.Context, incomplete: str) -> list[str]:
    """Live completion: the present lock's id, from the clone as it is."""
    from bennu import wiring
    from bennu.errors import BennuError

    try:
        held = wiring.remembered(wiring.session(wiring.Options(group=str(context.params.get("group") or ""), environ=os.environ)))
    except BennuError:
        return []
    return [held] if held.startswith(incomplete) and held else []


GroupOption = Annotated[
    str, typer.Option("--group", "-g", help="<env>/<region>; not needed where there is only one.", envvar="BENNU_GROUP", autocompletion=_groups)
]
ToOption = Annotated[str, typer.Option("--to", help="The target's colour (default: the next in red → blue → green).", autocompletion=_colours)]
PolicyOption = Annotated[str, typer.Option("--policy", help="spec or lab: which numbers rule (default: as in bennu.yaml).", envvar="BENNU_POLICY")]
NoInputOption = Annotated[bool, typer.Option("--no-input", help="Never ask, never open a browser.", envvar="BENNU_NO_INPUT")]
TakeOverOption = Annotated[
    str,
    typer.Option("--take-over", metavar="LOCK-ID", help="Take the lock over from a holder that died; 'bennu unlock' shows its id.", autocompletion=locks),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Believe the holder dead although its last heartbeat is young.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to what would be asked.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0, help="Seconds that one wait may take (default: the policy's).", envvar="BENNU_TIMEOUT")]


def session(repo: Path | None, config: Path | None, group: str, *, policy: str = "", no_input: bool = False) -> Session:
    """The session that a command works in. Raises UsageError, ConfigError."""
    from bennu import wiring

    return wiring.session(wiring.Options(repo=repo, config=config, group=group, policy=policy, no_input=no_input, environ=os.environ))


def over(take_over: str, *, force: bool) -> Over:
    """The lock to be taken over, as the options name it. Raises UsageError."""
    from bennu import wiring
    from bennu.errors import UsageError

    if force and not take_over:
        raise UsageError("--force says that the holder of a lock is dead: it goes with --take-over", next_step="'bennu unlock' shows the lock and its id")
    return wiring.Over(take_over, force, say)


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stderr.write(f"bennu: {line}\n")


def confirmed(question: str, *, yes: bool, no_input: bool) -> None:
    """Ask, where somebody can answer; ``--yes`` answers, ``--no-input`` without it refuses."""
    from bennu.errors import GateRefused, UsageError

    if yes:
        return
    if no_input or not sys.stdin.isatty():
        raise UsageError(f"this needs a yes: {question}", next_step="add --yes")
    if not typer.confirm(question, err=True):
        raise GateRefused("not confirmed")
