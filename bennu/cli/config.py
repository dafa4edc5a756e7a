"""``bennu config``: the settings and their schema."""

from __future__ import annotations

import os
import sys

import typer

from bennu.cli.common import ConfigOption, RepoOption
from bennu.cli.output import Format, shown

app = typer.Typer(help="The settings and their schema.", no_args_is_help=True, rich_markup_mode=None)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of bennu.yaml (for editors).

    Example:  bennu config schema > bennu.schema.json
    """
    from bennu.settings import json_schema

    sys.stdout.write(shown(json_schema(), Format.JSON))


@app.command("check")
def check(repo: RepoOption = None, config: ConfigOption = None) -> None:
    """Read bennu.yaml and say whether it is sound.

    Example:  bennu config check
    """
    from bennu import wiring

    options = wiring.Options(repo=repo, config=config, environ=os.environ)
    names = ", ".join(str(group) for group in wiring.groups(options))
    sys.stdout.write(f"{wiring.found_config(options)}: sound, groups {names}\n")
