"""What a Redis server in memory is, and what tests turn on it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property

from bennu.core.expiry import Expiry
from bennu.core.surroundings import Profile
from bennu.ports.redis import Address

_numbers = itertools.count(1)


def fresh_id() -> str:
    """Forty hex digits that no other has."""
    return f"{next(_numbers):040x}"


class Held(Exception):
    """A client's write waits for the end of the pause."""


class ReadOnly(Exception):
    """READONLY: the server is a replica."""


@dataclass(frozen=True)
class State:
    """What a server process is; replaced as a whole, so that a snapshot is a value."""

    run_id: str
    replid: str
    replid2: str = ""
    offset: int = 0
    second_offset: int = -1
    master: Address | None = None
    synced: bool = False
    data: tuple[tuple[str, str], ...] = ()
    sync_full: int = 0

    @cached_property
    def keys(self) -> dict[str, str]:
        return dict(self.data)

    def __deepcopy__(self, memo: object) -> State:
        return self


@dataclass
class Connection:
    """An open connection by its name."""

    name: str
    alive: bool = True


@dataclass
class Knobs:
    """What tests turn."""

    aof: bool = True
    read_only_replica: bool = True
    config_file: str = "/data/redis.conf"
    up: bool = True
    reachable: bool = True
    version: str = "9.0.0"
    sentinels: int = 0
    saving: bool = False
    password: str = ""
    tls_replication: bool = False
    authority: str = ""  # who signed its certificate, and whom it trusts
    syncing: bool = False
    refuses: bool = False  # it answers every question with a refusal, as one whose password was changed does
    expiries: tuple[Expiry, ...] = ()
    profile: Profile = field(default_factory=Profile)
