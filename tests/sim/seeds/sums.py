"""What many stories amount to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bennu.core.states import State
from tests.sim.seeds.play import Ending


@dataclass
class Sums:
    """Counts over stories; adding two gives that of both."""

    stories: int = 0
    from_start: int = 0
    promoted: int = 0
    processes: int = 0
    struck: int = 0
    by_hand: int = 0
    cpu_s: float = 0.0
    codes: Counter[int] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _said: int = 0

    def add(self, ending: Ending, complaint: Callable[[Ending], str]) -> None:
        """One story more."""
        self.stories += 1
        self.from_start += ending.story.begins is State.IDLE_STABLE
        self.promoted += ending.promoted
        self.processes += len(ending.codes)
        self.struck += bool(ending.met)
        self.by_hand += ending.by_hand
        self.cpu_s += ending.cpu_s
        self.codes.update(ending.codes)
        self.met.update(ending.met)
        if ending.violations:
            self.violations.append(complaint(ending))

    def merge(self, other: Sums) -> None:
        """Those of another batch."""
        for name in ("stories", "from_start", "promoted", "processes", "struck", "by_hand", "cpu_s", "codes", "met", "violations"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def fresh(self) -> list[str]:
        """Violations that were not told yet."""
        found, self._said = self.violations[self._said :], len(self.violations)
        return found

    def line(self) -> str:
        """In one line."""
        whole = max(1, self.stories)
        return (
            f"{self.stories} seeds, {self.promoted / whole:.0%} reach promotion, {self.from_start / whole:.0%} from the start, {self.struck / whole:.0%} struck, "
            f"{self.processes} processes, {self.by_hand} left to an operator, {1000 * self.cpu_s / whole:.0f} ms of CPU each, {len(self.violations)} violations"
        )

    def table(self) -> str:
        """Exit codes by share (-1: killed), and faults met by kind."""
        codes = ", ".join(f"{code}: {count / max(1, self.processes):.1%}" for code, count in sorted(self.codes.items()))
        met = ", ".join(f"{kind} {count}" for kind, count in self.met.most_common())
        return f"exit codes of {self.processes} processes: {codes}\nfaults met: {met}"
