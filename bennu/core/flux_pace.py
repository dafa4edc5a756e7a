"""Whether Flux is fast enough for S6: what its reconciles took, against the time that S6 may take. Pure.

A slow Flux does not lengthen the pause, which no Git round trip lies in. It lengthens S6: workloads that may run only once stand still until it has started them again, and the pointers are held
off it until it says the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bennu.core.verdict import Verdict, failed, opened, unknown


@dataclass(frozen=True)
class Sample:
    """One reconcile: how long it took from the asking until all of Flux' objects were at the commit, and when that was seen."""

    seconds: float
    at: datetime

    def text(self) -> str:
        """For the journal."""
        return f"{self.seconds:.3f}@{self.at.isoformat(timespec='seconds')}"

    @classmethod
    def parse(cls, text: str) -> Sample | None:
        """From the journal; None for what cannot be read."""
        seconds, _, at = text.partition("@")
        try:
            return cls(float(seconds), datetime.fromisoformat(at))
        except ValueError:
            return None


def p95(seconds: Sequence[float]) -> float:
    """The nearest-rank percentile: of fewer than twenty samples that is the slowest."""
    return sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]


def longest_s(commits: int, budget_s: float) -> float:
    """What one reconcile may take where S6 waits for *commits* of them, one after the other."""
    return budget_s / commits


def fast_enough(cluster: str, seconds: Sequence[float], commits: int, budget_s: float) -> Verdict:
    """The verdict over *seconds*, one a sample. *budget_s* is ``switchover_timeout_s``."""
    if not seconds:
        return unknown(f"how long Flux of {cluster} takes has not been measured yet: 'bennu doctor' measures it")
    slow, limit = p95(seconds), longest_s(commits, budget_s)
    figures = (("flux_p95_s", f"{slow:.1f}"), ("flux_samples", str(len(seconds))))
    found = f"Flux of {cluster} reconciles in {slow:.1f} s (p95 of {len(seconds)} measured)"
    if slow > limit:
        return failed(f"{found}, {_allowed(commits, budget_s)}", *figures)
    return opened(f"{found}, at most {limit:.0f} s is allowed", *figures)


def given_up(reason: str, waited_s: float, commits: int, budget_s: float) -> Verdict:
    """A reconcile that did not end (*reason* says what it waits for) and has taken longer already than it may."""
    return failed(f"{reason}; that is {waited_s:.0f} s after it was asked, {_allowed(commits, budget_s)}")


def _allowed(commits: int, budget_s: float) -> str:
    return (
        f"at most {longest_s(commits, budget_s):.0f} s is allowed: S6 waits for {commits} commits and may take {budget_s:.0f} s in all."
        " Look at the logs and the load of its controllers, or raise policy_overrides.switchover_timeout_s"
    )
