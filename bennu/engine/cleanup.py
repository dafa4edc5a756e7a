"""``rotate cleanup``: DRAINING's work for a cluster that a kept or failed rotation left, as a rotation of its own that begins there."""

from __future__ import annotations

from collections.abc import Iterable

from bennu.core.clusters import Colour
from bennu.core.disaster import BY
from bennu.core.invariants import OWN_WRITES, SPLIT_BRAIN
from bennu.core.record import Kind, Record
from bennu.core.standing import folded
from bennu.core.states import State, Status
from bennu.engine.journal import Entry, Journal


def enter(journal: Journal, doomed: Colour) -> None:
    """Enter DRAINING directly: nothing was rotated, so none of the earlier states apply."""
    why = own_writes(journal.records, doomed)
    found = (Entry(Kind.FACT, data={OWN_WRITES: why}),) if why else ()
    journal.append(*found, Entry(Kind.STATE, data={"event": "cleanup"}, state=State.DRAINING, status=Status.RUNNING))


def own_writes(records: Iterable[Record], doomed: Colour) -> str:
    """Why *doomed* may hold writes that the group lacks, by the last rotation that it took part in; empty where nothing says so. A cleanup begins with no facts of its own."""
    records = tuple(records)
    took_part = [one.rotation for one in records if one.kind is Kind.BEGIN and doomed.value in (one.data.get("source"), one.data.get("target"))]
    # The last one is the cleanup itself.
    before = folded(one for one in records if one.rotation == took_part[-2]) if len(took_part) > 1 else None
    if before is None:
        return ""
    if before.source is doomed and before.facts.get(BY):
        return f"{before.rotation} gave it up as dead"
    return f"two masters were seen in {before.rotation}" if before.facts.get(SPLIT_BRAIN) == "true" else ""
