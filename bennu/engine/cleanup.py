"""``rotate cleanup``: DRAINING's work for a cluster that a kept or failed rotation left, as a rotation of its own that begins there."""

from __future__ import annotations

from bennu.core.record import Kind
from bennu.core.states import State, Status
from bennu.engine.journal import Entry, Journal


def enter(journal: Journal) -> None:
    """Enter DRAINING directly: nothing was rotated, so none of the earlier states apply."""
    journal.append(Entry(Kind.STATE, data={"event": "cleanup"}, state=State.DRAINING, status=Status.RUNNING))
