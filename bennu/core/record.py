"""Journal records: what is written down of a rotation, one compact JSON line each.

The journal is append-only. Order of truth: the world outranks the journal, the journal outranks the checkpoint file (which holds the same lines).
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from bennu.core.states import Direction, State, Status
from bennu.errors import DurableStateError

SCHEMA = 1
_ROTATION = re.compile(r"(\S{1,200}-[0-9]{1,9})?")  # a group's name and a number; empty before the first


class Kind(enum.StrEnum):
    """What a record says."""

    LOCK = "lock"  # a holder took the group; the epoch rises
    BEGIN = "begin"  # a rotation was opened: data has source, target, ticket
    INTENT = "intent"  # before an effect
    DONE = "done"  # after the effect was seen to hold
    ABORTED = "aborted"  # the step was given up; data has the reason
    STATE = "state"  # a transition; ``state`` is the new one, data has the event
    STATUS = "status"  # running, paused, failed …; data has the reason
    REQUEST = "request"  # a request typed elsewhere was taken up; data has who and what
    HEARTBEAT = "heartbeat"  # the holder lives and watches
    RELEASE = "release"  # the holder let go of the group
    FACT = "fact"  # a measurement worth keeping, e.g. the write pause in ms


@dataclass(frozen=True)
class Record:
    """One line of the journal. ``at`` is wall time, ISO 8601 with zone; ``nonce`` makes the Git object unique (two identical ones would both win the swap)."""

    kind: Kind
    rotation: str
    epoch: int
    at: str
    nonce: str
    holder: str
    state: State = State.IDLE_STABLE
    status: Status = Status.RUNNING
    direction: Direction = Direction.FORWARD
    step: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    version: int = SCHEMA

    def line(self) -> str:
        """The record as one JSON line without a newline, keys in reading order, empty ones left out."""
        return self._line

    @cached_property
    def _line(self) -> str:
        # Once: whoever keeps a journal writes all of its records again with each new one.
        out: dict[str, object] = {"v": self.version, "at": self.at, "kind": self.kind, "rotation": self.rotation, "state": self.state}
        if self.step:
            out["step"] = self.step
        out |= {"status": self.status, "direction": self.direction, "epoch": self.epoch, "holder": self.holder, "nonce": self.nonce}
        if self.data:
            out["data"] = dict(sorted(self.data.items()))
        return json.dumps(out, separators=(",", ":"), ensure_ascii=True)

    def with_data(self, **more: str) -> Record:
        """A copy with *more* added to ``data``."""
        return replace(self, data={**self.data, **more})


def parse(line: str) -> Record:
    """The record of one line. Raises DurableStateError for anything that is not one, and for a newer schema (row 13 of the fault catalogue: never guess)."""
    try:
        raw = json.loads(line)
        version = raw["v"]
        if not _is_number(version) or version < 1:
            raise ValueError("version")
        if version > SCHEMA:
            raise DurableStateError(
                f"the journal was written by a newer Bennu (schema {version}; this one reads up to {SCHEMA})",
                next_step="resume with the version of Bennu that started the rotation, or a newer one",
            )
        data = raw.get("data", {})
        if not (isinstance(data, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in data.items())):
            raise TypeError("data")
        texts = [raw[k] for k in ("rotation", "at", "nonce", "holder")] + [raw.get("step", "")]
        if not all(isinstance(t, str) for t in texts) or not _is_number(raw["epoch"]) or raw["epoch"] < 0:
            raise TypeError("field")
        if instant(raw["at"]) is None or not _ROTATION.fullmatch(raw["rotation"]):
            raise ValueError("at or rotation")
        return Record(
            kind=Kind(raw["kind"]),
            rotation=raw["rotation"],
            epoch=raw["epoch"],
            at=raw["at"],
            nonce=raw["nonce"],
            holder=raw["holder"],
            state=State(raw["state"]),
            status=Status(raw["status"]),
            direction=Direction(raw["direction"]),
            step=raw.get("step", ""),
            data=data,
            version=version,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DurableStateError(
            f"a journal record cannot be read ({type(error).__name__}): {line[:80]!r}",
            next_step="run 'bennu rotate status --why'; the journal lies in refs/notes/bennu/<env>/<region>, or where repository.journal_ref says",
        ) from error


def instant(text: str) -> datetime | None:
    """ISO 8601 with a zone; None for anything else, which a fact of a damaged journal may hold."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def parse_all(text: str) -> tuple[Record, ...]:
    """The records of a note or a checkpoint body, blank lines skipped."""
    return tuple(parse(line) for line in text.splitlines() if line.strip())


def rendered(records: Iterable[Record]) -> str:
    """Records as text, one line each, ending in a newline."""
    return "".join(record.line() + "\n" for record in records)
