"""``bennu clusters list|show|health``: the clusters of a group, as Git and the world have them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bennu.cli.common import ConfigOption, GroupOption, RepoOption, session
from bennu.cli.output import Format, OutputOption, shown
from bennu.core.status import ClusterView, Survey, from_clone
from bennu.errors import GateRefused, UsageError

if TYPE_CHECKING:
    from bennu.wiring import Session

app = typer.Typer(help="The clusters of a group.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(repo: RepoOption = None, config: ConfigOption = None, group: GroupOption = "", output: OutputOption = Format.TEXT) -> None:
    """Every colour of the group with its role.

    Example:  bennu clusters list -o json
    """
    views = _surveyed(session(repo, config, group)).clusters
    sys.stdout.write("".join(_line(view) for view in views) if output is Format.TEXT else shown(views, output))


@app.command("show")
def show(
    colour: Annotated[str, typer.Argument(help="red, blue or green.")],
    repo: RepoOption = None,
    config: ConfigOption = None,
    group: GroupOption = "",
    output: OutputOption = Format.TEXT,
) -> None:
    """One cluster, whole: what Git pins and what it says now.

    Example:  bennu clusters show blue
    """
    here = session(repo, config, group)
    view = _of(_surveyed(here).clusters, colour)
    outputs = here.world(here.idle()).outputs(view.colour)
    if output is not Format.TEXT:
        sys.stdout.write(shown({"cluster": view, "config": outputs}, output))
        return
    sys.stdout.write(_line(view) + "".join(f"  {key}: {value}\n" for key, value in sorted(outputs.items())))


@app.command("health")
def health(repo: RepoOption = None, config: ConfigOption = None, group: GroupOption = "", output: OutputOption = Format.TEXT) -> None:
    """Whether each cluster answers, who can write, and the links.

    Example:  bennu clusters health
    """
    survey = _surveyed(session(repo, config, group))
    if output is Format.TEXT:
        lines = [_line(view) for view in survey.clusters]
        lines += [f"{arrow:<34} {answer:<8} {reason}\n" for arrow, answer, reason in survey.links]
        lines += [f"problem: {problem}\n" for problem in survey.problems]
        sys.stdout.write("".join(lines))
    else:
        sys.stdout.write(shown(survey, output))
    if survey.problems or any(answer != "open" for _, answer, _ in survey.links):
        raise GateRefused("not everything is healthy", next_step="the lines above say what")


def _surveyed(here: Session) -> Survey:
    """What is so now; where Git does not answer, how old its part of it is goes to stderr."""
    status = here.status()
    if words := from_clone(status):
        sys.stderr.write(f"bennu: what Git says is {words}\n")
    return status.survey


def _of(views: tuple[ClusterView, ...], colour: str) -> ClusterView:
    for view in views:
        if view.colour.value == colour:
            return view
    raise UsageError(f"the group has no cluster {colour!r}", next_step=f"choose one of {', '.join(view.colour.value for view in views)}")


def _line(view: ClusterView) -> str:
    master = "write master" if view.redis_master or (view.redis_master is None and view.master_live) else ""
    keys = "" if view.redis_keys is None else f"{view.redis_keys} keys"
    return f"{view.colour.cluster:<15} {view.role:<9} {view.version or '-':<12} {master:<13} {keys} {view.problem}".rstrip() + "\n"
