"""From the writers' ledgers to figures: what each client saw of each hand-over, what the machine alone did to it, and what was lost. Pure but for reading the ledgers."""

from __future__ import annotations

import bisect
import itertools
import statistics
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Ledger:
    """One client's acknowledgements in order: when (ns, monotonic), which sequence number, from which port."""

    client: int
    at: Sequence[int]
    sequence: Sequence[int]
    port: Sequence[int]

    @classmethod
    def read(cls, client: int, path: Path) -> Ledger:
        """The file that a writer left."""
        found = array("q")
        found.frombytes(path.read_bytes())
        return cls(client, found[0::3], found[1::3], found[2::3])

    def crossing(self, begin: int, end: int) -> tuple[int, int] | None:
        """The last acknowledgement of the old master and the first of the new one, inside [begin, end] ns; None where this client saw none."""
        first, last = bisect.bisect_left(self.at, begin), bisect.bisect_right(self.at, end)
        for index in range(max(first, 1), last):
            if self.port[index] != self.port[index - 1]:
                return self.at[index - 1], self.at[index]
        return None

    def hand_over_ms(self, begin: int, end: int) -> float | None:
        """Between both of ``crossing``."""
        found = self.crossing(begin, end)
        return None if found is None else (found[1] - found[0]) / 1e6

    def worst_gap_ms(self, begin: int, end: int) -> float:
        """The longest time without an acknowledgement inside [begin, end] ns."""
        inside = [begin, *self.at[bisect.bisect_left(self.at, begin) : bisect.bisect_right(self.at, end)], end]
        return max(after - before for before, after in itertools.pairwise(inside)) / 1e6

    def missing(self, kept: Sequence[object]) -> list[int]:
        """Indices of acknowledged writes whose value is not in *kept* (values in the order of the acknowledgements)."""
        return [index for index, value in enumerate(kept) if not (isinstance(value, str) and value.startswith(f"{self.sequence[index]}:"))]


@dataclass
class Tally:
    """What was seen of one way to hand over, in one mode. Lists have one figure a client and hand-over, in ms."""

    hand_overs: int = 0
    failed: list[str] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    gap_ms: list[float] = field(default_factory=list)
    noise_ms: list[float] = field(default_factory=list)
    unseen: int = 0
    predicted_ms: list[float] = field(default_factory=list)
    measured_ms: list[float] = field(default_factory=list)

    def add(self, ledgers: Sequence[Ledger], quiet: int, begin: int, end: int) -> None:
        """One hand-over in [begin, end]; the control is [quiet, begin], in which nothing was handed over."""
        self.hand_overs += 1
        for ledger in ledgers:
            seen = ledger.hand_over_ms(begin, end)
            if seen is None:
                self.unseen += 1
            else:
                self.client_ms.append(seen)
            self.gap_ms.append(ledger.worst_gap_ms(begin, end))
            self.noise_ms.append(ledger.worst_gap_ms(quiet, begin))

    def figures(self) -> dict[str, object]:
        """For the JSON."""
        found: dict[str, object] = {"hand_overs": self.hand_overs, "failed": self.failed, "not_seen_by_a_client": self.unseen}
        named = {"hand_over_ms": self.client_ms, "worst_gap_ms": self.gap_ms, "control_gap_ms": self.noise_ms}
        own = {"predicted_ms": self.predicted_ms, "measured_by_the_tool_ms": self.measured_ms}
        return found | {name: spread(values) for name, values in (named | own).items()}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Count, median, 90th and 99th percentile (nearest rank), and the most."""
    if not values:
        return {"n": 0}
    ranked = sorted(values)

    def at(share: float) -> float:
        return round(ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))], 2)

    return {"n": len(ranked), "median": round(statistics.median(ranked), 2), "p90": at(0.9), "p99": at(0.99), "max": round(ranked[-1], 2)}
