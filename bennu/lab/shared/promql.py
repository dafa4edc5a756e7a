"""A small PromQL: the shapes that Bennu's own queries and a curious operator need, with Prometheus' semantics (extrapolation, counter resets, staleness, empty results).

Grammar: selectors by name with ``= != =~ !~`` and a range, ``increase rate timestamp time histogram_quantile``, ``sum min max topk`` with ``by``, ``+ - * /``, numbers, parentheses.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from bennu.lab.shared.samples import Labels, Series, Store, unescaped

STALE_S = 300.0
Vector = dict[Labels, float]
Value = Vector | float


class QueryError(Exception):
    """bad_data: the query cannot be read."""


_TOKEN = re.compile(r'\s*(?:(\d+(?:\.\d+)?(?:e-?\d+)?)|([a-zA-Z_:][a-zA-Z0-9_:]*)|("(?:[^"\\]|\\.)*")|(=~|!~|!=|[=(){}\[\],+\-*/]))')
_DURATION = re.compile(r"\s*((?:\d+(?:ms|s|m|h|d))+)\s*\]")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AGGREGATES = ("sum", "min", "max", "topk")


@dataclass
class Query:
    """One evaluation: *text* at time *at* over *store*."""

    text: str
    at: float
    store: Store
    pos: int = field(default=0, init=False)

    def result(self) -> Value:
        """The value. Raises QueryError."""
        try:
            found = self._sum()
        except RecursionError:
            raise QueryError("it is nested too deeply") from None
        if self.text[self.pos :].strip():
            raise QueryError(f"unexpected {self.text[self.pos :].strip()[:20]!r}")
        return found

    # Parsing by descent, evaluating as it goes: the queries are short.

    def _peek(self) -> str:
        match = _TOKEN.match(self.text, self.pos)
        return match[0].strip() if match else ""

    def _take(self, wanted: str = "") -> str:
        match = _TOKEN.match(self.text, self.pos)
        if not match or (wanted and match[0].strip() != wanted):
            raise QueryError(f"expected {wanted or 'something'} at {self.text[self.pos : self.pos + 20]!r}")
        self.pos = match.end()
        return match[0].strip()

    def _sum(self) -> Value:
        left = self._product()
        while self._peek() in ("+", "-"):
            left = _binary(self._take(), left, self._product())
        return left

    def _product(self) -> Value:
        left = self._atom()
        while self._peek() in ("*", "/"):
            left = _binary(self._take(), left, self._atom())
        return left

    def _atom(self) -> Value:
        ahead = self._peek()
        if ahead == "(":
            self._take()
            inner = self._sum()
            self._take(")")
            return inner
        if ahead == "-":
            self._take()
            return _binary("*", -1.0, self._atom())
        if re.match(r"\d", ahead):
            return float(self._take())
        if ahead in _AGGREGATES:
            return self._aggregate(self._take())
        if ahead in ("increase", "rate", "timestamp", "time", "histogram_quantile"):
            return self._function(self._take())
        if re.match(r"[a-zA-Z_:{]", ahead):
            return self._instant()
        raise QueryError(f"unexpected {ahead!r}")

    def _function(self, name: str) -> Value:
        self._take("(")
        if name == "time":
            self._take(")")
            return self.at
        if name == "histogram_quantile":
            quantile = self._sum()
            self._take(",")
            inner = self._sum()
            self._take(")")
            if isinstance(quantile, dict) or not isinstance(inner, dict):
                raise QueryError("histogram_quantile takes a number and a vector")
            return _quantile(quantile, inner)
        if name == "timestamp":
            _, series = self._selected()
            found: Value = {labels: point[0] for labels, one in series if (point := self._fresh(one))}
        else:
            found = self._over_range(name)
        self._take(")")
        return found

    def _over_range(self, name: str) -> Vector:
        _, series = self._selected()
        self._take("[")
        match = _DURATION.match(self.text, self.pos)
        if not match:
            raise QueryError("a range was expected")
        self.pos = match.end()
        window = sum(float(n) * _UNITS[u] for n, u in re.findall(r"(\d+)(ms|s|m|h|d)", match[1]))
        out: Vector = {}
        for labels, one in series:
            value = _increase(one.between(self.at - window, self.at), self.at - window, self.at)
            if value is not None:
                out[labels] = value / window if name == "rate" else value
        return out

    def _aggregate(self, name: str) -> Vector:
        by = self._by()
        self._take("(")
        count = 0
        if name == "topk":
            number = self._sum()
            count = int(number) if isinstance(number, float) else 0
            self._take(",")
        inner = self._sum()
        self._take(")")
        by = by if by is not None else self._by()
        if not isinstance(inner, dict):
            raise QueryError(f"{name} takes a vector")
        if name == "topk":
            return dict(sorted(inner.items(), key=lambda item: math.inf if math.isnan(item[1]) else -item[1])[:count])
        groups: dict[Labels, list[float]] = {}
        for labels, value in inner.items():
            groups.setdefault(tuple(pair for pair in labels if by and pair[0] in by), []).append(value)
        return {labels: _folded(name, values) for labels, values in groups.items()}

    def _by(self) -> set[str] | None:
        if self._peek() != "by":
            return None
        self._take()
        self._take("(")
        names = set()
        while self._peek() != ")":
            names.add(self._take())
            if self._peek() == ",":
                self._take()
        self._take(")")
        return names

    def _instant(self) -> Vector:
        name, series = self._selected()
        return {(("__name__", name), *labels): point[1] for labels, one in series if (point := self._fresh(one))}

    def _fresh(self, one: Series) -> tuple[float, float] | None:
        point = one.at(self.at)
        return point if point is not None and self.at - point[0] <= STALE_S else None

    def _selected(self) -> tuple[str, list[tuple[Labels, Series]]]:
        """The metric's name and its series that match."""
        name = self._take()
        if not re.match(r"[a-zA-Z_:]", name):
            raise QueryError("a selector needs a metric's name in the lab")
        tests: list[Callable[[dict[str, str]], bool]] = []
        if self._peek() == "{":
            self._take()
            while self._peek() != "}":
                tests.append(self._matcher())
                if self._peek() == ",":
                    self._take()
            self._take("}")
        return name, [(labels, one) for labels, one in self.store.named(name) if all(test(dict(labels)) for test in tests)]

    def _matcher(self) -> Callable[[dict[str, str]], bool]:
        label, operator, raw = self._take(), self._take(), self._take()
        if not raw.startswith('"'):
            raise QueryError("a label's value must be quoted")
        wanted = unescaped(raw[1:-1])
        if operator == "=":
            return lambda labels: labels.get(label, "") == wanted
        if operator == "!=":
            return lambda labels: labels.get(label, "") != wanted
        try:
            pattern = re.compile(f"(?:{wanted})\\Z")
        except re.error as error:
            raise QueryError(f"bad regular expression: {error}") from None
        if operator == "=~":
            return lambda labels: bool(pattern.match(labels.get(label, "")))
        if operator == "!~":
            return lambda labels: not pattern.match(labels.get(label, ""))
        raise QueryError(f"unknown matcher {operator}")


def _folded(name: str, values: list[float]) -> float:
    if name == "sum":
        return sum(values)
    # A NaN is passed over where there is any number beside it.
    numbers = [value for value in values if not math.isnan(value)] or values
    return min(numbers) if name == "min" else max(numbers)


def _nameless(vector: Vector) -> Vector:
    return {tuple(pair for pair in labels if pair[0] != "__name__"): value for labels, value in vector.items()}


def _binary(operator: str, left: Value, right: Value) -> Value:
    def one(a: float, b: float) -> float:
        if operator == "/":
            return a / b if b else (math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a))
        return {"+": a + b, "-": a - b, "*": a * b}[operator]

    left, right = (_nameless(side) if isinstance(side, dict) else side for side in (left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return {labels: one(value, right[labels]) for labels, value in left.items() if labels in right}
    if isinstance(left, dict):
        return {labels: one(value, right) for labels, value in left.items()} if not isinstance(right, dict) else {}
    if isinstance(right, dict):
        return {labels: one(left, value) for labels, value in right.items()}
    return one(left, right)


def _increase(points: list[tuple[float, float]], start: float, end: float) -> float | None:
    """Prometheus' extrapolated increase: resets added up, stretched to the window's edges by half an interval at the most, never below zero at its begin."""
    if len(points) < 2:
        return None
    total = points[-1][1] - points[0][1]
    for (_, before), (_, after) in itertools.pairwise(points):
        if after < before:
            total += before
    sampled = points[-1][0] - points[0][0]
    average = sampled / (len(points) - 1)
    to_start, to_end = points[0][0] - start, end - points[-1][0]
    if total > 0 and points[0][1] >= 0:
        to_start = min(to_start, sampled * (points[0][1] / total))
    limit = average * 1.1
    stretch = sampled + (to_start if to_start < limit else average / 2) + (to_end if to_end < limit else average / 2)
    return total * (stretch / sampled) if sampled else None


def _quantile(quantile: float, buckets: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, float]]] = {}
    for labels, count in buckets.items():
        bound = dict(labels).get("le")
        if bound is not None:
            rest = tuple(pair for pair in labels if pair[0] not in ("le", "__name__"))
            groups.setdefault(rest, []).append((math.inf if bound == "+Inf" else float(bound), count))
    return {labels: _of_buckets(quantile, sorted(found)) for labels, found in groups.items()}


def _of_buckets(quantile: float, buckets: list[tuple[float, float]]) -> float:
    total = buckets[-1][1]
    if len(buckets) < 2 or buckets[-1][0] != math.inf or not total or math.isnan(quantile):
        return math.nan
    if not 0 <= quantile <= 1:
        return math.copysign(math.inf, quantile)
    rank, below, lower = quantile * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if bound == math.inf:
                return lower
            return lower + (bound - lower) * ((rank - below) / (count - below) if count > below else 1.0)
        below, lower = count, bound
    return lower
