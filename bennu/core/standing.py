"""Where a group stands: folded from its journal's records, never stored.

The fold is the one reader of record kinds; everything that shows or resumes a rotation asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bennu.core.clusters import Colour
from bennu.core.record import Kind, Record
from bennu.core.states import Direction, State, Status
from bennu.errors import DurableStateError


@dataclass(frozen=True)
class Lock:
    """Who holds the group. ``id`` is the lock record's nonce: what ``--take-over`` wants typed. ``machine`` and ``pid`` are empty in what an older Bennu wrote."""

    id: str
    holder: str
    since: str
    epoch: int
    machine: str = ""
    pid: str = ""


@dataclass(frozen=True)
class Span:
    """How long a state lasted: ISO times, ``end`` empty while it lasts."""

    state: State
    begin: str
    end: str = ""


@dataclass(frozen=True)
class Standing:
    """The group's last rotation (``rotation`` empty: there never was one)."""

    rotation: str = ""
    number: int = 0
    source: Colour | None = None
    target: Colour | None = None
    state: State = State.IDLE_STABLE
    status: Status = Status.DONE
    direction: Direction = Direction.FORWARD
    reason: str = ""
    ticket: str = ""
    started_by: str = ""
    begun: str = ""
    ended: str = ""
    epoch: int = 0
    lock: Lock | None = None
    heartbeat: str = ""  # when the holder wrote last, by its own clock
    awaiting: str = ""
    done: frozenset[str] = frozenset()
    intent: str = ""
    step: str = ""  # the last one that was intended or done
    facts: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()

    @property
    def open(self) -> bool:
        """Whether a rotation is under way (also one that failed or paused)."""
        return bool(self.rotation) and self.state is not State.IDLE_STABLE


class Fold:
    """The standing as records come in, each taken once: for who follows a journal that grows. ``standing`` is the result so far."""

    def __init__(self) -> None:
        self.now: dict[str, object] = {}
        self.done: set[str] = set()
        self.facts: dict[str, str] = {}
        self.spans: list[Span] = []

    def take(self, record: Record) -> None:
        """One record. Raises DurableStateError where it opens a rotation that cannot be told."""
        handler = getattr(self, f"_{record.kind.value}", None)
        if handler is not None:
            handler(record)
        if record.kind not in (Kind.LOCK, Kind.RELEASE, Kind.HEARTBEAT, Kind.REQUEST):
            self.now |= {"state": record.state, "status": record.status, "direction": record.direction}
        self.now["epoch"] = max(record.epoch, _number(self.now.get("epoch")))
        lock = self.now.get("lock")
        if isinstance(lock, Lock) and record.epoch == lock.epoch:
            # Whatever it writes proves that it lives.
            self.now["heartbeat"] = record.at

    def _begin(self, record: Record) -> None:
        try:
            number, source, target = int(record.rotation.rsplit("-", 1)[-1]), Colour(record.data["source"]), Colour(record.data["target"])
        except (KeyError, ValueError) as error:
            raise DurableStateError(
                f"the journal opens rotation {record.rotation[:80]!r} without a number, a source or a target that could be understood ({type(error).__name__})",
                next_step="the journal lies in refs/notes/bennu/<env>/<region>, or where repository.journal_ref says",
            ) from None
        self.done, self.facts, self.spans = set(), {}, []
        # The lock was taken in the same breath; who holds it was seen alive then.
        kept: dict[str, object] = {key: self.now[key] for key in ("lock", "epoch", "heartbeat") if key in self.now}
        self.now = {
            "rotation": record.rotation,
            "number": number,
            "source": source,
            "target": target,
            "ticket": record.data.get("ticket", ""),
            "started_by": record.holder,
            "begun": record.at,
            "options": {k.removeprefix("option."): v for k, v in record.data.items() if k.startswith("option.")},
            **kept,
        }

    def _lock(self, record: Record) -> None:
        self.now["lock"] = Lock(record.nonce, record.holder, record.at, record.epoch, record.data.get("machine", ""), record.data.get("pid", ""))
        self.now["awaiting"] = ""

    def _release(self, record: Record) -> None:
        self.now["lock"] = None

    def _intent(self, record: Record) -> None:
        self.now["intent"] = self.now["step"] = record.step
        self.facts.update(record.data)

    def _done(self, record: Record) -> None:
        self.done.add(record.step)
        self.now["intent"], self.now["step"] = "", record.step
        self.facts.update(record.data)

    def _aborted(self, record: Record) -> None:
        # `phase.*` takes back a phase's steps; a step's own name takes back that step, and not those whose names it begins.
        prefix = record.step.removesuffix("*")
        whole = prefix and record.step.endswith("*")
        self.done = {step for step in self.done if not (step.startswith(prefix) if whole else step == record.step)}
        self.now["intent"] = ""

    def _fact(self, record: Record) -> None:
        self.facts.update(record.data)

    def _status(self, record: Record) -> None:
        self.now["reason"] = record.data.get("reason", "")

    def _heartbeat(self, record: Record) -> None:
        self.now["awaiting"] = record.data.get("awaiting", "")

    def _state(self, record: Record) -> None:
        if self.spans and not self.spans[-1].end:
            last = self.spans.pop()
            self.spans.append(Span(last.state, last.begin, record.at))
        self.now["reason"] = self.now["awaiting"] = ""
        self.now["ended"] = record.at if record.state is State.IDLE_STABLE else ""
        if record.state is not State.IDLE_STABLE:
            self.spans.append(Span(record.state, record.at))

    def standing(self) -> Standing:
        """What the records amount to."""
        return Standing(done=frozenset(self.done), facts=dict(self.facts), spans=tuple(self.spans), **self.now)  # type: ignore[arg-type]  # keys are the fields


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def folded(records: Iterable[Record]) -> Standing:
    """The standing after all *records*, oldest first."""
    fold = Fold()
    for record in records:
        fold.take(record)
    return fold.standing()
