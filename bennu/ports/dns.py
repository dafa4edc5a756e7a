"""What name servers answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class DnsAnswer:
    """One server's answer: CNAME or addresses (trailing dots removed), and the TTL in seconds as that server gave it."""

    server: str
    targets: tuple[str, ...]
    ttl_s: int


class Dns(Protocol):
    """Asks one server directly, no search list, no cache of our own."""

    def ask(self, record: str, server: str) -> DnsAnswer:
        """*server* is ``host``, ``host:port`` or ``authoritative`` (found by NS). An empty ``targets`` = NXDOMAIN or no data. Raises DependencyDown on no answer."""
