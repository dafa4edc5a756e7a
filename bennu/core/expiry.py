"""Credentials and certificates that end, and which of them end too soon. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Expiry:
    """*what* ends at *at*; *renew* is what to do about it."""

    what: str
    at: datetime
    renew: str

    def words(self) -> str:
        """For a refusal."""
        return f"{self.what} ends {self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z, before the switchover's window does"


def too_soon(found: Iterable[Expiry], until: datetime) -> tuple[Expiry, ...]:
    """Those that end before *until*, none twice: both clusters may rest on one."""
    return tuple({one.what: one for one in found if one.at < until}.values())
