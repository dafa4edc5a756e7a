"""The write authority in every commit of the branch: ``doctor --history``. At most one cluster of a group may have had it, at any commit that Flux could have applied.

Files are looked for where ``repository.layout`` and ``pointer.keys`` say today; a commit from before either was changed shows no master, and is none. A file that cannot be parsed is a finding, since
nobody can say what it gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bennu.core.clusters import Colour
from bennu.errors import ConfigError
from bennu.manifests import traffic_state, tree
from bennu.phases.base import World


@dataclass(frozen=True)
class Breach:
    """A commit in which more than one cluster had the authority (``files`` of them, in the order of colours), or where ``problem`` kept a file from being read."""

    commit: str
    at: str
    author: str
    subject: str
    files: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class History:
    """What was looked at: commits that touched a pointer's file, oldest first, and those that break the rule."""

    commits: int
    breaches: tuple[Breach, ...]


def audited(world: World) -> History:
    """Every commit that changed a traffic-state file of the group, merges and their side branches included. What lies between two of them cannot differ."""
    repository, keys = world.systems.repository, world.conf.pointer.keys
    paths = tuple(world.path(colour, tree.TRAFFIC_STATE) for colour in Colour)

    @cache
    def is_master(text: str, path: str) -> bool:
        return traffic_state.parse(text, path, keys).is_write_master

    commits = repository.log(paths)
    breaches = []
    for commit in reversed(commits):
        texts = {path: repository.read(path, at=commit.id) for path in paths}
        masters, problem = [], ""
        for path, text in texts.items():
            try:
                masters += [path] if text is not None and is_master(text, path) else []
            except ConfigError as error:
                masters, problem = [*masters, path], error.message
        if len(masters) > 1 or problem:
            breaches.append(Breach(commit.id, commit.at.isoformat(), commit.author, commit.subject, tuple(masters), problem))
    return History(len(commits), tuple(breaches))
