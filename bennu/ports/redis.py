"""One Redis (or Valkey) server, and the connection of the critical section."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from bennu.core.expiry import Expiry
from bennu.core.export import Entry
from bennu.core.surroundings import Admission, Profile


@dataclass(frozen=True)
class Address:
    """Where a server is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Credential:
    """What a server asks of its clients and replicas; an empty password = nothing. The password is in no text of this object."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Trust:
    """TLS as one cluster's side does it towards a server: the authority that it trusts, and the certificate with key that it shows (None where nobody asks for one); PEM. No key is in any
    text of this object.
    """

    authority: str
    client: tuple[str, str] | None = field(repr=False)


@dataclass(frozen=True)
class Replica:
    """A replica as its master lists it (``slaveN``); ``offset`` is up to 1 s old."""

    address: Address
    state: str
    offset: int


@dataclass(frozen=True)
class Observation:
    """What a server says of itself: INFO, ROLE and a few CONFIG values in one round trip.

    Offsets are bytes of the replication stream. ``replid2``/``second_offset`` describe the history before the last promotion (empty replid2 = none;
    ``second_offset`` -1 = none). ``master`` is whom a replica follows; ``link_up`` is the replica's view of that link.
    """

    run_id: str
    version: str
    flavour: str  # "redis" or "valkey"
    is_master: bool
    master: Address | None
    link_up: bool
    master_last_io_s: int
    sync_in_progress: bool
    replid: str
    replid2: str
    offset: int
    second_offset: int
    replicas: tuple[Replica, ...]
    read_only_replica: bool
    keys: int
    used_memory: int
    maxmemory: int
    aof: bool
    rdb_save: bool
    saving_or_loading: bool
    config_file: str
    data_dir: str
    sync_full: int
    cluster_mode: bool
    sentinels: int
    blocked_clients: int
    tls_replication: bool = False  # a replica speaks TLS to its master
    link_down_s: int = -1  # how long a replica has not heard from its master; -1 = its link is up, or was never


@dataclass(frozen=True)
class Member:
    """One server behind the group's Service, or of its workload; ``name`` is its pod's, empty where it answers at the address that the settings name."""

    name: str
    seen: Observation


@dataclass(frozen=True)
class LastSave:
    """A server's RDB file: ``at`` is when it was last written and ``now`` the server's own time (both whole seconds since 1970), ``succeeded`` how the last try ended."""

    at: int
    now: int
    running: bool
    succeeded: bool
    path: str


@dataclass(frozen=True)
class Position:
    """Where a server stands: ``offset`` bytes of the history *replid*."""

    is_master: bool
    offset: int
    replid: str


@dataclass(frozen=True)
class Fenced:
    """Proof of the fence: the offset inside the transaction, and whether the configuration was written so that a restart comes back parked."""

    offset: int
    persisted: bool


class Following(Protocol):
    """A replica's own position, asked again and again without waiting for each answer: on a long way a round trip is saved at every look."""

    def anew(self) -> None:
        """From here on only answers to later questions count: what a server said before does not tell that it still lives."""

    def reaches(self, offset: int, replid: str, seconds: float) -> bool:
        """Whether it is seen, within *seconds*, as a replica that holds at least *offset* bytes of the history *replid*. False at once where it is a master. Raises ConnectionError."""


class Critical(Protocol):
    """The critical section's own connection: named, no retry, no reconnect; losing it ends this holder's switchover (ConnectionError of the standard library is raised, never swallowed)."""

    def observe(self) -> Observation:
        """As RedisServer.observe, on this connection."""

    def position(self) -> Position:
        """By ``ROLE`` and ``INFO replication``: one round trip."""

    def round_trip(self) -> float:
        """Seconds of the quickest of a few PINGs."""

    def following(self, every_s: float) -> AbstractContextManager[Following]:
        """Ask for the position every *every_s* while the context is open; nothing else may be asked on this connection meanwhile."""

    def pause(self, milliseconds: int) -> int:
        """``CLIENT PAUSE ms WRITE`` and ``ROLE`` pipelined; the source's offset inside the pause. The pause ends by itself: it is the dead-man's switch."""

    def unpause(self) -> None:
        """``CLIENT UNPAUSE``."""

    def fence(self, parking: Address) -> Fenced:
        """``MULTI; ROLE; REPLICAOF <parking>; CONFIG REWRITE; EXEC``."""

    def make_master(self) -> str:
        """``MULTI; REPLICAOF NO ONE; CONFIG REWRITE; EXEC``; the replid it then has."""

    def attach(self, master: Address) -> None:
        """``REPLICAOF master`` and ``CONFIG REWRITE``."""

    def cut_clients(self) -> int:
        """``CLIENT KILL TYPE normal SKIPME yes`` and pubsub; how many were cut. Connections named ``bennu-…`` are spared."""

    def write_probe(self, key: str, value: str) -> int:
        """SET a probe key with 10 minutes to live; the offset after it."""

    def read_probe(self, key: str) -> str | None:
        """GET it."""


class RedisServer(Protocol):
    """One server, reached by ``settings.redis[].reach``. Raises DependencyDown if it does not answer, cannot be trusted, or refuses the password (never naming the secret)."""

    @property
    def name(self) -> str:
        """For messages, e.g. ``redis of cluster-blue``."""

    def observe(self) -> Observation:
        """Now."""

    def members(self) -> tuple[Member, ...]:
        """Every server that answers now, each asked by itself: all pods behind the Service, ready or not, and all pods of their workload. One that does not answer is left out; never raises."""

    def lives(self) -> bool:
        """Whether any server behind the Service, or of its workload, answers at all. A refusal (of the password, of a command, of trust, while it loads) is an answer. Never raises."""

    def critical(self, name: str, member: str = "") -> AbstractContextManager[Critical]:
        """Open the critical section's connection, named *name* (``bennu-<rotation>-<epoch>``), the name confirmed by ``CLIENT GETNAME``. *member*: one of ``members`` by its name, else the
        server that the Service's ready endpoint is.
        """

    def kill_named(self, rotation: str, below_epoch: int) -> int:
        """Cut the connections named ``bennu-<rotation>-<n>`` with n < *below_epoch*; returns how many, 0 being confirmed by a second CLIENT LIST."""

    def last_save(self) -> LastSave:
        """By LASTSAVE, TIME, INFO and CONFIG GET: the proof of a snapshot, and its name."""

    def begin_save(self) -> None:
        """``BGSAVE``. Raises GateRefused where the server will not (a save or a rewrite is running)."""

    def export(self) -> Iterator[Entry]:
        """Every key with its payload, once each. Exact on a server that accepts no writes; on another, a key written meanwhile is old or new."""

    def credential(self) -> Credential:
        """What this server asks of those who connect to it."""

    def authenticate_as(self, credential: Credential) -> None:
        """Prepare to be the replica of a server that asks for *credential*: ``masterauth`` and ``masteruser``. Raises GateRefused where it refuses."""

    def profile(self) -> Profile:
        """What it lets this user do, and what both halves must have alike. No command of the hand-over is run for it."""

    def credential_for_master(self) -> Credential:
        """What it would show to a master (``masterauth``, ``masteruser``)."""

    def trust(self) -> Trust | None:
        """The certificates of its side of the group, None where it speaks no TLS."""

    def lets_in(self, credential: Credential, trust: Trust | None) -> Admission:
        """How a replica that shows *credential*, over TLS by *trust*, would be received: by one handshake and one login with them."""

    def expiries(self) -> tuple[Expiry, ...]:
        """When what a connection to it rests on ends: its certificate as it shows it now, the one that it is shown, the login by which its password is read."""

    def replicate(self, master: Address) -> None:
        """``REPLICAOF master`` outside S6: for a target that is empty or already a replica. Refuses (GateRefused) on a master that holds keys."""
