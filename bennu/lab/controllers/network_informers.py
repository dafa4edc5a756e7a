"""What a controller knows of the cluster: objects of one kind, kept current by a watch; and the loop that acts on changes.

Level-triggered: a controller is told *that* something changed and looks at all of it again, so that a missed or doubled event does no harm. It writes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bennu.errors import BennuError
from bennu.lab.client import ApiClient, ApiError

Json = dict[str, Any]
REFUSALS = (ApiError, BennuError, OSError, TimeoutError)
"""What a request may end in that is worth another try later."""
_RETRY = 0.25
_CATCH_UP = 0.05
_TOMBSTONES = 256
_SHARED: weakref.WeakKeyDictionary[ApiClient, dict[Watched, Informer]] = weakref.WeakKeyDictionary()
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """What to watch: all namespaces unless one is named."""

    api_version: str
    kind: str
    namespace: str = ""
    labels: str = ""


class Informer:
    """The objects of one kind by (namespace, name)."""

    def __init__(self, client: ApiClient, watched: Watched) -> None:
        self._client = client
        self.watched = watched
        self._objects: dict[tuple[str, str], Json] = {}
        self._seen: set[tuple[str, str]] = set()
        self._gone: deque[str] = deque(maxlen=_TOMBSTONES)
        self._listeners: list[asyncio.Event] = []
        self._task: asyncio.Task[None] | None = None
        self.synced = asyncio.Event()

    def join(self, event: asyncio.Event) -> None:
        """Run, if it doesn't yet, and set *event* at every change."""
        self._listeners.append(event)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def leave(self, event: asyncio.Event) -> None:
        """Undo one :meth:`join`; the last to leave ends the watch."""
        self._listeners.remove(event)
        if not self._listeners and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def get(self, namespace: str, name: str) -> Json | None:
        """The object as last seen, or None."""
        return self._objects.get((namespace, name))

    def __iter__(self) -> Iterator[Json]:
        return iter(tuple(self._objects.values()))

    def of(self, namespace: str) -> list[Json]:
        """Those in one namespace."""
        return [o for (ns, _), o in self._objects.items() if ns == namespace]

    def note(self, obj: Json | None) -> None:
        """Take over what a write answered, so that the next look doesn't repeat it before the watch told."""
        # The watch may have told of its deletion before the write's answer was read.
        if obj is not None and obj["metadata"].get("uid") not in self._gone:
            self._put(obj)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._catch_up())
            watched = self.watched
            async for event, obj in self._client.watch(watched.api_version, watched.kind, watched.namespace, watched.labels):
                self._seen.add(_key(obj))
                if event == "DELETED":
                    self._objects.pop(_key(obj), None)
                    self._gone.append(str(obj["metadata"].get("uid")))
                else:
                    self._put(obj)
                self._tell()

    async def _catch_up(self) -> None:
        """Set ``synced`` once the watch has told of everything that a list has."""
        while not self.synced.is_set():
            listed: list[Json] | None = None
            try:
                watched = self.watched
                listed = await self._client.list(watched.api_version, watched.kind, watched.namespace, watched.labels)
            except ApiError as refused:
                # A kind that isn't served (yet) has no objects; the watch waits for it.
                listed = [] if refused.code == 404 else None
            except REFUSALS as problem:
                _log.info("list of %s: %s", self.watched.kind, problem)
            if listed is not None and all(_key(obj) in self._seen for obj in listed):
                self.synced.set()
                self._tell()
            else:
                await _pause(_CATCH_UP)

    def _put(self, obj: Json) -> None:
        obj.setdefault("apiVersion", self.watched.api_version)
        obj.setdefault("kind", self.watched.kind)
        before = self._objects.get(_key(obj))
        # A write's answer may overtake the watch: never go back in time.
        if before is None or _version(obj) >= _version(before):
            self._objects[_key(obj)] = obj

    def _tell(self) -> None:
        for event in self._listeners:
            event.set()


def shared(client: ApiClient, watched: Watched) -> Informer:
    """The one informer of a kind that all controllers of a client use: a watch each would send every event as often."""
    known = _SHARED.setdefault(client, {})
    if watched not in known:
        known[watched] = Informer(client, watched)
    return known[watched]


@contextlib.asynccontextmanager
async def following(informers: Sequence[Informer]) -> AsyncIterator[asyncio.Event]:
    """While the context is open all *informers* run; entered once each is current. Yields the event they set at a change."""
    changed = asyncio.Event()
    for informer in informers:
        informer.join(changed)
    try:
        for informer in informers:
            await informer.synced.wait()
        yield changed
    finally:
        for informer in informers:
            await informer.leave(changed)


async def reconcile(stop: asyncio.Event, changed: asyncio.Event, once: Callable[[], Awaitable[float | None]]) -> None:
    """Call *once* now and after each change, until *stop*; it returns in how many seconds it wants to look again by itself (None: not).

    A look that fails because the API refused or didn't answer is repeated shortly.
    """
    changed.set()
    wait: float | None = None
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            waking = asyncio.create_task(changed.wait())
            await asyncio.wait({stopping, waking}, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            waking.cancel()
            changed.clear()
            if stop.is_set():
                return
            try:
                wait = await once()
            except REFUSALS as problem:
                _log.info("will look again: %s", problem)
                wait = _RETRY
    finally:
        stopping.cancel()


async def created(client: ApiClient, obj: Json) -> Json:
    """Create *obj*; what is there already where somebody was faster."""
    try:
        return await client.create(obj)
    except ApiError as refused:
        meta = obj["metadata"]
        found = await client.find(obj["apiVersion"], obj["kind"], meta["name"], meta.get("namespace", "")) if refused.code == 409 else None
        if found is None:
            raise
        return found


async def _pause(seconds: float) -> None:
    """An inherent period: nothing tells when a server that refused would not."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


def _key(obj: Json) -> tuple[str, str]:
    meta = obj["metadata"]
    return str(meta.get("namespace", "")), str(meta["name"])


def _version(obj: Json) -> int:
    return int(obj["metadata"].get("resourceVersion") or 0)
