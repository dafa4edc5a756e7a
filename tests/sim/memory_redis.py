"""Redis servers without sockets: roles, histories, replication and restarts as ``facts.md`` measured them.

A ``RedisNet`` holds the servers and the links between them; replication is immediate unless a link is cut. What it leaves out: expiry, memory, commands other than SET
and GET, and everything about time but the pause.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bennu.core.expiry import Expiry
from bennu.core.export import Entry
from bennu.core.surroundings import Admission, Profile, User
from bennu.errors import DependencyDown, GateRefused, StoppedSafe
from bennu.ports.redis import Address, Credential, Critical, Fenced, Following, LastSave, Member, Observation, Position, Replica, Trust
from tests.sim.redis_state import Connection, Held, Knobs, ReadOnly, State, fresh_id


class RedisNet:
    """All servers by address, and the directed links (importer → exporter) that are cut. *now* is seconds, for pauses."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._servers: dict[Address, MemoryRedis] = {}
        self._cut: set[tuple[str, str]] = set()
        self.version = Knobs.version  # of every server that is made

    def server(self, name: str, address: Address) -> MemoryRedis:
        """A new, empty master."""
        made = self._servers[address] = MemoryRedis(self, name, address)
        made.knobs.version = self.version
        return made

    def alias(self, address: Address, server: MemoryRedis) -> None:
        """Another address of a server, as a mirror is."""
        self._servers[address] = server

    def at(self, address: Address, asker: MemoryRedis) -> MemoryRedis | None:
        """The server that answers there, None for nobody."""
        found = self._servers.get(address)
        return found if found is not None and found.knobs.up and (asker.name, found.name) not in self._cut else None

    def cut(self, asker: MemoryRedis, asked: MemoryRedis) -> None:
        if (asker.name, asked.name) not in self._cut:
            self._cut.add((asker.name, asked.name))
            self.settle()

    def heal(self, asker: MemoryRedis, asked: MemoryRedis) -> None:
        if (asker.name, asked.name) in self._cut:
            self._cut.discard((asker.name, asked.name))
            self.settle()

    def settle(self) -> None:
        """Let replication run until nothing changes any more."""
        servers = list(dict.fromkeys(self._servers.values()))
        changed = [True]
        while any(changed):
            changed = [server.replicate_once() for server in servers]

    def replicas_of(self, master: MemoryRedis) -> list[MemoryRedis]:
        servers = dict.fromkeys(self._servers.values())
        return [one for one in servers if one.state.synced and one.state.master is not None and self.at(one.state.master, one) is master]


class MemoryRedis:
    """Port ``RedisServer``, and (``client_…``, ``crash``, ``knobs``) the hands of users and of fate."""

    def __init__(self, net: RedisNet, name: str, address: Address) -> None:
        self.net = net
        self.name_ = name
        self.address = address
        self.knobs = Knobs()
        self.state = State(fresh_id(), fresh_id())
        self.written_master: Address | None = None  # what the configuration file says of the role
        self.masterauth = ""
        self.paused_until = 0.0
        self.link_lost_at: float | None = None
        self.saved_at = 0
        self.promotions = 0
        self.connections: list[Connection] = []

    @property
    def name(self) -> str:
        return self.name_

    # --- the port ---

    def observe(self) -> Observation:
        self._answering()
        return self.seen()

    def members(self) -> tuple[Member, ...]:
        return (Member("redis-0", self.seen()),) if self.lives() and not self.knobs.refuses else ()

    def lives(self) -> bool:
        return self.knobs.up and self.knobs.reachable

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Critical]:
        self._answering()
        connection = Connection(name)
        self.connections.append(connection)
        try:
            yield MemoryCritical(self, connection)
        finally:
            connection.alive = False

    def kill_named(self, rotation: str, below_epoch: int) -> int:
        self._answering()
        killed = 0
        for connection in self.connections:
            match = re.fullmatch(rf"bennu-{re.escape(rotation)}-(\d+)", connection.name)
            if match and connection.alive and int(match[1]) < below_epoch:
                connection.alive = False
                killed += 1
        return killed

    def profile(self) -> Profile:
        """With a default user as its password makes it, where a test turns no other users."""
        self._answering()
        login = hashlib.sha256(self.knobs.password.encode()).hexdigest()
        return self.knobs.profile if self.knobs.profile.users != () else replace(self.knobs.profile, users=(User("default", login, "all"),))

    def credential_for_master(self) -> Credential:
        self._answering()
        return Credential("", self.masterauth)

    def trust(self) -> Trust | None:
        return Trust(self.knobs.authority, None) if self.knobs.authority else None

    def lets_in(self, credential: Credential, trust: Trust | None) -> Admission:
        self._answering()
        if trust is not None and trust.authority != self.knobs.authority:
            return Admission.UNTRUSTED
        return Admission.LET_IN if not self.knobs.password or credential.password == self.knobs.password else Admission.WRONG_CREDENTIAL

    def expiries(self) -> tuple[Expiry, ...]:
        self._answering()
        return self.knobs.expiries

    def last_save(self) -> LastSave:
        self._answering()
        return LastSave(self.saved_at, int(self.now()), self.knobs.saving, True, "/data/dump.rdb")

    def begin_save(self) -> None:
        self._answering()
        if self.knobs.saving:
            raise GateRefused(f"{self.name} refuses BGSAVE: ERR Background save already in progress")
        self.saved_at = int(self.now())

    def export(self) -> Iterator[Entry]:
        self._answering()
        yield from (Entry(0, key.encode(), 0, value.encode()) for key, value in self.state.data)

    def credential(self) -> Credential:
        return Credential("", self.knobs.password)

    def authenticate_as(self, credential: Credential) -> None:
        self._answering()
        self.masterauth = credential.password

    def replicate(self, master: Address) -> None:
        self._answering()
        if self.state.master is None and self.state.data:
            raise GateRefused(f"{self.name} is a master that holds {len(self.state.data)} keys: making it a replica would destroy them")
        self.follow(master)
        self.written_master = master

    # --- replication ---

    def follow(self, master: Address | None) -> None:
        """REPLICAOF. A promotion gives a new history and remembers where the old one ended; a master that becomes a replica keeps its own."""
        state = self.state
        if master == state.master:
            return
        if master is None:
            self.promotions += 1
            self.state = replace(state, master=None, synced=False, replid=fresh_id(), replid2=state.replid, second_offset=state.offset + 1)
            for replica in self.net.replicas_of(self):
                replica.state = replace(replica.state, synced=False)
        else:
            self.state = replace(state, master=master, synced=False)
        self.net.settle()

    def replicate_once(self) -> bool:
        """One step of replication; whether anything changed."""
        state = self.state
        if state.master is None or not self.knobs.up:
            return False
        master = self.net.at(state.master, self)
        # A replica without a link of its own feeds nobody (NOMASTERLINK).
        if master is None or master is self or (master.state.master is not None and not master.state.synced):
            self.link_lost_at = self.net.now() if state.synced else self.link_lost_at
            self.state = replace(state, synced=False)
        elif state.synced and state.offset == master.state.offset and state.data is master.state.data:
            return False
        elif state.synced:
            self.state = replace(state, offset=master.state.offset, data=master.state.data)
        elif self._continues(master.state):
            inherits = (
                {} if state.replid == master.state.replid else {"replid": master.state.replid, "replid2": state.replid, "second_offset": state.offset + 1}
            )
            self.state = replace(state, synced=True, offset=master.state.offset, data=master.state.data, **inherits)  # type: ignore[arg-type]
        else:
            fed = master.state
            self.state = replace(state, synced=True, replid=fed.replid, replid2="", second_offset=-1, offset=fed.offset, data=fed.data)
            master.state = replace(fed, sync_full=fed.sync_full + 1)
        return self.state != state

    def _continues(self, master: State) -> bool:
        """Whether the master grants PSYNC: the asked offset is of its history, or of the earlier one before that ended."""
        if self.state.replid == master.replid:
            return self.state.offset <= master.offset
        return bool(master.replid2) and self.state.replid == master.replid2 and self.state.offset + 1 <= master.second_offset

    # --- users and fate ---

    def client_write(self, key: str, value: str, *, fresh: bool = False) -> None:
        """A user's SET. Raises ConnectionError, ReadOnly, Held."""
        if not self.knobs.up:
            raise ConnectionError(f"{self.name} is down")
        if self.state.master is not None and self.knobs.read_only_replica:
            raise ReadOnly
        if self.net.now() < self.paused_until:
            raise Held
        # A writable replica's own writes do not move its offset: that is why nothing can tell later that they were there (facts.md).
        self.store(key, value, moving=self.state.master is None, fresh=fresh)

    def store(self, key: str, value: str, *, moving: bool = True, fresh: bool = False) -> None:
        """*fresh*: nobody has written that key before."""
        size = 40 + len(key) + len(value) if moving else 0
        data = (*self.state.data, (key, value)) if fresh else tuple({**self.state.keys, key: value}.items())
        self.state = replace(self.state, data=data, offset=self.state.offset + size)
        self.net.settle()

    def crash(self, *, kept: bool = True, history_kept: bool = False) -> None:
        """kill -9 and start again. *kept*: the data survives (AOF); *history_kept*: replid and offset too (RDB on SIGTERM). The role is what was written."""
        for connection in self.connections:
            connection.alive = False
        state = self.state
        history = (state.replid, state.offset) if history_kept else (fresh_id(), 0)
        self.state = State(fresh_id(), *_with_empty_second(history), master=self.written_master, data=state.data if kept else ())
        self.paused_until = 0.0
        self.net.settle()

    def seen(self) -> Observation:
        state, knobs = self.state, self.knobs
        replicas = tuple(Replica(one.address, "online", one.state.offset) for one in self.net.replicas_of(self))
        return Observation(
            run_id=state.run_id, version=knobs.version, flavour="valkey", is_master=state.master is None, master=state.master, link_up=state.synced,
            master_last_io_s=0 if state.synced else -1, sync_in_progress=knobs.syncing, replid=state.replid, replid2=state.replid2, offset=state.offset,
            second_offset=state.second_offset, replicas=replicas, read_only_replica=knobs.read_only_replica, keys=len(state.data), used_memory=1_000_000,
            maxmemory=0, aof=knobs.aof, rdb_save=False, saving_or_loading=knobs.saving, config_file=knobs.config_file, data_dir="/data", sync_full=state.sync_full,
            cluster_mode=False, sentinels=knobs.sentinels, blocked_clients=0, tls_replication=knobs.tls_replication,
            link_down_s=self._link_down_s(),
        )  # fmt: skip

    def _link_down_s(self) -> int:
        down = self.state.master is not None and not self.state.synced and self.link_lost_at is not None
        return int(self.net.now() - (self.link_lost_at or 0.0)) if down else -1

    def now(self) -> float:
        return self.net.now()

    def _answering(self) -> None:
        if not self.lives():
            raise DependencyDown(f"{self.name} does not answer: connection refused", next_step="look at its pod and its logs")
        if self.knobs.refuses:
            raise DependencyDown(f"{self.name} refuses the password (WRONGPASS)", next_step="check the secret that redis[].auth names")


def _with_empty_second(history: tuple[str, int]) -> tuple[str, str, int]:
    return history[0], "", history[1]


@dataclass(frozen=True)
class Polled:
    """Port ``Following``: asks, and asks again."""

    position: Callable[[], Position]
    now: Callable[[], float]

    def anew(self) -> None:
        """Each look asks anew."""

    def reaches(self, offset: int, replid: str, seconds: float) -> bool:
        deadline = self.now() + seconds
        while True:
            seen = self.position()
            if seen.is_master or (seen.replid == replid and seen.offset >= offset):
                return not seen.is_master
            if self.now() > deadline:
                return False


@dataclass
class MemoryCritical:
    """Port ``Critical``: dies with its connection."""

    server: MemoryRedis
    connection: Connection
    persisted: bool = field(default=True)

    def observe(self) -> Observation:
        return self._live().seen()

    def position(self) -> Position:
        state = self._live().state
        return Position(state.master is None, state.offset, state.replid)

    def round_trip(self) -> float:
        self._live()
        return 0.001

    @contextmanager
    def following(self, every_s: float) -> Iterator[Following]:
        yield Polled(self.position, self.server.now)

    def pause(self, milliseconds: int) -> int:
        server = self._live()
        if server.state.master is not None:
            raise GateRefused(f"{server.name} refuses CLIENT PAUSE: it is no master")
        # A second, shorter pause does not shorten the first (facts.md).
        server.paused_until = max(server.paused_until, server.now() + milliseconds / 1000)
        return server.state.offset

    def unpause(self) -> None:
        self._live().paused_until = 0.0

    def fence(self, parking: Address) -> Fenced:
        server = self._live()
        offset = server.state.offset
        self._role(parking)
        if not server.knobs.read_only_replica:
            self._role(None)
            raise StoppedSafe(f"replica-read-only of {server.name} was switched off since the pre-check: a fence would not hold, and was taken back")
        return Fenced(offset, self.persisted)

    def make_master(self) -> str:
        self._role(None)
        return self.server.state.replid

    def attach(self, master: Address) -> None:
        self._role(master)

    def cut_clients(self) -> int:
        others = [one for one in self._live().connections if one.alive and not one.name.startswith("bennu-")]
        for one in others:
            one.alive = False
        return len(others)

    def write_probe(self, key: str, value: str) -> int:
        server = self._live()
        if server.state.master is not None:
            raise GateRefused(f"{server.name} refuses SET: READONLY")
        server.store(key, value)
        return server.state.offset

    def read_probe(self, key: str) -> str | None:
        return self._live().state.keys.get(key)

    def _role(self, master: Address | None) -> None:
        server = self._live()
        server.follow(master)
        self.persisted = bool(server.knobs.config_file)
        if self.persisted:
            server.written_master = master

    def _live(self) -> MemoryRedis:
        if not (self.connection.alive and self.server.knobs.up and self.server.knobs.reachable):
            self.connection.alive = False
            raise ConnectionError(f"the connection to {self.server.name} was lost")
        return self.server
