"""Requests typed elsewhere: taken up between two polls, recorded, answered, and then done, each once.

The record comes first. Whoever dies behind it leaves to the next holder what it had promised; an answer that did not get through is given again from the record.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from bennu.core.consent import SAID, barred
from bennu.core.record import Kind
from bennu.core.requests import JUDGED, Taken, taken
from bennu.core.states import State
from bennu.engine.beside import beside
from bennu.engine.consent import consent
from bennu.engine.journal import Entry
from bennu.engine.lookout import Lookout
from bennu.engine.silence import unheard, written
from bennu.engine.turns import HANDING_BACK, RollbackAsked, StopAsked, Turn, answer_aside, answer_to
from bennu.errors import DependencyDown
from bennu.phases.base import Phase, World
from bennu.ports.repository import Reply, Request

_LONGEST = 1000  # of the words kept in a record


def taken_up(world: World, phase: Phase, lookout: Lookout, *, waiting: str, meanwhile: Callable[[], None]) -> bool:
    """Take up what was asked since the last look. True for the word that is *waiting* to be said (promote, drain; empty: none is). Raises RollbackAsked, StopAsked."""
    now, counters = world.systems.clock.boot(), lookout.counters
    if now - counters.requests_at < world.policy.request_poll_s or counters.silence.since is not None:
        return False
    counters.requests_at = now
    said, turn = False, None
    for request in beside(lookout, world, lambda: _unanswered(world, lookout), meanwhile=meanwhile):
        free = phase.turnable and turn is None
        try:
            accepted = _decided(request, world, phase, lookout, free=free, waiting="" if said else waiting)
        except DependencyDown as error:
            unheard(lookout, world, error, phase)
            break
        if accepted and free:
            said, turn = said or request.verb in SAID, _turn(request)
    if turn is not None:
        raise turn
    return said


def answer_recorded(world: World, lookout: Lookout) -> None:
    """Answer what the journal says was decided: its holder died, or did not get through, before it had answered."""
    _unanswered(world, lookout)


def verdict(world: World, lookout: Lookout, refused: str) -> None:
    """Answer the request that was taken up to be judged, where one was and it has no answer yet. *refused*: why not, empty for yes. A holder that dies before leaves it to the next one."""
    asked_id, lookout.counters.unanswered = lookout.counters.unanswered, ""
    if asked_id:
        words = f"refused: {refused}" if refused else HANDING_BACK
        data = {"verb": "rollback", "id": asked_id, "accepted": str(not refused).lower(), "words": words[:_LONGEST]}
        written(lookout, world, Entry(Kind.REQUEST, data=data), meanwhile=lookout.alarm.answer)
        _reply(world, lookout, Reply(asked_id, not refused, words))


def _unanswered(world: World, lookout: Lookout) -> tuple[Request, ...]:
    """The requests that are to be decided still; those that were decided are answered from the record."""
    pending = lookout.box.pending(world.rotation.group)
    known = taken(lookout.journal.records) if pending else {}
    left = []
    for request in pending:
        before = known.get(request.id)
        if before is not None and before.answered:
            _reply(world, lookout, _from(before))
        elif request.id != lookout.counters.unanswered:
            left.append(request)
    return tuple(left)


def _from(before: Taken) -> Reply:
    return Reply(before.id, before.accepted == "true", before.answer)


def _decided(request: Request, world: World, phase: Phase, lookout: Lookout, *, free: bool, waiting: str) -> bool:
    """Record the decision, then answer. Whether it was accepted."""
    accepted, words = _answer(request, world, phase, lookout, free=free, waiting=waiting)
    data = {"verb": request.verb, "by": request.by, "id": request.id, "accepted": str(accepted).lower(), "words": words}
    if request.data.get("accept-loss") == "true":
        data["accept-loss"] = "true"
    if accepted and free and request.verb == "rollback" and phase.state is State.PROMOTED:
        before = taken(lookout.journal.records).get(request.id)
        if before is None:
            lookout.journal.append(Entry(Kind.REQUEST, data={**data, "accepted": JUDGED, "words": ""}))
        lookout.counters.unanswered = request.id
        return True
    # A word and what it does are one swap: nobody can die between them.
    done = (consent(request.verb, request.by),) if accepted and request.verb in SAID else ()
    lookout.journal.append(Entry(Kind.REQUEST, data=data), *done)
    _reply(world, lookout, Reply(request.id, accepted, words))
    return accepted


def _answer(request: Request, world: World, phase: Phase, lookout: Lookout, *, free: bool, waiting: str) -> tuple[bool, str]:
    rotation = str(world.rotation.id)
    if not request.rotation:
        return False, f"refused: it does not say which rotation it was asked of (an older Bennu left it); this is {rotation}, ask again"
    if request.rotation != rotation:
        return False, f"refused: it was asked of {request.rotation}, and this is {rotation}"
    if free:
        accepted, words = answer_to(request, phase.state, waiting=waiting)
        second = barred(request.verb, request.by, world.rotation.started_by, world.settings.repository.require.second_person) if accepted else ""
        return (False, f"refused: {second}") if second else (accepted, words)
    return answer_aside(request, phase.state, lookout.journal.standing.direction)


def _turn(request: Request) -> Turn | None:
    if request.verb == "rollback":
        return RollbackAsked(request.by, accept_loss=request.data.get("accept-loss") == "true")
    return StopAsked(request.verb, request.by) if request.verb in ("abort", "pause") else None


def _reply(world: World, lookout: Lookout, reply: Reply) -> None:
    # An answer that does not get through is given at the next look, from the record.
    with suppress(DependencyDown):
        lookout.box.reply(world.rotation.group, reply)
