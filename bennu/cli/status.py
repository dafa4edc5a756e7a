"""``bennu status [--watch]``: the one screen of a rotation window."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.common import ConfigOption, GroupOption, PolicyOption, RepoOption, session
from bennu.cli.output import Format, OutputOption, shown
from bennu.cli.streams import unread

if TYPE_CHECKING:
    from bennu.wiring import Session


def status(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    policy: PolicyOption = "",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep the screen up to date until Ctrl-C.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Who can write now, where the rotation stands, and what is waited for.

    Example:  bennu status --watch
    """
    here = session(repo, config, group, policy=policy)
    if watch and output is Format.TEXT:
        _watched(here)
    else:
        one_look(here, output)


def one_look(here: Session, output: Format, *, why: bool = False) -> None:
    """Print the status once."""
    from rich.console import Console

    from bennu.cli import screen as drawn

    found = here.status(gates=why)
    if output is not Format.TEXT:
        sys.stdout.write(shown(found, output))
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(drawn.screen(found))
    if why:
        console.print(drawn.why(found.outlook))
        console.print(drawn.records(here.journal.records))


def _watched(here: Session) -> None:
    """Redraw until Ctrl-C, or until nobody can see it; a look that fails says so on the screen and the next one is tried."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from bennu.cli.screen import screen
    from bennu.errors import BennuError

    stop, out = threading.Event(), sys.stdout
    console = Console()
    with Live(Text("asking …"), console=console, screen=console.is_terminal, auto_refresh=False) as live:
        while not unread(out):
            try:
                live.update(screen(here.status()), refresh=True)
            except BennuError as error:
                live.update(Text(f"{error.message}", style="red"), refresh=True)
            except KeyboardInterrupt:
                return
            try:
                stop.wait(here.policy.status_s)
            except KeyboardInterrupt:
                return
