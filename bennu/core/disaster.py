"""The source is dead: what is known of the loss, whether it is proved that the source accepts no write any more, and whether the target's data are whole. Pure.

A dead source's last writes cannot be counted. What can be said is how far the target had come, since when its link is down, and how fast the source wrote while it could be asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bennu.core.record import Kind, Record, instant
from bennu.core.states import State
from bennu.core.switchover import ALONE
from bennu.core.verdict import Verdict, failed, opened, unknown

BY, GONE = "disaster.by", "disaster.gone"  # the journal's facts: who declared it, and which cluster was typed to be fenced
BESIDE = "dr"  # the option of a rotation that was begun by a disaster, to a cluster that stood there before
REPLID = "disaster.replid"  # the history of the target, a replica still, when the source was given up
OFFSET, AT = "writes.offset", "writes.at"  # the source's offset, and when it was read (ISO)


@dataclass(frozen=True)
class Sample:
    """The source's offset (bytes of the replication stream) at a time, by the clock of whoever asked."""

    offset: int
    at: datetime


def sampled(facts: Mapping[str, str]) -> Sample | None:
    """The last sample that the journal has."""
    offset, at = facts.get(OFFSET, ""), instant(facts.get(AT, ""))
    return Sample(int(offset), at) if re.fullmatch(r"[0-9]{1,19}", offset) and at is not None else None


@dataclass(frozen=True)
class Replica:
    """The target as it was left. ``link_down_s`` is how long it has not heard from the source by its own clock, None where its link is up or that is not known; ``follows`` whether it names
    a master to follow (a parked server does not).
    """

    offset: int
    keys: int
    replid: str
    replid2: str
    link_down_s: int | None
    link_up: bool
    syncing: bool
    persistent: bool
    follows: bool


@dataclass(frozen=True)
class Exposure:
    """What may be lost: everything that the source acknowledged after *offset*. ``bytes_per_s`` None = never sampled."""

    offset: int
    keys: int
    link_down_s: int | None
    bytes_per_s: float | None

    def words(self) -> str:
        """For whoever has to accept it."""
        since = f"its link has been down for {self.link_down_s} s" if self.link_down_s is not None else "since when its link is down is not known"
        if self.bytes_per_s is None:
            rate = "how fast the source wrote was never sampled"
        else:
            rate = f"the source wrote about {self.bytes_per_s:.0f} bytes of replication stream a second when it was last sampled"
            if self.link_down_s is not None:
                rate += f", so about {self.bytes_per_s * self.link_down_s:.0f} bytes if it went on until now, and none if it died first"
        return f"the target holds {self.keys} keys, up to offset {self.offset}; {since}; {rate}. What is really lost cannot be known"


def exposed(target: Replica, sample: Sample | None, now: datetime) -> Exposure:
    """From the target as it is *now*, and the last sample: the rate is that between the sample and the last byte that arrived."""
    rate = None
    if sample is not None:
        heard = now - timedelta(seconds=target.link_down_s or 0)
        seconds = (heard - sample.at).total_seconds()
        # Two clocks are never compared: both times are the asker's, and a stretch that is too short for whole seconds says nothing.
        if seconds >= 1 and target.offset >= sample.offset:
            rate = (target.offset - sample.offset) / seconds
    return Exposure(target.offset, target.keys, target.link_down_s, rate)


@dataclass(frozen=True)
class Evidence:
    """What can be seen of a cluster whose Redis does not answer. None = cannot be seen.

    ``redis_pods``: pods that its Redis should have or still has; ``nodes``: its Node objects; ``known``: whether the provisioner has the cluster; ``typed``: the cluster's name as the
    operator typed it, to say that it accepts no write.
    """

    cluster: str
    redis_answers: bool
    api_answers: bool
    redis_pods: int | None = None
    nodes: int | None = None
    known: bool | None = None
    typed: str = ""


def fenced(seen: Evidence) -> Verdict:
    """Is it proved that the source accepts no write? A silent server proves nothing: it may be up, and serve everybody but us."""
    if seen.redis_answers:
        return failed(f"Redis of {seen.cluster} answers: this is no disaster")
    if seen.redis_pods == 0:
        return opened(f"Redis of {seen.cluster} is scaled to 0 and has no pod")
    if seen.nodes == 0:
        return opened(f"{seen.cluster} has no node any more")
    if seen.known is False and not seen.api_answers:
        return opened(f"the provisioner has no {seen.cluster} any more, and that cluster's API is silent")
    if seen.typed == seen.cluster:
        return opened(f"an operator said that {seen.cluster} accepts no write")
    if seen.typed:
        return failed(f"{seen.typed!r} is not the source: its name is {seen.cluster}")
    still = ", ".join(
        words
        for words in (
            f"the API of {seen.cluster} {'answers' if seen.api_answers else 'is silent'}",
            f"Redis has {seen.redis_pods} pods" if seen.redis_pods else "",
            f"it has {seen.nodes} nodes" if seen.nodes else "",
            "the provisioner has it still" if seen.known else "",
        )
        if words
    )
    return unknown(f"that {seen.cluster} accepts no write any more is not proved ({still})")


def promotable(target: Replica, history: str) -> Verdict:
    """May the target's data become the group's? *history* is the source's replid as it was last noted, empty where it never was."""
    if target.link_up:
        return failed("the target still hears from the source's Redis: this is no disaster")
    if not target.follows:
        return failed("the target is parked: it follows nobody, and nothing says how old its data are")
    if target.syncing:
        return failed("the target was in the middle of a full synchronisation: its data are not whole")
    if history and history not in (target.replid, target.replid2):
        return failed("the target's history is not that of the source: it holds other data, or none")
    if not target.keys:
        return failed("the target holds no key")
    if not target.persistent:
        return failed("the target has no persistence (AOF or RDB): its first restart would empty it; turn appendonly on")
    return opened(f"the target's data are whole up to offset {target.offset}")


def promoted_here(replid: str, replid2: str, run_id: str, facts: Mapping[str, str], *, finished: bool) -> bool:
    """Whether a target that is a master is one by this rotation's own hand: by the history that its promotion gave it, by a hand-over that was announced and that nobody ended, or, once the
    hand-over is *finished*, because it is the process that was promoted. Every other master has been made one by somebody else, or has restarted as one.
    """
    if facts.get("promoted.replid") == replid:
        return True
    announced = [facts.get(of, "") for of, by in (("intent.replid", "intent.open"), (REPLID, ALONE)) if facts.get(by) == "true"]
    return (bool(replid2) and replid2 in announced) or (finished and facts.get("intent.target_run_id") == run_id)


def usable(master: Replica, history: str, *, finished: bool) -> Verdict:
    """May the data of a target become the group's that is a master already, and not by this rotation's hand? *history* as in ``promotable``. *finished*: the hand-over was, and it has
    restarted since, which may have given it a new history.
    """
    if not master.keys:
        return failed("the target is a master that holds no key")
    if not master.persistent:
        return failed("the target has no persistence (AOF or RDB): its first restart would empty it; turn appendonly on")
    if not finished and not history:
        return failed("the target is a master by somebody else's hand, and whose history it holds was never noted: nothing says how old its data are")
    if not finished and history not in (master.replid, master.replid2):
        return failed("the target is a master by somebody else's hand, and its history is not that of the source: it holds other data, or none")
    return opened(f"the target is a master with {master.keys} keys")


def given_up_before(records: Iterable[Record]) -> dict[str, str]:
    """The clusters that an earlier rotation went on without, by colour, and which one that was. The group's history has left them behind, until a later rotation made one anew and handed over."""
    found: dict[str, str] = {}
    source = target = ""
    for record in records:
        if record.kind is Kind.BEGIN:
            source, target = record.data.get("source", ""), record.data.get("target", "")
        elif record.data.get(BY):
            found[source] = record.rotation
        elif BY in record.data and found.get(source) == record.rotation:
            del found[source]
        elif record.kind is Kind.STATE and record.state is State.PROMOTED:
            found.pop(target, None)
    return found
