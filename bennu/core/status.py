"""What ``status`` shows: the journal's standing and what the world says now, side by side. Pure: observations come in, sentences go out."""

from __future__ import annotations

from dataclasses import dataclass

from bennu.core.clusters import Colour, Role
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
    """The last rotation: its id, and what was measured of it."""

    id: str = ""
    switchover: Switchover = Switchover()


def rotation_view(standing: Standing) -> RotationView:
    """From the facts of the journal. After a reverse switchover they are that one's: the last hand-over's."""

    def number(name: str) -> float | None:
        return float(standing.facts[name]) if standing.facts.get(name) else None

    return RotationView(standing.rotation, Switchover(Pause(number("pause.predicted_ms"), number("pause.ms")), standing.facts.get("snapshot.path", "")))


@dataclass(frozen=True)
class GroupStatus:
    """All that one screen needs. ``fresh_at`` is when the clone last heard from the remote (ISO), ``stale`` why it didn't since."""

    group: str
    standing: Standing
    survey: Survey
    now: str
    fresh_at: str = ""
    stale: str = ""
    rotation: RotationView = RotationView()


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
