"""The lab's bookkeeping checked against its servers: what was acknowledged and is gone, what ran twice, which processes live.

Everything here is read from outside: the users' ledger, the master's own keys, the machine's process table.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bennu.errors import DependencyDown
from bennu.lab import ledgers, spawn
from bennu.lab.client import ApiClient
from bennu.lab.controllers.processes_book import started_at, survivors
from bennu.lab.places import ClusterDir, LabDir
from bennu.lab.pods.resolve import first_ready
from bennu.lab.pods.resp import Connection, RedisRefusal

_PREFIX = "pay:"
_ANSWER_S = 20.0
# Longer than the fork of a save or of a start lives, on a machine under load; only waited out where there is a suspect.
_STAYS_S = 10.0


@dataclass(frozen=True)
class Audit:
    """What a look at the ledgers and at the master says. ``overlaps``: (ledger, cluster, other cluster, seconds)."""

    master: str
    acknowledged: int
    present: int
    lost: tuple[str, ...]
    overlaps: tuple[tuple[str, str, str, float], ...]

    @property
    def clean(self) -> bool:
        """Nothing lost, nothing ran twice."""
        return not self.lost and not self.overlaps


@dataclass(frozen=True)
class Waits:
    """What the users saw between two moments: acknowledged writes, the longest wait of one write, the longest time without any acknowledgement; milliseconds."""

    writes: int
    longest_wait_ms: float
    median_wait_ms: float
    longest_silence_ms: float


def audited(lab: LabDir, colour: str) -> Audit:
    """Read every acknowledged write back from the Redis of *colour*. Raises DependencyDown if it does not answer."""
    acknowledged = [str(line["id"]) for line in ledgers.read(lab.ledgers / "writes.jsonl")]
    # After the ledger: a write that is acknowledged meanwhile must not count as lost.
    present = asyncio.run(_present(lab.cluster(colour)))
    lost = tuple(ledgers.lost(acknowledged, present))
    twice = tuple((name, *found) for name in ("consumer", "cron") for found in ledgers.overlaps(ledgers.read(lab.ledgers / f"{name}.jsonl")))
    return Audit(colour, len(acknowledged), len(present), lost, twice)


def waits(lines: Sequence[Mapping[str, Any]], begin: float, end: float) -> Waits:
    """Of the ledger's *lines* acknowledged between two wall times.

    Silence counts from the last acknowledgement before *begin* to the first one after *end*: one that only began or ended in between counts whole.
    """
    times = sorted(float(line["t"]) for line in lines)
    within = [line for line in lines if begin <= float(line["t"]) <= end]
    before = max((t for t in times if t < begin), default=begin)
    after = min((t for t in times if t > end), default=end)
    heard = [before, *(t for t in times if begin <= t <= end), after]
    silences = [(later - earlier) * 1000 for earlier, later in itertools.pairwise(heard)]
    lasted = [float(line["ms"]) for line in within]
    return Waits(len(within), round(max(lasted, default=0.0), 1), round(statistics.median(lasted), 1) if lasted else 0.0, round(max(silences), 1))


def machine() -> dict[int, str]:
    """pid → an opaque start time, of every process that can be seen."""
    found = {pid: started_at(pid) for pid in commands()}
    return {pid: started for pid, started in found.items() if started is not None}


def strays(lab: LabDir, known: Sequence[int], stays_s: float = _STAYS_S) -> list[str]:
    """Programs of the lab that work in its directory and that it does not know of: ``<pid> <command line>``.

    Only what stays is one: a pod's process that has just been forked is in no book yet, and Redis' own child that saves a snapshot never is.
    """
    suspects = _unknown(lab, known)

    def explained() -> bool:
        suspects.intersection_update(_unknown(lab, known))
        return not suspects

    if suspects:
        spawn.until(explained, stays_s)
    return [f"{pid} {command}" for pid, command in sorted(suspects)]


def _unknown(lab: LabDir, known: Sequence[int]) -> set[tuple[int, str]]:
    booked = {pid for cluster in lab.clusters() for pid in survivors(cluster.root / "pids.json")}
    return {(one["pid"], one["command"]) for one in spawn.strays(lab.root, {*known, *booked})}


def commands() -> dict[int, str]:
    """pid → command line, of every process that can be seen."""
    return spawn.commands()


async def _present(cluster: ClusterDir) -> set[str]:
    password = (cluster.lab.root / "redis-password").read_text(encoding="utf-8").strip()
    ports = cluster.lab.load().ports
    address: tuple[str, int] | None
    if "redis" in ports:
        address = ("127.0.0.1", ports["redis"])
    else:
        async with ApiClient.of(cluster) as client:
            address = first_ready(await client.find("v1", "Endpoints", "redis", "database") or {}, 6379)
    if address is None:
        raise DependencyDown(f"the Redis of {cluster.root.name} has no ready endpoint")
    try:
        connection = await Connection.opened(address, password)
        try:
            found = await asyncio.wait_for(connection.ask("KEYS", f"{_PREFIX}*"), _ANSWER_S)
        finally:
            connection.close()
    except (OSError, RedisRefusal) as error:
        raise DependencyDown(f"the Redis of {cluster.root.name} does not answer: {error}") from None
    return {str(key).removeprefix(_PREFIX) for key in found} if isinstance(found, list) else set()
