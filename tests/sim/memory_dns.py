"""Name servers that tests set, each with its own view."""

from __future__ import annotations

from bennu.errors import DependencyDown
from bennu.ports.dns import DnsAnswer


class MemoryDns:
    """Port ``Dns``."""

    def __init__(self) -> None:
        self._views: dict[tuple[str, str], tuple[tuple[str, ...], int]] = {}
        self.silent: set[str] = set()

    def publish(self, record: str, *targets: str, ttl_s: int = 300, servers: tuple[str, ...] = ("authoritative",)) -> None:
        """What *servers* say of *record* from now on."""
        for server in servers:
            self._views[(server, record.rstrip("."))] = (targets, ttl_s)

    def ask(self, record: str, server: str) -> DnsAnswer:
        if server in self.silent:
            raise DependencyDown(f"the name server {server} does not serve: no answer in time", next_step="look at that name server")
        targets, ttl_s = self._views.get((server, record.rstrip(".")), ((), 0))
        return DnsAnswer(server, targets, ttl_s)
