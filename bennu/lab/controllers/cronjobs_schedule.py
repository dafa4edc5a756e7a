"""When a CronJob is due: the five fields of cron, the ``@`` names, and the lab's shorter period.

Pure: the time comes in as a value. It knows minutes, UTC, lists, ranges, steps and names of months and days; not ``CRON_TZ`` inside the schedule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EVERY = "lab.bennu.io/every"
"""Annotation: a period (``2s``, ``500ms``) in place of the schedule, since nobody rehearses by the minute."""

_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_HORIZON = timedelta(days=4 * 366)


def seconds(text: str) -> float:
    """A Go duration (``1m30s``, ``500ms``) in seconds. Raises ValueError."""
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(n) * _SECONDS[u] for n, u in parts)


@dataclass(frozen=True)
class Schedule:
    """A parsed crontab line. Days of week run from 0 (Sunday) to 6."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """From ``*/5 2-4 * * mon`` or ``@daily``. Raises ValueError."""
        fields = _NAMED.get(text.strip(), text).split()
        if len(fields) != 5:
            raise ValueError(f"{text!r} has {len(fields)} fields, not 5")
        weekdays = frozenset(d % 7 for d in _members(fields[4], 0, 7, _DAYS, 0))
        # As in cron: where both day fields are restricted, either of them suffices.
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        return cls(
            _members(fields[0], 0, 59),
            _members(fields[1], 0, 23),
            _members(fields[2], 1, 31),
            _members(fields[3], 1, 12, _MONTHS, 1),
            weekdays,
            either,
        )

    def matches(self, when: datetime) -> bool:
        """Whether the minute of *when* is due."""
        return when.minute in self.minutes and when.hour in self.hours and when.month in self.months and self._day(when)

    def next_after(self, when: datetime) -> datetime | None:
        """The first due minute strictly after *when*; None if there is none in four years (30 February)."""
        at = when.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = at + _HORIZON
        while at < end:
            if at.month not in self.months or not self._day(at):
                at = (at + timedelta(days=1)).replace(hour=0, minute=0)
            elif at.hour not in self.hours:
                at = (at + timedelta(hours=1)).replace(minute=0)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _day(self, when: datetime) -> bool:
        weekday = when.isoweekday() % 7 in self.weekdays
        day = when.day in self.days
        return (weekday or day) if self.either_day else (weekday and day)


def next_due(schedule: str, annotations: dict[str, str], after: datetime) -> datetime | None:
    """The next due moment after *after*, by the annotation where there is one, else by the schedule. Raises ValueError."""
    every = annotations.get(EVERY)
    if every:
        return after + timedelta(seconds=seconds(every))
    return Schedule.parse(schedule).next_after(after)


def _members(text: str, low: int, high: int, names: list[str] | None = None, first: int = 0) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        span, _, step_text = part.partition("/")
        step = int(step_text) if step_text else 1
        begin, end = _span(span, (low, high), names, first)
        if step_text and "-" not in span and span != "*":
            end = high
        if step < 1 or begin < low or end > high or begin > end:
            raise ValueError(f"{part!r} is outside {low}-{high}")
        found.update(range(begin, end + 1, step))
    return frozenset(found)


def _span(span: str, limits: tuple[int, int], names: list[str] | None, first: int) -> tuple[int, int]:
    if span in ("*", "?"):
        return limits
    begin, dash, end = span.partition("-")
    number = _number(begin, names, first)
    return number, _number(end, names, first) if dash else number


def _number(text: str, names: list[str] | None, first: int) -> int:
    if names and text in names:
        return names.index(text) + first
    return int(text)
