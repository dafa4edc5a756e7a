"""A small time-series store: counters and gauges as they were scraped, by name and labels, for twenty minutes. Times are seconds since the epoch.

A series that its target stopped telling ends with a NaN, as Prometheus' own staleness marker does: from then on it is not there for instant queries.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
KEEP_S = 1200.0
"""Twice the longest window that Bennu's policies ask for. A sample takes 16 bytes: two clusters scraped four times a second come to some 10 MB."""
_SLACK = 512  # outlived samples are cut off in bulk
_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*\Z")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


@dataclass
class Series:
    """The samples of one series, rising in time."""

    times: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, at: float, value: float) -> None:
        """One sample; those older than KEEP_S are forgotten."""
        self.times.append(at)
        self.values.append(value)
        if len(self.times) > _SLACK and self.times[_SLACK] < at - KEEP_S:
            del self.times[:_SLACK], self.values[:_SLACK]

    def at(self, moment: float) -> tuple[float, float] | None:
        """(time, value) of the last sample not after *moment*; None where there is none, or where the series had ended."""
        index = bisect_right(self.times, moment) - 1
        if index < 0 or math.isnan(self.values[index]):
            return None
        return self.times[index], self.values[index]

    def between(self, after: float, until: float) -> list[tuple[float, float]]:
        """The samples of a half-open range (after, until]; ends are left out."""
        first, last = bisect_right(self.times, after), bisect_right(self.times, until)
        return [(self.times[i], self.values[i]) for i in range(first, last) if not math.isnan(self.values[i])]


@dataclass
class Store:
    """Series by name, then by labels."""

    series: dict[str, dict[Labels, Series]] = field(default_factory=dict)

    def add(self, name: str, labels: Labels, at: float, value: float) -> None:
        """One sample."""
        self.series.setdefault(name, {}).setdefault(labels, Series()).add(at, value)

    def end(self, name: str, labels: Labels, at: float) -> None:
        """The target does not tell it any more."""
        self.add(name, labels, at, math.nan)

    def forget(self, now: float) -> None:
        """Drop the series that had no sample for KEEP_S."""
        for name, found in list(self.series.items()):
            for labels in [labels for labels, one in found.items() if one.times[-1] < now - KEEP_S]:
                del found[labels]
            if not found:
                del self.series[name]

    def named(self, name: str) -> Iterator[tuple[Labels, Series]]:
        """All series of a name."""
        yield from self.series.get(name, {}).items()


def parsed(text: str, extra: Mapping[str, str]) -> Iterator[tuple[str, Labels, float]]:
    """(name, labels, value) of each line of Prometheus' text format; *extra* labels are added. Lines that are none are passed over."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _LINE.match(line.strip())
        if found is None:
            continue
        labels = {key: unescaped(value) for key, value in _LABEL.findall(found[2] or "")}
        try:
            value = float(found[3])
        except ValueError:
            continue
        if not math.isnan(value):
            yield found[1], tuple(sorted({**labels, **extra}.items())), value


def unescaped(text: str) -> str:
    r"""What stands for a label's value between double quotes: ``\\``, ``\"`` and ``\n`` undone, from left to right."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)
