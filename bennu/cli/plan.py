"""``bennu plan``: every step in order, from the same list that runs; writes nothing."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bennu.cli.common import ConfigOption, GroupOption, PolicyOption, RepoOption, ToOption, session
from bennu.cli.output import Format, OutputOption, shown
from bennu.core.plan import Plan


def plan(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    to: ToOption = "",
    policy: PolicyOption = "",
    detailed_exitcode: Annotated[bool, typer.Option("--detailed-exitcode", help="Exit 11 where there is something to do.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Show what a rotation would do, step by step, with its Git diffs. Writes nothing.

    Example:  bennu plan --group prod/us-east-1 --to green
    """
    here = session(repo, config, group, policy=policy)
    found = here.plan(to)
    sys.stdout.write(_text(found) if output is Format.TEXT else shown(found, output))
    if detailed_exitcode and found.steps:
        raise typer.Exit(11)


def _text(found: Plan) -> str:
    lines = [
        f"Rotation of {found.group}: {found.source} → {found.target} (policy {found.policy}), {len(found.steps)} steps, {found.commits} commits known now",
        "",
    ]
    state = None
    for step in found.steps:
        if step.state is not state:
            state = step.state
            lines += [f"S{state.number} {state}"]
        lines.append(f"  {step.title:<48} {step.effect}  (at most {step.timeout_s:.0f} s)")
        if step.later:
            lines.append(f"      {step.later}")
        lines += [f"      {line}" for line in step.diff.splitlines()]
    if any(step.confirm for step in found.steps):
        lines += ["", "Before S6 it waits for 'bennu rotate promote' (unless --auto-promote). From S8 on there is no way back."]
    if found.names_source:
        lines += ["", f"Lines of the new directory that still name {found.source}; judge them:"]
        lines += [f"  {path}:{number}: {text.strip()}" for path, number, text in found.names_source]
    return "\n".join(lines) + "\n"
