"""The command tree, and the one ``except`` between an error and the user."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import click
import typer

from bennu.cli import clusters, config, doctor, lab, plan, rotate, status, streams, unlock
from bennu.cli.talk import bug, told
from bennu.errors import BennuError

app = typer.Typer(
    name="bennu",
    help="Rotate whole Kubernetes clusters instead of upgrading them in place.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(rotate.app, name="rotate")
app.add_typer(clusters.app, name="clusters")
app.add_typer(config.app, name="config")
app.add_typer(lab.app, name="lab")
app.command("status")(status.status)
app.command("plan")(plan.plan)
app.command("doctor")(doctor.doctor)
app.command("unlock")(unlock.unlock)

_STOPPED = "bennu: stopped by Ctrl-C\n  changed: no rotation was being driven\n  next:    'bennu status' shows how things stand\n"


def _version(asked: bool) -> None:
    if asked:
        from bennu import __version__

        typer.echo(f"bennu {__version__}")
        raise typer.Exit


def _say(last: str) -> None:
    """The last word must not be what a reader who stands still makes the stream drop: everything else is over, so it waits."""
    streams.settle()
    sys.stderr.write(last)


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something unexpected happens.")] = False,
) -> None:
    """Rotate whole Kubernetes clusters instead of upgrading them in place.

    Example:  bennu rotate start --group prod/us-east-1 --to green
    """
    if debug:
        os.environ["BENNU_DEBUG"] = "1"


def run(argv: list[str]) -> int:
    """Run the command line; the exit code. Nothing is raised."""
    try:
        command = typer.main.get_command(app)
        outcome = command.main(args=argv, prog_name="bennu", standalone_mode=False)
        return outcome if isinstance(outcome, int) else 0
    except click.exceptions.Abort as error:
        # click makes one of every Ctrl-C; only at a prompt nothing had begun.
        sys.stderr.write(_STOPPED if isinstance(error.__cause__, KeyboardInterrupt) else "bennu: stopped; nothing was changed\n")
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except BennuError as error:
        _say(told(error))
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write(_STOPPED)
        return 130
    except Exception as error:
        if os.environ.get("BENNU_DEBUG"):
            raise
        _say(told(bug(error, changed="the journal has every step", next_step="bennu --debug …")))
        return 1
