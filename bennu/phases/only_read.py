"""A world that is only looked at: ``status`` asks the very gates that a run asks, and nothing that it calls can write. Not trusted to the gates: what is not known to read is not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from bennu.core.clusters import Colour
from bennu.errors import BennuError, DependencyDown
from bennu.phases.base import World
from bennu.ports.kubernetes import Json, Kubernetes, Ref
from bennu.ports.redis import RedisServer
from bennu.ports.repository import Repository

_KUBERNETES = frozenset({"context", "endpoint", "credential_expiry", "uid", "version", "serves", "get", "list", "can"})
_REDIS = frozenset(
    {"name", "observe", "members", "lives", "last_save", "credential", "profile", "credential_for_master", "trust", "lets_in", "expiries"}
)  # fmt: skip
_REPOSITORY = frozenset({"branch", "fetch", "head", "read", "files", "log", "diff", "journal"})


class Reading:
    """A system with the *allowed* of its methods."""

    def __init__(self, system: object, allowed: frozenset[str]) -> None:
        self._system, self._allowed = system, allowed

    def __getattr__(self, name: str) -> Any:
        if name not in self._allowed:
            raise BennuError(f"a look tried to write ({name})")
        return getattr(self._system, name)


class _Unhurried(Reading):
    """A cluster whose Flux is not hurried by who only looks: the gates' annotation is left out."""

    def patch(self, ref: Ref, change: Json) -> Json:
        """Nothing but the object as it is."""
        return cast("Kubernetes", self._system).get(ref) or {}


class NotAsked(DependencyDown):
    """What a look leaves alone, and says so."""


class _Unasked:
    """The provisioner: its question may take minutes, and may leave files."""

    def __getattr__(self, name: str) -> Any:
        raise NotAsked("the provisioner is not asked by a status")


def only_read(world: World) -> World:
    """*world*, with nothing in it that writes."""
    systems = world.systems

    def cluster(ask: Callable[[Colour], Kubernetes]) -> Callable[[Colour], Kubernetes]:
        return lambda colour: cast("Kubernetes", _Unhurried(ask(colour), _KUBERNETES))

    def redis(ask: Callable[[Colour], RedisServer]) -> Callable[[Colour], RedisServer]:
        return lambda colour: cast("RedisServer", Reading(ask(colour), _REDIS))

    return replace(
        world,
        systems=replace(
            systems,
            repository=cast("Repository", Reading(systems.repository, _REPOSITORY)),
            cluster=cluster(systems.cluster),
            redis=redis(systems.redis),
            provisioner=cast("Any", _Unasked()),
            checkpoint=cast("Any", Reading(systems.checkpoint, frozenset())),
        ),
    )
