"""A gate's answer: open, shut or unknown, with the reason in an operator's words.

Unknown never opens. ``failed`` marks an answer that no waiting will mend (the canary's success rate was measured and is too low): the engine then stops
waiting and lets the phase react.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Answer(enum.StrEnum):
    """Three values; there is no fourth."""

    OPEN = "open"
    SHUT = "shut"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """What a gate found. ``figures`` are (name, value) pairs for reports, e.g. ``("lag_bytes", "0")``."""

    answer: Answer
    reason: str
    failed: bool = False
    figures: tuple[tuple[str, str], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the run may go on."""
        return self.answer is Answer.OPEN


def opened(reason: str, *figures: tuple[str, str]) -> Verdict:
    """The criterion holds."""
    return Verdict(Answer.OPEN, reason, figures=figures)


def shut(reason: str, *figures: tuple[str, str]) -> Verdict:
    """The criterion does not hold yet; waiting may help."""
    return Verdict(Answer.SHUT, reason, figures=figures)


def unknown(reason: str, *figures: tuple[str, str]) -> Verdict:
    """Nothing can be said; treated as shut."""
    return Verdict(Answer.UNKNOWN, reason, figures=figures)


def failed(reason: str, *figures: tuple[str, str]) -> Verdict:
    """The criterion does not hold, and waiting won't change it."""
    return Verdict(Answer.SHUT, reason, failed=True, figures=figures)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several gates together: failed over shut over unknown over open; reasons of that kind joined by ``; ``.

    Raises ValueError for no verdict at all: an empty conjunction must not open.
    """
    found = list(verdicts)
    if not found:
        raise ValueError("no verdict given")

    def rank(v: Verdict) -> int:
        if v.failed:
            return 3
        return {Answer.SHUT: 2, Answer.UNKNOWN: 1, Answer.OPEN: 0}[v.answer]

    top = max(rank(v) for v in found)
    picked = [v for v in found if rank(v) == top]
    figures = tuple(pair for v in found for pair in v.figures)
    return Verdict(picked[0].answer, "; ".join(v.reason for v in picked), picked[0].failed, figures)
