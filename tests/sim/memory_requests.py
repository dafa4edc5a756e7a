"""Requests for the holder without git: a list beside the journals of a ``MemoryRemote``."""

from __future__ import annotations

from bennu.core.clusters import Group
from bennu.errors import DependencyDown
from bennu.ports.repository import Reply, Request
from tests.sim.memory_repository import MemoryRemote


class MemoryRequestBox:
    """Port ``RequestBox``."""

    def __init__(self, remote: MemoryRemote) -> None:
        self._remote = remote

    def pending(self, group: Group) -> tuple[Request, ...]:
        if self._remote.down:
            return ()
        lines = self._lines(group)
        answered = {line.id for line in lines if isinstance(line, Reply)}
        return tuple(line for line in lines if isinstance(line, Request) and line.id not in answered)

    def post(self, group: Group, request: Request) -> None:
        self._append(group, request)

    def reply(self, group: Group, reply: Reply) -> None:
        self._append(group, reply)

    def answer(self, group: Group, request_id: str) -> Reply | None:
        self._reachable()
        return next((line for line in self._lines(group) if isinstance(line, Reply) and line.id == request_id), None)

    def _lines(self, group: Group) -> list[Request | Reply]:
        return list(self._remote.requests.get(str(group), []))

    def _append(self, group: Group, line: Request | Reply) -> None:
        self._reachable()
        self._remote.requests.setdefault(str(group), []).append(line)

    def _reachable(self) -> None:
        if self._remote.down:
            raise DependencyDown("the Git remote does not answer: it is down", next_step="check repository.remote and the network")
