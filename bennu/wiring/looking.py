"""What a command that only reads says of a group: the journal's standing, how old it is, and what a resume would do. Takes no lock, writes nothing but its own clone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bennu.core.outlook import Outlook
from bennu.core.requests import owed
from bennu.core.standing import Standing
from bennu.core.status import GroupStatus, Survey, ages, last_intent, rotation_view
from bennu.engine.journal import Journal
from bennu.phases.base import World
from bennu.phases.outlook import outlook


def told(journal: Journal, world_of: Callable[[Standing], World], *, gates: bool) -> tuple[GroupStatus, World]:
    """The status but for the survey of all systems, which may take its time; and the world that it is about. *gates*: ask those of the step at hand."""
    freshness, standing = journal.refresh(), journal.standing
    world = replace(world_of(standing), facts=standing.facts, epoch=standing.epoch)
    now, intent = world.systems.clock.wall(), last_intent(journal.records, standing)
    fetched = freshness.fetched_at.isoformat(timespec="seconds") if freshness.fetched_at else ""
    found = GroupStatus(
        str(journal.group),
        standing,
        Survey(()),
        now.astimezone().isoformat(timespec="seconds"),
        fetched,
        freshness.problem,
        rotation_view(standing),
        intent,
        ages(standing, intent, fetched, now),
        _outlook(journal, world, gates=gates),
    )
    return found, world


def _outlook(journal: Journal, world: World, *, gates: bool) -> Outlook | None:
    found = outlook(world, journal.standing, gates=gates)
    waiting = owed(journal.records) if journal.standing.open else None
    if found is None or waiting is None:
        return found
    return replace(found, before=(f"does first what {waiting.by} asked for and {waiting.holder} took up: {waiting.verb}", *found.before))
