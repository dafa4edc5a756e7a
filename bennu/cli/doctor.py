"""``bennu doctor``: the checks before a rotation."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bennu.cli.common import ConfigOption, GroupOption, PolicyOption, RepoOption, ToOption, session
from bennu.cli.output import Format, OutputOption, shown
from bennu.errors import GateRefused


def doctor(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    to: ToOption = "",
    policy: PolicyOption = "",
    offline: Annotated[bool, typer.Option("--offline", help="Only what the repository alone can tell.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Check whether a rotation could start: each check with its verdict, reason and hint.

    Example:  bennu doctor --group prod/us-east-1
    """
    from bennu.phases.preflight import examined

    here = session(repo, config, group, policy=policy)
    findings = examined(here.world(here.proposed(to, ())), offline=offline)
    if output is Format.TEXT:
        sys.stdout.write("".join(_line(f.id, f.verdict.answer.value, f.verdict.reason, f.hint) for f in findings))
    else:
        sys.stdout.write(shown(findings, output))
    shut = [finding.id for finding in findings if not finding.verdict.is_open]
    if shut:
        raise GateRefused(f"{len(shut)} of {len(findings)} checks do not pass: {', '.join(shut)}", next_step="each check's hint says what to do")


def _line(check: str, answer: str, reason: str, hint: str) -> str:
    mark = {"open": "ok  ", "shut": "FAIL", "unknown": "??  "}[answer]
    tail = f"        → {hint}\n" if hint else ""
    return f"{mark} {check:<20} {reason}\n{tail}"
