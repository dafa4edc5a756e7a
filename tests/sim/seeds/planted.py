"""Bugs, planted one at a time in an otherwise sound Bennu: what the simulation must catch, or it is too weak. Each is a variant of a port, of the journal or of the runbook, never an edit of the code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bennu.core.clusters import Colour
from bennu.core.record import Kind, Record
from bennu.core.states import State
from bennu.core.switchover import Decision, Row, Todo
from bennu.core.verdict import Answer, Verdict, opened
from bennu.engine.journal import Entry, Journal
from bennu.engine.run import Engine
from bennu.phases.base import Phase, Step, Systems, World
from bennu.phases.hand_over import HandOver
from bennu.phases.section import Section
from bennu.ports.kubernetes import Json
from bennu.ports.redis import Address, Fenced
from bennu.ports.repository import Advance, Change, Move
from tests.sim.pilot import Plant
from tests.sim.seeds.draw import Story


class _Beside:
    """Another object with a few methods of its own."""

    def __init__(self, other: Any) -> None:
        self.other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self.other, name)


class _Server(_Beside):
    """A Redis whose critical connections are other ones."""

    def __init__(self, other: Any, connection: Callable[[Any], Any]) -> None:
        super().__init__(other)
        self._connection = connection

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Any]:
        with self.other.critical(name, member) as found:
            yield self._connection(found)


def _connections(connection: Callable[[Systems, Colour, Any], Any]) -> Plant:
    def changed(found: Systems) -> Systems:
        def redis(colour: Colour) -> Any:
            return _Server(found.redis(colour), lambda it: connection(found, colour, it))

        return replace(found, redis=redis)

    return Plant(systems=changed)


# No fence: the source is said to be fenced, and goes on.


class _Unfenced(_Beside):
    def fence(self, parking: Address) -> Fenced:
        return Fenced(self.other.position().offset, True)


# Promote before demote.


class _Hasty(_Beside):
    def __init__(self, other: Any, peer: Any) -> None:
        super().__init__(other)
        self._peer = peer

    def fence(self, parking: Address) -> Fenced:
        with self._peer.critical("bennu-hasty") as target:
            target.make_master()
        fenced: Fenced = self.other.fence(parking)
        return fenced


def _hasty(found: Systems, colour: Colour, connection: Any) -> Any:
    return _Hasty(connection, found.redis(Colour.GREEN if colour is Colour.BLUE else Colour.BLUE))


# No re-check after a restart: whoever resumes believes that what was announced was done.


class _Believing(Section):
    def _decided(self) -> Decision:
        return Decision(Todo.PROMOTE, "it was announced", Row.REACHED)

    def _written(self, decision: Decision) -> None:
        """It was, surely."""


class _Trusting(HandOver):
    section = _Believing


def _phases(engine: Engine, changed: Callable[[Step], Step | None]) -> None:
    def steps(of: Callable[[World], tuple[Step, ...]]) -> Callable[[World], tuple[Step, ...]]:
        return lambda world: tuple(one for step in of(world) if (one := changed(step)) is not None)

    def phase(it: Phase) -> Phase:
        return replace(it, steps=steps(it.steps), retreat=steps(it.retreat))

    engine.runbook = replace(engine.runbook, phases=tuple(phase(it) for it in engine.runbook.phases), reverse=steps(engine.runbook.reverse))


def _trusting(engine: Engine) -> None:
    _phases(engine, lambda step: _Trusting() if isinstance(step, HandOver) else step)


# The lock is pushed without a look at who moved it: everybody's push arrives.


class _Pushed(_Beside):
    def advance(
        self, group: Any, seen: str, records: Sequence[Record], change: Change | None = None, *, moves: Sequence[Move] = (), limit_s: float | None = None
    ) -> Advance:
        if not self.other.fetch().problem:
            seen = self.other.journal(group).tip
        reached: Advance = self.other.advance(group, seen, records, change, moves=moves, limit_s=limit_s)
        return reached


def _blind(found: Systems) -> Systems:
    return replace(found, repository=_Pushed(found.repository))


# A gate that opens on unknown.


def _eager(engine: Engine) -> None:
    def opening(step: Step) -> Step:
        step, gate = copy.copy(step), step.gate

        def eager(world: World) -> Verdict:
            found = gate(world)
            return opened(found.reason, *found.figures) if found.answer is Answer.UNKNOWN else found

        step.gate = eager  # type: ignore[method-assign]  # of this instance
        return step

    _phases(engine, opening)


# The journal is written when the effect is there.


class _Late(Journal):
    _held: tuple[Entry, ...] = ()

    def append(self, *entries: Entry, change: Change | None = None, clusters: Collection[str] = (), limit_s: float | None = None) -> str:
        if all(entry.kind is Kind.INTENT and not entry.data for entry in entries):
            self._held = entries
            return ""
        held, self._held = self._held, ()
        return super().append(*held, *entries, change=change, clusters=clusters, limit_s=limit_s)


# The arm of a hand-over that was given up is forgotten.


def _left_armed(engine: Engine) -> None:
    _phases(engine, lambda step: None if step.id == "switchover-locked.disarm" else step)


# A take-over reads before older holders' connections are cut.


class _Sparing(_Beside):
    def kill_named(self, rotation: str, below_epoch: int) -> int:
        return 0


def _sparing(found: Systems) -> Systems:
    return replace(found, redis=lambda colour: _Sparing(found.redis(colour)))


# The pointer is flipped at one cluster only.


class _Deaf(_Beside):
    def apply(self, obj: Json, *, force: bool = False) -> Json:
        live = self.other.get(_ref(obj)) if "data" in obj and obj["kind"] == "ConfigMap" else None
        if live is None or live["data"] == obj["data"]:
            applied: Json = self.other.apply(obj, force=force)
            return applied
        kept: Json = self.other.apply({**obj, "data": live["data"]}, force=force)
        return kept


def _ref(obj: Json) -> Any:
    from bennu.phases.kinds import ref_of

    return ref_of(obj)


def _one_sided(found: Systems) -> Systems:
    def cluster(colour: Colour) -> Any:
        return _Deaf(found.cluster(colour)) if colour is Colour.BLUE else found.cluster(colour)

    return replace(found, cluster=cluster)


@dataclass(frozen=True)
class Bug:
    """*concerns*: the stories in which it can be met at all."""

    plant: Plant
    concerns: Callable[[Story], bool]


def _locked(story: Story) -> bool:
    return story.begins is State.SWITCHOVER_LOCKED and story.kit.redis


def _met(story: Story, *kinds: str) -> bool:
    return any(strike.kind.startswith(kinds) for strike in story.strikes)


def _unmeasured(story: Story) -> bool:
    early = (one for one in story.strikes if (one.kind, one.since, one.life) == ("metrics-bad", "", 0) and one.call < 120)
    return story.begins is State.TRAFFIC_CANARY and any(one.pick >= 0.5 for one in early)


def _frozen_in_the_pause(story: Story) -> bool:
    return _locked(story) and any((one.kind, one.since, one.life) == ("frozen", ".pause", 0) and one.call < 4 for one in story.strikes)


BUGS = {
    "no fence": Bug(_connections(lambda found, colour, it: _Unfenced(it)), _locked),
    "promote before demote": Bug(_connections(_hasty), _locked),
    "no re-check after a restart": Bug(Plant(engine=_trusting), lambda story: _locked(story) and _met(story, "killed")),
    "lock pushed without advancing the ref": Bug(Plant(systems=_blind), lambda story: _met(story, "frozen")),
    "a gate that opens on unknown": Bug(Plant(engine=_eager), _unmeasured),
    "journal after the effect": Bug(Plant(journal=_Late), lambda story: story.begins is not State.SWITCHOVER_LOCKED),
    "un-arm forgotten": Bug(Plant(engine=_left_armed), lambda story: _locked(story) and bool(story.kit.ledger and story.strikes)),
    "take-over reads before the kill": Bug(Plant(systems=_sparing), _frozen_in_the_pause),
    "pointer at one cluster only": Bug(Plant(systems=_one_sided), _locked),
}
