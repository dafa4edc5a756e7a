"""What S6's pre-check looks at around the two servers' roles, as plain values. Pairs are (source, target)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bennu.core.expiry import Expiry


@dataclass(frozen=True)
class User:
    """A user of Redis by ACL: ``login`` is a fingerprint of whether and how it may log in, ``rules`` of what it may do then. No secret can be had from either."""

    name: str
    login: str
    rules: str


@dataclass(frozen=True)
class Profile:
    """What two servers must have alike, and what this one lets Bennu do.

    ``refused`` are commands of the hand-over that the server does not know (renamed, disabled) or that Bennu's user may not give, each with the reason. ``unasked`` are questions of this
    very comparison that the server does not answer (``ACL LIST``): what they would tell is not known, which opens nothing. ``users`` is None where the server does not list them.
    """

    refused: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    users: tuple[User, ...] | None = ()
    modules: tuple[str, ...] = ()
    maxmemory_policy: str = ""
    notify_keyspace_events: str = ""
    databases: int = 16  # 0: not known


class Admission(enum.Enum):
    """How a server receives a replica."""

    LET_IN = enum.auto()
    WRONG_CREDENTIAL = enum.auto()
    UNTRUSTED = enum.auto()  # one of the two does not trust the other's certificate


@dataclass(frozen=True)
class Surroundings:
    """What is looked at beside the roles. Versions as (major, minor)."""

    source_version: tuple[int, int]
    target_version: tuple[int, int]
    source_flavour: str
    target_flavour: str
    follows_mirror: bool | None  # whether the address that the target follows is the source's mirror; None: the mirror has no address to compare with
    source_sees_online: bool
    read_only: tuple[bool, bool]
    persistent: tuple[bool, bool]
    rewritable: tuple[bool, bool]
    busy: tuple[bool, bool]
    cluster_mode: tuple[bool, bool]
    sentinels: tuple[int, int]
    source_replicas: tuple[str, ...]
    target_replicas: tuple[str, ...]
    target_maxmemory: int
    source_used_memory: int
    reverse_reachable: bool | None
    lag_bytes: int | None
    max_lag_bytes: int
    owners: tuple[str, ...] = ()  # of the pods, beyond what Kubernetes itself reconciles: "RedisFailover redis/cache (cluster-blue)"
    profiles: tuple[Profile, Profile] = (Profile(), Profile())
    # How each server receives the other one as its replica, with the credential that is in the other's configuration and the certificates of the other's side.
    lets_in: tuple[Admission, Admission] = (Admission.LET_IN, Admission.LET_IN)
    speaks_tls: tuple[bool, bool] = (True, True)  # to its master, where the group's Redis is reached over TLS
    expiring: tuple[Expiry, ...] = ()  # credentials and certificates that end before the window would
    target_master: str = ""  # whom the target follows
    own_logins: frozenset[str] = frozenset()  # users whose passwords may differ, since that was said (``auth.same_on_both: false``)
