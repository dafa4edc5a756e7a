"""Watch streams: one JSON line an event, from a resourceVersion on, without loss.

A stream is a cursor into the resource's change log. Bookmarks tell a quiet client how far it has come; a revision that is no longer remembered ends in an
ERROR event with code 410, upon which clients list again.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from bennu.lab.kubeapi.changelog import Change, Forgotten
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Obj, expired
from bennu.lab.kubeapi.selectors import Matches
from bennu.lab.kubeapi.store import Store
from bennu.lab.kubeapi.writer import in_version

BOOKMARK_SECONDS = 10.0


@dataclass(frozen=True)
class WatchRequest:
    """``since`` None means: send what exists first. ``timeout`` in seconds. ``shown`` turns an object into what is sent (a Table, for kubectl)."""

    resource: ResourceType
    namespace: str
    matches: Matches
    since: int | None
    timeout: float
    bookmarks: bool
    initial_end: bool
    shown: Callable[[Obj], Obj]


def default_timeout() -> float:
    """Half an hour to an hour, spread so that not all clients come back at once."""
    return random.uniform(1800, 3600)


async def stream(store: Store, request: WatchRequest) -> AsyncIterator[bytes]:
    """The lines of one watch, until its timeout."""
    watching = _Watching(store, request)
    for line in watching.initial():
        yield line
    loop = asyncio.get_running_loop()
    deadline = loop.time() + request.timeout
    while (left := deadline - loop.time()) > 0:
        # The bell is taken before the log is read: whatever is appended from here on rings it.
        bell = store.log(request.resource.key).bell
        try:
            lines = watching.fresh()
        except Forgotten:
            yield _line("ERROR", expired(f"too old resource version: {watching.cursor} ({store.revision})").status())
            return
        for line in lines:
            yield line
        if not await _rung(bell, min(left, BOOKMARK_SECONDS)) and request.bookmarks:
            yield watching.bookmark()


async def _rung(bell: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(bell.wait(), seconds)
    except TimeoutError:
        return False
    return True


class _Watching:
    def __init__(self, store: Store, request: WatchRequest) -> None:
        self._store = store
        self._request = request
        self.cursor = store.revision if request.since is None else request.since

    def initial(self) -> Iterator[bytes]:
        """What exists already, if the client asked for no revision; and the mark behind it, if it wants one."""
        request = self._request
        if request.since is None:
            for obj in self._store.list(request.resource.key, request.namespace):
                if request.matches(obj):
                    yield self._event("ADDED", obj)
        if request.initial_end:
            yield self._marked({"k8s.io/initial-events-end": "true"})

    def fresh(self) -> list[bytes]:
        """All that happened since the last call; the cursor then stands at the store's revision. Raises Forgotten."""
        lines = [line for change in self._store.log(self._request.resource.key).after(self.cursor) for line in self._told(change)]
        self.cursor = max(self.cursor, self._store.revision)
        return lines

    def _told(self, change: Change) -> Iterator[bytes]:
        """The event that *change* is to this watcher, who may see an object enter or leave its selection."""
        request = self._request
        if request.namespace and change.object["metadata"].get("namespace") != request.namespace:
            return
        is_in = change.type != "DELETED" and request.matches(change.object)
        was_in = change.previous is not None and request.matches(change.previous)
        if is_in:
            yield self._event("MODIFIED" if was_in else "ADDED", change.object)
        elif was_in and change.previous is not None:
            last = change.object if change.type == "DELETED" else _as_left(change)
            yield self._event("DELETED", last)

    def _event(self, name: str, obj: Obj) -> bytes:
        return _line(name, self._request.shown(in_version(obj, self._request.resource)))

    def bookmark(self) -> bytes:
        """How far this stream has come."""
        return self._marked({})

    def _marked(self, annotations: dict[str, str]) -> bytes:
        resource = self._request.resource
        metadata: Obj = {"resourceVersion": str(self.cursor), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return _line("BOOKMARK", {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata})


def _as_left(change: Change) -> Obj:
    previous = change.previous or change.object
    return {**previous, "metadata": {**previous["metadata"], "resourceVersion": change.object["metadata"]["resourceVersion"]}}


def _line(name: str, obj: Obj) -> bytes:
    return json.dumps({"type": name, "object": obj}, separators=(",", ":")).encode() + b"\n"
