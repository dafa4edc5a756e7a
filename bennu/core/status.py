"""What ``status`` shows: the journal's standing and what the world says now, side by side. Pure: observations come in, sentences go out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bennu.core.clusters import Colour, Role
from bennu.core.consent import SAID
from bennu.core.outlook import Outlook
from bennu.core.record import Kind, Record
from bennu.core.standing import Standing
from bennu.core.states import Direction, State, Status


@dataclass(frozen=True)
class ClusterView:
    """One cluster as it is now. None = not configured or could not be asked; ``problem`` says why. ``weights``: (app, live percent sent here)."""

    colour: Colour
    exists: bool
    role: Role
    version: str = ""
    problem: str = ""
    master_in_git: bool | None = None
    master_live: bool | None = None
    redis_master: bool | None = None
    redis_link_up: bool | None = None
    redis_offset: int | None = None
    redis_keys: int | None = None
    ingress_rps: float | None = None


@dataclass(frozen=True)
class AppView:
    """One app's share at the target: percent in Git, live percent, requests seen in the window, success, p99."""

    app: str
    wanted: int | None
    live: int | None
    requests: float | None = None
    success: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Survey:
    """What the world says. ``links``: (direction, answer, reason). ``dns``: (record, server, answer)."""

    clusters: tuple[ClusterView, ...]
    apps: tuple[AppView, ...] = ()
    links: tuple[tuple[str, str, str], ...] = ()
    dns: tuple[tuple[str, str, str], ...] = ()
    lag_bytes: int | None = None  # the lower estimate, by which gates decide
    lag_upper_bytes: int | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pause:
    """How long writes were held back, in ms as a client of the old master saw it: said before, and measured. None = not yet."""

    predicted_ms: float | None = None
    ms: float | None = None

    def words(self) -> str:
        """For an operator; empty while nothing is known."""
        if self.ms is None:
            return "" if self.predicted_ms is None else f"predicted {self.predicted_ms:.1f} ms"
        return f"{self.ms:.1f} ms" + ("" if self.predicted_ms is None else f", predicted {self.predicted_ms:.1f} ms")


@dataclass(frozen=True)
class Switchover:
    """S6 of a rotation, in figures."""

    pause: Pause = Pause()
    snapshot: str = ""  # the file that --snapshot had the source write


@dataclass(frozen=True)
class RotationView:
    """The last rotation: its id, what was measured of it, and who said that it may go on (``user@machine``, empty: nobody yet)."""

    id: str = ""
    switchover: Switchover = Switchover()
    promoted_by: str = ""
    drained_by: str = ""


def rotation_view(standing: Standing) -> RotationView:
    """From the facts of the journal. After a reverse switchover they are that one's: the last hand-over's."""

    def number(name: str) -> float | None:
        try:
            found = float(standing.facts.get(name, ""))
        except ValueError:
            return None  # not measured, or nothing that a measurement would have left
        return found if math.isfinite(found) else None

    switchover = Switchover(Pause(number("pause.predicted_ms"), number("pause.ms")), standing.facts.get("snapshot.path", ""))
    return RotationView(standing.rotation, switchover, *(standing.facts.get(SAID[verb], "") for verb in ("promote", "drain")))


@dataclass(frozen=True)
class Announced:
    """The journal's last intent: which step was about to act, who said so and when (ISO), and whether it is open still, its end unrecorded."""

    step: str
    by: str
    at: str
    epoch: int
    open: bool


def last_intent(records: Iterable[Record], standing: Standing) -> Announced | None:
    """The last one of *standing*'s rotation; None where it has none."""
    found = None
    for record in records:
        if record.kind is Kind.INTENT and record.rotation == standing.rotation:
            found = record
    return None if found is None else Announced(found.step, found.holder, found.at, found.epoch, standing.intent == found.step)


@dataclass(frozen=True)
class Ages:
    """How long ago by this machine's clock, in seconds: the lock was taken, its holder last wrote, the last intent was pushed, the clone last heard from the remote. None = there is none."""

    lock: float | None = None
    heartbeat: float | None = None
    intent: float | None = None
    clone: float | None = None


def ages(standing: Standing, intent: Announced | None, fresh_at: str, now: datetime) -> Ages:
    """For people: two machines' clocks may differ, and nothing is decided by it. What is in the future by ours is 0."""

    def since(at: str) -> float | None:
        return max(0.0, (now - datetime.fromisoformat(at)).total_seconds()) if at else None

    held = standing.lock
    return Ages(since(held.since if held else ""), since(standing.heartbeat if held else ""), since(intent.at if intent else ""), since(fresh_at))


def lasted(seconds: float) -> str:
    """A duration, as short as can be: 42s, 12m, 1h05."""
    if seconds < 100:
        return f"{seconds:.0f}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02}"


@dataclass(frozen=True)
class GroupStatus:
    """All that one screen needs. ``fresh_at`` is when the clone last heard from the remote (ISO; empty: never), ``stale`` why it didn't since. ``outlook``: what a resume would do, None where
    there is nothing to resume.
    """

    group: str
    standing: Standing
    survey: Survey
    now: str
    fresh_at: str = ""
    stale: str = ""
    rotation: RotationView = RotationView()
    intent: Announced | None = None
    ages: Ages = Ages()
    outlook: Outlook | None = None


def summary(status: GroupStatus) -> tuple[str, ...]:
    """What whoever resumes is told first: where it stands, who holds it, the last intent, what the world says, the verdict. One line each."""
    standing, old = status.standing, status.ages
    found = [f"rotation {standing.rotation} {standing.source} → {standing.target}: {headline(standing)}"]
    if standing.lock is not None:
        held = (
            f"held by {standing.lock.holder} for {_ago(old.lock)}, last seen {_ago(old.heartbeat)} ago (lock {standing.lock.id}, epoch {standing.lock.epoch})"
        )
        found.append(held)
    else:
        found.append("held by nobody")
    if status.intent is not None:
        found.append(f"last intent: {status.intent.step}, {_ago(old.intent)} ago by {status.intent.by}{'' if status.intent.open else ', ended'}")
    if status.stale:
        found.append(f"from a clone that is {_ago(old.clone)} old: {status.stale}")
    return tuple(found) + (() if status.outlook is None else verdict_lines(status.outlook))


def verdict_lines(outlook: Outlook) -> tuple[str, ...]:
    """The verdict and what it rests on."""
    world = (f"the world: {outlook.roles}",) if outlook.roles else ()
    code = f" (exit {outlook.code})" if outlook.code else ""
    return (*world, f"a resume {outlook.does}{code}" + (f": {outlook.why}" if outlook.why else ""))


def _ago(seconds: float | None) -> str:
    return "?" if seconds is None else lasted(seconds)


def from_clone(status: GroupStatus) -> str:
    """How old what is shown of Git is, and why; empty where the remote has just answered."""
    if not status.stale:
        return ""
    try:
        age = (datetime.fromisoformat(status.now) - datetime.fromisoformat(status.fresh_at)).total_seconds()
    except ValueError:
        return f"never fetched: {status.stale}"
    count, unit = next((age / size, unit) for size, unit in ((86400, "days"), (3600, "h"), (60, "min"), (1, "s")) if age >= size or size == 1)
    return f"{max(count, 0):.0f} {unit} old (fetched {status.fresh_at[:19]}): {status.stale}"


def writers(survey: Survey) -> str:
    """Who can write now: from Redis, not from the pointer."""
    known = [view for view in survey.clusters if view.redis_master is not None]
    masters = [view.colour.cluster for view in known if view.redis_master]
    if not known:
        flagged = [view.colour.cluster for view in survey.clusters if view.master_live]
        if len(flagged) > 1:
            return f"MORE THAN ONE MASTER by the pointers: {', '.join(flagged)}"
        return f"{flagged[0]} (by the pointer; no Redis was asked)" if flagged else "unknown"
    if len(masters) > 1:
        return f"MORE THAN ONE MASTER: {', '.join(masters)}"
    if masters:
        return masters[0]
    # One that could not be asked may be a master all the same.
    silent = [view.colour.cluster for view in survey.clusters if view.role is not Role.ABSENT and view.redis_master is None]
    return f"unknown: the Redis of {', '.join(silent)} does not answer" if silent else "nobody (writes are refused)"


def rollback_costs(standing: Standing) -> str:
    """What a rollback would cost now, in words."""
    if not standing.open:
        return "no rotation is open"
    if standing.direction is not Direction.FORWARD:
        return "it is under way"
    if standing.state is State.DRAINING:
        return "impossible: the source is being taken down"
    if standing.state is State.PROMOTED:
        return "a second pause of milliseconds; no write is lost while the reverse link lives"
    if standing.state is State.SWITCHOVER_LOCKED:
        return "decided by the servers' roles; nothing acknowledged is lost"
    return "nothing: the source has the authority"


def on_interrupt(standing: Standing) -> str:
    """What Ctrl-C at the holder would do now."""
    if not standing.open or standing.lock is None:
        return "nobody drives"
    if standing.state is State.SWITCHOVER_LOCKED:
        return "it waits for the next safe point, moments away"
    if standing.state is State.TRAFFIC_CANARY:
        return "the run stops; weights stay as they are and nobody watches them until resume"
    return "the step in hand ends, then the run stops; 'bennu rotate resume' goes on"


def headline(standing: Standing) -> str:
    """One line: where it stands."""
    if not standing.rotation:
        return "IDLE_STABLE, no rotation yet"
    if not standing.open:
        return f"IDLE_STABLE since {standing.ended}" if standing.ended else "IDLE_STABLE"
    tail = f": {standing.reason}" if standing.reason and standing.status is not Status.RUNNING else ""
    return f"{standing.state} ({standing.status}{tail})"
