"""The plan, from the very steps that run: each step's edits are computed on the repository as the steps before it would leave it. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bennu.core.clusters import Group
from bennu.core.plan import Planned
from bennu.core.record import Record
from bennu.errors import BennuError
from bennu.phases.base import GateStep, Phase, Step, World, pending
from bennu.ports.repository import Advance, Change, Claimed, Commit, Edit, Freshness, Journal, Move, Repository, unified


@dataclass
class Overlay:
    """A repository whose files are those of another with edits laid over them; reading only."""

    below: Repository
    laid: dict[str, str | None] = field(default_factory=dict)

    @property
    def branch(self) -> str:
        """Of the repository below."""
        return self.below.branch

    def lay(self, edits: Sequence[Edit]) -> None:
        """Let *edits* be as if committed."""
        self.laid |= {edit.path: edit.text for edit in edits}

    def read(self, path: str, at: str = "") -> str | None:
        """With the edits laid over."""
        return self.laid[path] if path in self.laid and not at else self.below.read(path, at)

    def files(self, folder: str, at: str = "") -> tuple[str, ...]:
        """With the edits laid over."""
        prefix = folder.rstrip("/") + "/"
        found = set(self.below.files(folder, at))
        for path, text in self.laid.items():
            if path.startswith(prefix):
                found = found - {path} if text is None else found | {path}
        return tuple(sorted(found))

    def diff(self, edits: Sequence[Edit]) -> str:
        """Against the overlay."""
        return "".join(unified(edit.path, self.read(edit.path), edit.text) for edit in edits)

    def fetch(self, *, limit_s: float | None = None) -> Freshness:
        """Of the repository below."""
        return self.below.fetch()

    def head(self) -> str:
        """Of the repository below."""
        return self.below.head()

    def log(self, paths: Sequence[str] = (), since: str = "", limit: int = 0) -> tuple[Commit, ...]:
        """Of the repository below."""
        return self.below.log(paths, since, limit)

    def journal(self, group: Group) -> Journal:
        """Of the repository below."""
        return self.below.journal(group)

    def claims(self, *, limit_s: float | None = None) -> Mapping[str, Claimed]:
        """Of the repository below."""
        return self.below.claims(limit_s=limit_s)

    def advance(
        self, group: Group, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        """A plan never writes."""
        raise BennuError("a plan tried to write to the repository")

    def probe_push(self) -> str:
        """See the port."""
        return self.below.probe_push()

    def probe_notes(self, group: Group) -> str:
        """Of the repository below."""
        return self.below.probe_notes(group)


def planned(phases: Sequence[Phase], world: World) -> tuple[Planned, ...]:
    """Every step of *phases*, in order."""
    overlay = Overlay(world.systems.repository)
    world = replace(world, systems=replace(world.systems, repository=overlay))
    return tuple(_step(step, phase, world, overlay) for phase in phases for step in phase.steps(world))


def _step(step: Step, phase: Phase, world: World, overlay: Overlay) -> Planned:
    diff, later = "", ""
    try:
        edits = pending(world, step.edits(world))
        diff = overlay.diff(edits)
        overlay.lay(edits)
    except BennuError as error:
        # What depends on a cluster that does not exist yet can't be shown; saying so is better than guessing.
        later = f"known once the steps before it are done ({error.message})"
    effect = f"waits for {step.awaits or step.title}" if isinstance(step, GateStep) else step.forecast(world)
    return Planned(phase.state, step.id, step.title, effect, diff, later, step.timeout_s(world.policy), phase.confirm(world))
