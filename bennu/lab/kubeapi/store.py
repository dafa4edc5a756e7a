"""All objects of one cluster, in memory, under one revision counter.

The store knows keys and revisions, no kinds and no rules. Everything runs on one event loop and no method awaits, so each is atomic. The counter starts at
the clock's microseconds, which no series of writes outruns: after a restart every older resourceVersion is known to be too old, instead of being mistaken
for a future one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from bennu.lab.kubeapi.changelog import Change, ChangeLog
from bennu.lab.kubeapi.problems import Obj

Key = tuple[str, str]


@dataclass(frozen=True)
class Address:
    """Where an object is stored: ``key`` is (group, plural), ``namespace`` empty for cluster-scoped ones."""

    key: Key
    namespace: str
    name: str


class Store:
    """Objects by address; every change gets the next revision and goes into its resource's log."""

    def __init__(self, first_revision: int | None = None) -> None:
        self.revision = int(time.time() * 1_000_000) if first_revision is None else first_revision
        self._start = self.revision
        self._objects: dict[Key, dict[tuple[str, str], Obj]] = {}
        self._logs: dict[Key, ChangeLog] = {}

    def get(self, address: Address) -> Obj | None:
        """The stored object; not to be changed by the caller."""
        return self._objects.get(address.key, {}).get((address.namespace, address.name))

    def list(self, key: Key, namespace: str = "") -> list[Obj]:
        """Objects of a resource, ordered by namespace and name, as etcd's keys are."""
        held = self._objects.get(key, {})
        return [held[place] for place in sorted(held) if not namespace or place[0] == namespace]

    def everything(self) -> Iterator[tuple[Address, Obj]]:
        """All objects of all resources (a snapshot: safe to delete while iterating)."""
        for key in list(self._objects):
            for (namespace, name), obj in list(self._objects[key].items()):
                yield Address(key, namespace, name), obj

    def log(self, key: Key) -> ChangeLog:
        """The resource's change log."""
        if key not in self._logs:
            self._logs[key] = ChangeLog(self._start)
        return self._logs[key]

    def put(self, address: Address, obj: Obj) -> Obj:
        """Store *obj* (the store owns it from now on) with the next resourceVersion; returns it."""
        held = self._objects.setdefault(address.key, {})
        place = (address.namespace, address.name)
        previous = held.get(place)
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        held[place] = obj
        self.log(address.key).append(Change(self.revision, "MODIFIED" if previous is not None else "ADDED", obj, previous))
        return obj

    def remove(self, address: Address) -> Obj | None:
        """Forget the object; returns its last state with the deletion's resourceVersion, or None if there was none."""
        previous = self._objects.get(address.key, {}).pop((address.namespace, address.name), None)
        if previous is None:
            return None
        self.revision += 1
        last = {**previous, "metadata": {**previous["metadata"], "resourceVersion": str(self.revision)}}
        self.log(address.key).append(Change(self.revision, "DELETED", last, previous))
        return last
