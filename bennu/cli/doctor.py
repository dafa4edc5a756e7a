"""``bennu doctor``: the checks before a rotation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.common import ConfigOption, GroupOption, PolicyOption, RepoOption, ToOption, session
from bennu.cli.output import Format, OutputOption, shown
from bennu.errors import GateRefused

if TYPE_CHECKING:
    from bennu.phases.authority_history import Breach
    from bennu.wiring import Session


def doctor(
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    to: ToOption = "",
    policy: PolicyOption = "",
    offline: Annotated[bool, typer.Option("--offline", help="Only what the repository alone can tell.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Instead: whether any commit ever gave two clusters the write authority.")] = False,
    output: OutputOption = Format.TEXT,
) -> None:
    """Check whether a rotation could start: each check with its verdict, reason and hint.

    Example:  bennu doctor --group prod/us-east-1
    """
    from bennu.phases.preflight import examined

    here = session(repo, config, group, policy=policy)
    if history:
        _history(here, output)
        return
    findings = examined(here.world(here.proposed(to, ())), offline=offline)
    if output is Format.TEXT:
        sys.stdout.write("".join(_line(f.id, f.verdict.answer.value, f.verdict.reason, f.hint) for f in findings))
    else:
        sys.stdout.write(shown(findings, output))
    shut = [finding.id for finding in findings if not finding.verdict.is_open]
    if shut:
        raise GateRefused(f"{len(shut)} of {len(findings)} checks do not pass: {', '.join(shut)}", next_step="each check's hint says what to do")


def _history(here: Session, output: Format) -> None:
    """Every commit of the branch. Raises GateRefused naming the first that breaks the rule, with its files."""
    found, problem = here.history()
    if output is Format.TEXT:
        sys.stdout.write("".join(f"FAIL {one.commit[:12]} {one.at} {one.author}: {one.subject}\n{_files(one)}" for one in found.breaches))
        sys.stdout.write(f"{found.commits} commits changed the write pointer; {len(found.breaches)} break Single Master\n")
    else:
        sys.stdout.write(shown(found, output))
    if problem:
        sys.stderr.write(f"bennu: {problem}; what was fetched earlier was looked at\n")
    if found.breaches:
        first = found.breaches[0]
        what = first.problem or f"more than one write master: {', '.join(first.files)}"
        raise GateRefused(
            f"commit {first.commit[:12]}: {what}",
            next_step=f"git show {first.commit[:12]}; history is not rewritten, see that nothing writes such a commit again",
        )


def _files(breach: Breach) -> str:
    return "".join(f"        {path}\n" for path in breach.files) + (f"        {breach.problem}\n" if breach.problem else "")


def _line(check: str, answer: str, reason: str, hint: str) -> str:
    mark = {"open": "ok  ", "shut": "FAIL", "unknown": "??  "}[answer]
    tail = f"        → {hint}\n" if hint else ""
    return f"{mark} {check:<20} {reason}\n{tail}"
