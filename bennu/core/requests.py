"""What the journal says of requests typed elsewhere: which were taken up, what was answered, and which was accepted without having been begun.

A request is recorded before it is answered, and answered before it is done. Whoever dies in between leaves the record; from it the next holder answers, and does what
was promised, once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from bennu.core.consent import SAID
from bennu.core.record import Kind, Record
from bennu.core.states import Direction

JUDGED = "to be judged"
# What these say ends what a request asked for: it was done, or the run that took it up ended otherwise, and said so. (A lock that somebody else let go of says nothing of the run.)
_SETTLES = frozenset({Kind.STATUS, Kind.STATE, Kind.RELEASE, Kind.BEGIN})


@dataclass(frozen=True)
class Taken:
    """A request that a holder took up. ``accepted``: true, false, or to be judged; ``words`` the answer as it was given (empty in older records)."""

    id: str
    verb: str
    by: str
    rotation: str
    accepted: str
    words: str
    holder: str
    accept_loss: bool = False

    @property
    def answered(self) -> bool:
        """Whether it was decided: from then on nobody judges it again."""
        return self.accepted != JUDGED

    @property
    def answer(self) -> str:
        """The words for whoever asked."""
        return self.words or f"{'accepted' if self.accepted == 'true' else 'refused'} by {self.holder}"


def taken(records: Iterable[Record]) -> Mapping[str, Taken]:
    """All requests that were ever taken up, by their id, as last recorded."""
    found: dict[str, Taken] = {}
    for record in records:
        if record.kind is Kind.REQUEST and record.data.get("id"):
            found[record.data["id"]] = _read(record, found.get(record.data["id"]))
    return found


def owed(records: Iterable[Record]) -> Taken | None:
    """The request that was accepted (or is to be judged) and that nothing followed: its holder died before it began. On a way back none is: it goes on by itself."""
    found: Taken | None = None
    for record in records:
        if record.kind is Kind.REQUEST:
            read = _read(record, found if found and found.id == record.data.get("id") else None)
            if record.direction is Direction.FORWARD and read.accepted != "false":
                found = read
            elif found is not None and read.id == found.id:
                found = None
        elif (record.kind in _SETTLES and not record.data.get("unlocked")) or (found is not None and record.data.get(SAID.get(found.verb, ""))):
            found = None
    return found


def _read(record: Record, before: Taken | None) -> Taken:
    data = record.data
    found = Taken(
        data.get("id", ""), data.get("verb", ""), data.get("by", ""), record.rotation, data.get("accepted", ""), data.get("words", ""), record.holder,
        data.get("accept-loss") == "true",
    )  # fmt: skip
    # A verdict names the request and no more: who asked, and for what, stands in the record before it.
    return found if before is None else replace(found, by=found.by or before.by, accept_loss=found.accept_loss or before.accept_loss)
