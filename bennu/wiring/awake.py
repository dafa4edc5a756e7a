"""The systems as a run has them: every effect asks first whether the lock was read since the process last stood still (``engine/wake.py``).

Here and not in the phases, so that no effect can be written without it. Reads pass; so does the repository, whose push is a compare-and-swap, and the checkpoint, which is this machine's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bennu.core.clusters import Colour
from bennu.phases.base import Systems
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.redis import RedisServer

CLUSTER = frozenset({"apply", "patch", "patch_status", "delete"})
REDIS = frozenset({"kill_named", "begin_save", "authenticate_as", "replicate"})
CRITICAL = frozenset({"pause", "unpause", "fence", "make_master", "attach", "cut_clients", "write_probe"})
PROVISIONER = frozenset({"up", "down"})


class _Awake:
    """One system, of which *effects* ask *check* before they happen."""

    def __init__(self, system: object, effects: frozenset[str], check: Callable[[], None]) -> None:
        self._system, self._effects, self._check = system, effects, check

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._system, name)
        if name not in self._effects:
            return found

        def asked(*args: Any, **kwargs: Any) -> Any:
            self._check()
            return found(*args, **kwargs)

        return asked


class _AwakeServer(_Awake):
    """A Redis, whose critical connections ask, too."""

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Any]:
        with self._system.critical(name, member) as connection:  # type: ignore[attr-defined]  # a RedisServer
            yield _Awake(connection, CRITICAL, self._check)


def awake(systems: Systems, check: Callable[[], None]) -> Systems:
    """*systems*, with *check* before each effect; what it raises, the caller gets instead."""

    def guarded(system: object, effects: frozenset[str]) -> Any:
        return _Awake(system, effects, check)

    def cluster(colour: Colour) -> Kubernetes:
        found: Kubernetes = guarded(systems.cluster(colour), CLUSTER)
        return found

    def redis(colour: Colour) -> RedisServer:
        found: Any = _AwakeServer(systems.redis(colour), REDIS, check)
        server: RedisServer = found
        return server

    return replace(systems, cluster=cluster, redis=redis, provisioner=guarded(systems.provisioner, PROVISIONER))
