"""The status screen, drawn: what an operator looks at first stands first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bennu.core.outlook import Outlook
from bennu.core.record import Record
from bennu.core.standing import Span
from bennu.core.states import State, Status
from bennu.core.status import ClusterView, GroupStatus, from_clone, lasted, on_interrupt, rollback_costs, writers
from bennu.core.verdict import Answer

_COLOURS = {"red": "red", "blue": "blue", "green": "green"}


def screen(status: GroupStatus) -> RenderableType:
    """The whole screen."""
    parts: list[RenderableType] = [_first(status), _path(status), _clusters(status)]
    if status.survey.apps:
        parts.append(_apps(status))
    if status.survey.links or status.survey.dns:
        parts.append(_network(status))
    parts.append(_last(status))
    return Panel(Group(*parts), title=f"bennu · {status.group}", subtitle=status.now, border_style="dim")


def records(found: Sequence[Record]) -> RenderableType:
    """The journal's last records, for ``--why``."""
    table = Table("at", "kind", "state", "step", "data", box=None, title="journal", title_justify="left")
    for record in found[-20:]:
        table.add_row(record.at[11:23], record.kind, record.state, record.step, ", ".join(f"{k}={v}" for k, v in record.data.items())[:80])
    return table


def _first(status: GroupStatus) -> RenderableType:
    standing, who = status.standing, writers(status.survey)
    alarm = who.startswith("MORE") or who.startswith("nobody")
    table = Table.grid(padding=(0, 2))
    table.add_row("writes go to", Text(who, style="bold red" if alarm else "bold"))
    state = Text(f"S{standing.state.number} {standing.state}", style="bold")
    if standing.open:
        state.append(f"  {standing.status}", style={Status.FAILED: "red", Status.PAUSED: "yellow"}.get(standing.status, "green"))
    table.add_row("state", state)
    if standing.rotation:
        table.add_row("rotation", f"{standing.rotation}  {standing.source} → {standing.target}" + (f"  {standing.ticket}" if standing.ticket else ""))
    said = {"started by": standing.started_by, "promoted by": status.rotation.promoted_by, "drained by": status.rotation.drained_by}
    for words, who in said.items():
        if who and standing.open:
            table.add_row(words, who)
    if words := status.rotation.switchover.pause.words():
        table.add_row("write pause", words)
    if standing.reason:
        table.add_row("because", Text(standing.reason, style="yellow"))
    if standing.open and standing.awaiting and standing.lock:
        table.add_row("awaits", standing.awaiting)
    if standing.lock:
        held = f"{standing.lock.holder} for {_ago(status.ages.lock)}  last seen {standing.heartbeat[11:19]}, {_ago(status.ages.heartbeat)} ago  lock {standing.lock.id}"
        table.add_row("held by", held)
    elif standing.open:
        table.add_row("held by", Text("NOBODY: nobody watches", style="bold yellow"))
    if standing.open and status.intent is not None:
        open_ = "open" if status.intent.open else "ended"
        table.add_row("last intent", f"{status.intent.step}  {_ago(status.ages.intent)} ago by {status.intent.by}, {open_}")
    for problem in status.survey.problems:
        table.add_row("no answer", Text(problem, style="red"))
    if words := from_clone(status):
        table.add_row("from clone", Text(words, style="red"))
    return table


def _path(status: GroupStatus) -> RenderableType:
    """The nine states as a path, the current one marked; durations of those that are over."""
    text = Text("\n")
    spans = {span.state: span for span in status.standing.spans}
    now = status.standing.state
    for state in list(State)[1:]:
        over = state in spans and spans[state].end
        style = "bold reverse" if state is now and status.standing.open else ("green" if over else "dim")
        lasted = f" {_lasted(spans[state])}" if over else ""
        text.append(f" S{state.number} {_short(state)}{lasted} ", style=style)
        text.append("›" if state is not State.DRAINING else "\n", style="dim")
    return text


def _lasted(span: Span) -> str:
    """A state's duration."""
    return lasted((datetime.fromisoformat(span.end) - datetime.fromisoformat(span.begin)).total_seconds())


def _short(state: State) -> str:
    return {
        State.PROVISIONING: "provision",
        State.BOOTSTRAPPING: "bootstrap",
        State.MESH_LINKING: "link",
        State.DATA_SYNCING: "sync",
        State.TRAFFIC_CANARY: "canary",
        State.SWITCHOVER_LOCKED: "switch",
        State.PROMOTED: "promoted",
        State.DRAINING: "drain",
    }[state]


def _clusters(status: GroupStatus) -> RenderableType:
    table = Table("cluster", "role", "kubernetes", "redis", "keys", "offset", "ingress", box=None, pad_edge=False)
    for view in status.survey.clusters:
        table.add_row(
            Text(view.colour.cluster, style=_COLOURS[view.colour.value]),
            view.role,
            view.version or ("-" if not view.problem else Text("no answer", style="red")),
            _redis(view),
            "-" if view.redis_keys is None else f"{view.redis_keys}",
            "-" if view.redis_offset is None else f"{view.redis_offset}",
            "-" if view.ingress_rps is None else f"{view.ingress_rps:.0f}/s",
        )
    return table


def _redis(view: ClusterView) -> str | Text:
    if view.redis_master is None:
        return "-"
    if view.redis_master:
        return Text("master, writable", style="bold")
    return "replica, link up" if view.redis_link_up else Text("replica, link DOWN", style="yellow")


def _apps(status: GroupStatus) -> RenderableType:
    table = Table("app", "to target", "live", "requests", "success", "p99", box=None, pad_edge=False)
    for app in status.survey.apps:
        table.add_row(
            app.app,
            "-" if app.wanted is None else f"{app.wanted} %",
            "-" if app.live is None else f"{app.live} %",
            "-" if app.requests is None else f"{app.requests:.0f}",
            "-" if app.success is None else f"{app.success:.2%}",
            "-" if app.p99_ms is None else f"{app.p99_ms:.0f} ms",
        )
    return Group(Text(""), table)


def _network(status: GroupStatus) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for arrow, answer, reason in status.survey.links:
        table.add_row("link", arrow, Text(answer, style="green" if answer == "open" else "red"), reason.partition(": ")[2] or reason)
    if status.survey.lag_bytes is not None:
        table.add_row("lag", f"{status.survey.lag_bytes} bytes", "", f"at most {status.survey.lag_upper_bytes}")
    for record, server, answer in status.survey.dns:
        table.add_row("dns", record, "", f"{answer} (at {server})")
    return Group(Text(""), table)


def why(outlook: Outlook | None) -> RenderableType:
    """The verdict explained, for ``--why``: the resume table's row, what was read for it, what comes first, and the gates."""
    table = Table.grid(padding=(0, 2))
    if outlook is None:
        return Text("there is nothing to resume", style="dim")
    table.add_row("a resume", Text(outlook.does, style="bold"))
    table.add_row("exit code", f"{outlook.code}" + ("" if outlook.code else ": it goes on"))
    rows = {"because": outlook.why, "row": f"{outlook.row}: {outlook.condition}" if outlook.row else "", "read now": outlook.roles}
    for name, words in (*rows.items(), *(("before that", line) for line in outlook.before)):
        if words:
            table.add_row(name, words)
    for gate in outlook.gates:
        style = {Answer.OPEN: "green", Answer.UNKNOWN: "yellow"}.get(gate.answer, "red")
        answer = Text("failed" if gate.failed else gate.answer.value, style=style)
        table.add_row("gate", Text.assemble(answer, f"  {gate.name}: {gate.reason}"))
    return table


def _ago(seconds: float | None) -> str:
    return "?" if seconds is None else lasted(seconds)


def _last(status: GroupStatus) -> RenderableType:
    if not status.standing.open:
        return Text("")
    table = Table.grid(padding=(0, 2))
    if status.outlook is not None:
        code = f" (exit {status.outlook.code})" if status.outlook.code else ""
        table.add_row("a resume", Text(f"{status.outlook.does}{code}", style="yellow" if code else ""))
    table.add_row(Text("^C at the holder", style="dim"), Text(on_interrupt(status.standing), style="dim"))
    table.add_row(Text("rollback now", style="dim"), Text(rollback_costs(status.standing), style="dim"))
    return Group(Text(""), table)
