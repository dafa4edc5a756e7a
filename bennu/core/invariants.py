"""The four safety rules of the specification, enforced where they are called and nowhere weakened.

=====================  =============================================================  =======================
rule                   meaning                                                        on violation
=====================  =============================================================  =======================
Single Master          at most one cluster of a group has write authority             SplitBrainError (7)
Blind Mirror           nothing is written to a mirror before its Link is ready        a gate that stays shut
Lag Threshold          no switchover while replication lag exceeds the threshold      ReplicationLagError (3)
Split-Brain Protection weights go back to the source when the link fails in canary    a verdict the engine acts on
=====================  =============================================================  =======================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from bennu.core.clusters import Colour
from bennu.core.verdict import Verdict, failed, opened
from bennu.errors import ReplicationLagError, SplitBrainError

OWN_WRITES = "own.writes"  # the journal's fact, in words, that the cluster which a cleanup takes down may hold writes of its own
SPLIT_BRAIN = "split.brain"  # the journal's fact that two masters were seen: from then on a difference between them is explained by nothing else


def single_master(masters: Mapping[Colour, bool], what: str) -> None:
    """At most one colour may be True. *what* says whose view it is (``traffic-state in Git``, ``Redis roles``). Raises SplitBrainError."""
    found = sorted(colour.value for colour, is_master in masters.items() if is_master)
    if len(found) > 1:
        raise SplitBrainError(
            f"more than one write master by {what}: {', '.join(found)}",
            next_step="stop writes to the cluster that was not meant to have them, then 'bennu rotate status --why'",
        )


@dataclass(frozen=True)
class Master:
    """A server that called itself a master in one reading: ``member`` is its pod, ``run_id`` its process, ``replid`` the history that it then wrote."""

    colour: Colour
    member: str
    run_id: str
    replid: str
    replid2: str
    keys: int


def at_once(before: Collection[Master], after: Collection[Master], history: str) -> tuple[Master, ...]:
    """Servers proved to have been masters at the same instant, empty where fewer than two were.

    Two servers of one reading are asked at different instants, and a legal hand-over may lie between them. So two readings are compared, each question of *after* asked when
    all of *before* were answered: who is a master in both, as the same process and under the same replid, was one all the time between (each REPLICAOF NO ONE gives a new
    replid), and two such overlap. *history* is the replid that S4 noted; a master without a key that knows nothing of it is a server that was started empty, in nobody's group yet.
    """
    known = {(one.colour, one.member, one.run_id, one.replid) for one in before}
    stayed = {
        one.run_id: one for one in after if (one.colour, one.member, one.run_id, one.replid) in known and (one.keys or history in (one.replid, one.replid2))
    }
    return tuple(stayed.values()) if len(stayed) > 1 else ()


def blind_mirror(link: Verdict) -> Verdict:
    """A mirror may be written to only while its Link is ready: the link's own verdict, with the rule in words where it is not open."""
    return link if link.is_open else replace(link, reason=f"the mirror must not be used yet: {link.reason}")


def lag_threshold(lag_bytes: int | None, limit_bytes: int) -> None:
    """Lag (bytes, None = unknown) at most the limit. Raises ReplicationLagError."""
    if lag_bytes is None:
        raise ReplicationLagError("replication lag is unknown", next_step="check the replication link, then 'bennu rotate resume'")
    if lag_bytes > limit_bytes:
        raise ReplicationLagError(
            f"replication lag is {lag_bytes} bytes, the threshold is {limit_bytes}", next_step="wait for the target to catch up, then 'bennu rotate resume'"
        )


def split_brain_protection(what: str, verdict: Verdict, missed: int, limit: int) -> Verdict:
    """While traffic is split, *what* (a monitor: the mesh link, the source's data) must hold: at *limit* looks in a row that it did not, or at one that no waiting will mend,
    the traffic goes back to the source. One missed look is the network's ordinary noise; taking the traffic back for it would flap.
    """
    if verdict.is_open:
        return verdict
    if verdict.failed or missed >= limit:
        return failed(f"{what}: {verdict.reason} ({missed} times in a row)")
    return opened(f"{what} missed {missed} of {limit} looks")
