"""From what a server says (INFO, ROLE, CONFIG GET, CLIENT LIST) to the port's values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bennu.adapters.redis_link import Refusal, Reply
from bennu.ports.redis import Address, LastSave, Observation, Position, Replica

# What ``observation`` needs, in this order, in one write. CONFIG may be missing or forbidden (managed services): then what it would say counts as unsafe.
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("INFO",),
    ("ROLE",),
    ("CONFIG", "GET", "replica-read-only"),
    ("CONFIG", "GET", "save"),
    ("CONFIG", "GET", "dir"),
    ("PUBSUB", "NUMSUB", "__sentinel__:hello"),
    ("CONFIG", "GET", "tls-replication"),
)
SAVES: tuple[tuple[str, ...], ...] = (("LASTSAVE",), ("TIME",), ("INFO", "persistence"), ("CONFIG", "GET", "dir"), ("CONFIG", "GET", "dbfilename"))
POSITION: tuple[tuple[str, ...], ...] = (("ROLE",), ("INFO", "replication"))
_NO_REPLID = "0" * 40


class Unreadable(Exception):
    """A reply that should be there is not."""


@dataclass(frozen=True)
class Client:
    """One line of CLIENT LIST."""

    id: str
    name: str
    address: str


def info(reply: Reply) -> Mapping[str, str]:
    """INFO as names and values."""
    if not isinstance(reply, str):
        raise Unreadable(reply.text if isinstance(reply, Refusal) else "INFO gave no text")
    pairs = (line.partition(":") for line in reply.splitlines() if line and not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def observation(replies: Sequence[Reply]) -> Observation:
    """From the replies to QUESTIONS. Raises Unreadable."""
    facts, role, read_only, save, folder, sentinels = info(replies[0]), replies[1], *replies[2:6]
    flavour = "valkey" if facts.get("server_name") == "valkey" or "valkey_version" in facts else "redis"
    is_master = facts.get("role") == "master"
    replid2 = facts.get("master_replid2", _NO_REPLID)
    return Observation(
        run_id=facts.get("run_id", ""),
        version=facts.get(f"{flavour}_version", facts.get("redis_version", "0.0")),
        flavour=flavour,
        is_master=is_master,
        master=None if is_master else Address(facts.get("master_host", ""), _int(facts, "master_port")),
        link_up=facts.get("master_link_status") == "up",
        master_last_io_s=_int(facts, "master_last_io_seconds_ago", -1),
        sync_in_progress=facts.get("master_sync_in_progress") == "1",
        replid=facts.get("master_replid", ""),
        replid2="" if replid2 == _NO_REPLID else replid2,
        offset=_offset(facts, role),
        second_offset=_int(facts, "second_repl_offset", -1),
        replicas=tuple(_replicas(facts)),
        read_only_replica=_config(read_only) == "yes",
        keys=sum(_keys(value) for name, value in facts.items() if name.startswith("db") and name[2:].isdigit()),
        used_memory=_int(facts, "used_memory"),
        maxmemory=_int(facts, "maxmemory"),
        aof=facts.get("aof_enabled") == "1",
        rdb_save=bool(_config(save)),
        saving_or_loading=any(
            facts.get(name, "0") not in {"0", ""}
            for name in ("loading", "async_loading", "rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled")
        ),
        config_file=facts.get("config_file", ""),
        data_dir=_config(folder),
        sync_full=_int(facts, "sync_full"),
        cluster_mode=facts.get("cluster_enabled") == "1",
        sentinels=sentinels[1] if isinstance(sentinels, list) and len(sentinels) == 2 else 0,
        blocked_clients=_int(facts, "blocked_clients"),
        tls_replication=_config(replies[6]) == "yes",
        link_down_s=_int(facts, "master_link_down_since_seconds", -1),
    )


def position(replies: Sequence[Reply]) -> Position:
    """From the replies to POSITION.

    A master's ROLE is exact. A replica's is -1 while its link is down (parked, above all), where INFO's ``master_repl_offset`` still says what it holds.
    """
    role, facts = replies[0], info(replies[1])
    if isinstance(role, Refusal):
        raise Unreadable(role.text)
    return Position(role[0] == "master", _offset(facts, role), facts.get("master_replid", ""))


def last_save(replies: Sequence[Reply]) -> LastSave:
    """From the replies to SAVES. Raises Unreadable."""
    at, now, facts = replies[0], replies[1], info(replies[2])
    for reply in (at, now):
        if isinstance(reply, Refusal):
            raise Unreadable(reply.text)
    running = facts.get("rdb_bgsave_in_progress") == "1" or facts.get("aof_rewrite_in_progress") == "1"
    path = f"{_config(replies[3])}/{_config(replies[4])}"
    return LastSave(int(at), int(now[0]), running, facts.get("rdb_last_bgsave_status") == "ok", path)


def clients(reply: Reply) -> Iterator[Client]:
    """CLIENT LIST."""
    if not isinstance(reply, str):
        raise Unreadable(reply.text if isinstance(reply, Refusal) else "CLIENT LIST gave no text")
    for line in reply.splitlines():
        fields = dict(part.split("=", 1) for part in line.split(" ") if "=" in part)
        if "id" in fields:
            yield Client(fields["id"], fields.get("name", ""), fields.get("addr", ""))


def _offset(facts: Mapping[str, str], role: Reply) -> int:
    if isinstance(role, list) and role and role[0] == "master":
        return int(role[1])
    return _int(facts, "master_repl_offset")


def _int(facts: Mapping[str, str], name: str, default: int = 0) -> int:
    try:
        return int(facts.get(name, default))
    except ValueError:
        return default


def _config(reply: Reply) -> str:
    return reply[1] if isinstance(reply, list) and len(reply) == 2 else ""


def _keys(value: str) -> int:
    return next((int(part[5:]) for part in value.split(",") if part.startswith("keys=")), 0)


def _replicas(facts: Mapping[str, str]) -> Iterator[Replica]:
    for number in range(_int(facts, "connected_slaves")):
        fields = dict(part.split("=", 1) for part in facts.get(f"slave{number}", "").split(",") if "=" in part)
        if fields:
            yield Replica(Address(fields.get("ip", ""), int(fields.get("port", 0))), fields.get("state", ""), int(fields.get("offset", 0)))
