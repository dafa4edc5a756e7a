"""Who holds a group, in words: for whoever comes second, for whoever lost it, and for the status screen. Pure.

An age is said of two clocks: the holder's, which is in the records, and ours. No decision rests on it alone (``engine.lock`` has what does).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from bennu.core.record import Kind, Record
from bennu.core.standing import Lock, Standing
from bennu.core.switchover import announced


@dataclass(frozen=True)
class Held:
    """A lock as ``bennu unlock`` shows it. ``age_s``: of the last heartbeat, by the holder's clock and ours (negative: they disagree); ``still_s``: how long this machine has seen the journal
    stand still, by its own clock.
    """

    id: str
    holder: str
    machine: str
    pid: str
    since: str
    rotation: str
    state: str
    status: str
    step: str
    heartbeat: str
    age_s: float | None
    still_s: float
    awaiting: str = ""


def view(standing: Standing, lock: Lock, *, now: datetime, still_s: float) -> Held:
    """The present lock with all that is known of its holder."""
    return Held(
        lock.id, lock.holder, lock.machine, lock.pid, lock.since, standing.rotation, standing.state.value, standing.status.value, standing.intent or standing.step,
        standing.heartbeat, age_s(standing.heartbeat, now), round(still_s, 1), standing.awaiting,
    )  # fmt: skip


def is_ours(lock: Lock, name: str, machine: str) -> bool:
    """Whether *lock* was taken by this user of this machine. Two machines may share a host's name; an older Bennu's record names no machine, and there the name alone tells."""
    return lock.holder == name and lock.machine in ("", machine)


def who(lock: Lock) -> str:
    """The holder: user@host, and what tells two hosts of one name apart."""
    more = ", ".join(text for text in (f"machine {lock.machine}" if lock.machine else "", f"pid {lock.pid}" if lock.pid else "") if text)
    return f"{lock.holder} ({more})" if more else lock.holder


def age_s(at: str, now: datetime) -> float | None:
    """Seconds from *at* (ISO, the holder's clock) to *now* (ours); None where *at* is no time."""
    try:
        return round((now - datetime.fromisoformat(at)).total_seconds(), 1)
    except (ValueError, TypeError):
        return None


def aged(at: str, now: datetime) -> str:
    """How long ago that was, with what the number is worth."""
    seconds = age_s(at, now)
    if seconds is None:
        return "at an unknown time"
    if seconds < 0:
        return f"{-seconds:.0f} s from now by its holder's clock: the two clocks disagree"
    return f"{seconds:.0f} s ago, if both clocks are right"


def where(standing: Standing) -> str:
    """At which state and step: by the last intent, or the last step that was done."""
    step = f", at {standing.intent}" if standing.intent else f", after {standing.step}" if standing.step else ""
    return f"{standing.state} ({standing.status}){step}"


def held(standing: Standing, now: datetime) -> str:
    """Who holds the group, since when, and when they were last heard of."""
    lock = standing.lock
    if lock is None:
        return "held by nobody"
    awaits = f", awaiting {standing.awaiting}" if standing.awaiting else ""
    return f"held by {who(lock)} since {lock.since}, last heartbeat {standing.heartbeat} ({aged(standing.heartbeat, now)}{awaits}), lock {lock.id}"


def ways(standing: Standing) -> str:
    """What somebody can do about a holder that is dead."""
    lock = standing.lock
    if lock is None:
        return "'bennu rotate resume' goes on with it, 'bennu rotate rollback' undoes it"
    on = f"'bennu rotate resume --take-over {lock.id}' goes on here" if standing.begun and not standing.ended else ""
    free = "" if announced(standing.facts) else f"'bennu unlock {lock.id}' only lets go of it"
    return f"if that holder is dead: {', '.join(one for one in (on, free) if one)}"


def overtaker(records: Iterable[Record], epoch: int) -> str:
    """Who raised the epoch above *epoch*, and when; empty: nobody."""
    for record in records:
        if record.kind is Kind.LOCK and record.epoch > epoch:
            machine = record.data.get("machine", "")
            name = f"{record.holder} (machine {machine})" if machine else record.holder
            deed = "unlocked" if record.data.get("unlock") == "true" else "taken over" if record.data.get("over") else "taken"
            return f"{deed} by {name} at {record.at} (lock {record.nonce}, epoch {record.epoch})"
    return ""
