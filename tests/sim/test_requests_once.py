"""A request is taken up, answered and done once, whatever dies when: killed before and behind every call to the journal and to the box, the next holder answers from the record and does what was promised."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind, Record
from bennu.core.states import Direction, State, Status
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import Paused, RolledBack
from tests.sim.failpoints import left_behind
from tests.sim.pilot import AUTO, BOB, Outcome, Pilot, asked, at_rest, entered, fresh_take, gone_on
from tests.sim.seams import Killed, Taps
from tests.sim.test_requests import replies, requests
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))
CALLS = ("repository.advance", "box.reply")
HANDING_BACK = (True, "handing the authority back to the source, then rolling back")
BEHIND = 8  # deaths that are played behind the answer: what comes later is a way back that anybody resumes


@dataclass(frozen=True)
class Case:
    """A request: asked in *state*, answered by *words*."""

    verb: str
    state: State
    words: str


CASES = [
    Case("promote", State.TRAFFIC_CANARY, "promoting"),
    Case("rollback", State.TRAFFIC_CANARY, "rolling back to the source"),
    Case("abort", State.TRAFFIC_CANARY, "stopping; the traffic goes back to the source"),
    Case("pause", State.TRAFFIC_CANARY, "stopping at a safe point"),
    Case("pause", State.DATA_SYNCING, "stopping at a safe point"),
    Case("rollback", State.PROMOTED, HANDING_BACK[1]),
]
IDS = [f"{case.verb}-{case.state.value.lower()}" for case in CASES]


def wishes(case: Case) -> Wishes:
    """Only a promote is waited for."""
    return Wishes() if case.verb == "promote" else AUTO


def begun(case: Case) -> Universe:
    """Asked before anybody looks; a promote is asked where it is waited for."""
    world = entered(case.state, FAST)
    if case.verb != "promote":
        asked(world, case.verb)
    return world


def promoting(world: Universe) -> object:
    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.PAUSED and not world.remote.requests:
            asked(world, "promote")

    return watch


def deaths(case: Case) -> list[tuple[str, Universe]]:
    """The world before and behind each call, from three calls before the request is first recorded."""
    world, found, left = begun(case), list[tuple[str, Universe]](), [BEHIND]

    def kept(at: str, call: str) -> None:
        if call in CALLS and world.remote.requests and left[0]:
            found.append((f"{at} {call}", left_behind(world)))
            left[0] -= bool(replies(world))
            if not requested(world):
                del found[:-3]

    pilot = Pilot(world, taps=Taps(before=lambda call: kept("before", call), after=lambda call: kept("after", call)))
    pilot.watch = promoting(world)  # type: ignore[assignment]
    pilot.resume(wishes(case))
    calls = [at for at, _ in found]
    assert {"before repository.advance", "after repository.advance", "before box.reply", "after box.reply"} <= set(calls)
    return found


def requested(world: Universe) -> bool:
    return any('"kind":"request"' in one.lines for one in world.remote.journals["prod/us-east-1"])


def records(world: Universe) -> list[Record]:
    pilot = Pilot(world)
    pilot.session.standing()
    return list(pilot.session.journal.records)


def ended(world: Universe, case: Case) -> list[Outcome]:
    """Colleagues resume until the rotation is over."""
    outcomes: list[Outcome] = []
    while Pilot(world).session.standing().open:
        outcomes.append(fresh_take(world, BOB, wishes(case)))
        assert len(outcomes) < 4, [str(one) for one in outcomes]
    return outcomes


def once(world: Universe, case: Case) -> None:
    """Recorded once, answered once, done once."""
    assert replies(world) == [(True, case.words)]
    assert [one["accepted"] for one in requests(world)] == [*(["to be judged"] if case.state is State.PROMOTED else []), "true"]
    journal = records(world)
    if case.verb == "promote":
        assert sum(one.data.get("promoted.by") == "carol@three" for one in journal) == 1
    elif case.verb == "rollback":
        back = Direction.REVERSE if case.state is State.PROMOTED else Direction.ROLLBACK
        begins = [one for one in journal if one.kind is Kind.STATUS and one.status is Status.ABORTING and one.direction is back]
        assert len([one for one in begins if one.data["reason"] in ("rollback", "reverse switchover")]) == 1
    else:
        stops = [one for one in journal if one.kind is Kind.STATUS and one.data.get("reason") == f"{case.verb} by carol@three"]
        assert len(stops) == 1
    at_rest(world, Colour.BLUE if case.verb == "rollback" else Colour.GREEN)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_holder_killed_at_any_call_leaves_a_request_that_is_done_once(case: Case) -> None:
    broken = []
    for number, (at, world) in enumerate(deaths(case)):
        try:
            ended(world, case)
            once(world, case)
        except AssertionError as error:
            broken.append(f"{number} {at}: {str(error)[:400]}")
    assert not broken, "\n".join(broken)


@pytest.mark.deep  # a minute in all
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_next_holder_may_be_killed_at_any_call_too(case: Case) -> None:
    broken = []
    for number, (at, first) in enumerate(deaths(case)):
        for second in range(1, 9):
            world, seen = first.copy(), [0]

            def die(call: str, seen: list[int] = seen, second: int = second) -> None:
                seen[0] += call in CALLS
                if seen[0] == second:
                    raise Killed

            taps = Taps(before=die) if second % 2 else Taps(after=die)
            if Pilot(world).session.standing().open:
                fresh_take(world, BOB, wishes(case), taps=taps)
            try:
                ended(left := left_behind(world), case)
                once(left, case)
            except AssertionError as error:
                broken.append(f"{number} {at}, then {second}: {str(error)[:400]}")
    assert not broken, "\n".join(broken)


def killed_behind_the_record(case: Case) -> Universe:
    return next(world for at, world in deaths(case) if at == "before box.reply")


@pytest.mark.parametrize("case", CASES[1:], ids=IDS[1:])
def test_the_next_holder_says_what_was_promised_and_does_it_first(case: Case) -> None:
    world = killed_behind_the_record(case)
    outcome = fresh_take(world, BOB)
    assert isinstance(outcome.error, RolledBack if case.verb == "rollback" else Paused), outcome
    said = [one.text for one in outcome.progress if one.mark is Mark.WARN]
    assert said[0] == f"{case.verb}, asked by carol@three, was taken up by ann@one and not begun: it is done now"
    assert replies(world) == [(True, case.words)]


def test_what_was_stopped_as_asked_goes_on_at_the_next_resume() -> None:
    world = killed_behind_the_record(CASES[4])
    assert fresh_take(world, BOB).code == 10
    assert Pilot(world).resume().error is None
    assert [one["id"] for one in requests(world)] == ["r0"]


# Which rotation is meant


@pytest.mark.parametrize("verb", ["promote", "rollback", "abort", "pause"])
@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("prod-us-east-1-7", "refused: it was asked of prod-us-east-1-7, and this is prod-us-east-1-1"),
        ("", "refused: it does not say which rotation it was asked of (an older Bennu left it); this is prod-us-east-1-1, ask again"),
    ],
)
def test_a_request_of_another_rotation_or_of_none_is_refused_with_words(verb: str, of: str, words: str) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    asked(world, verb, rotation=of)
    assert gone_on(world).error is None
    assert replies(world) == [(False, words)]
    at_rest(world, Colour.GREEN)


def test_a_request_that_nobody_answered_does_nothing_to_the_next_rotation() -> None:
    world = entered(State.PROVISIONING, FAST)
    Pilot(world).rollback()
    asked(world, "rollback", rotation="prod-us-east-1-1")
    outcome = Pilot(world).start()
    assert outcome.error is None, outcome
    assert replies(world) == [(False, "refused: it was asked of prod-us-east-1-1, and this is prod-us-east-1-2")]
    at_rest(world, Colour.GREEN)


# On a way back


BACK = {
    "rollback": (True, "going back to the source already"),
    "promote": (False, "refused: the group is on its way back to the source"),
    "abort": (False, "refused: the group is on its way back to the source"),
    "pause": (False, "refused: the group is on its way back to the source"),
}


@pytest.mark.parametrize("verb", BACK)
@pytest.mark.parametrize("state", [State.TRAFFIC_CANARY, State.PROMOTED])
def test_a_request_on_a_way_back_is_answered_and_holds_nothing_up(state: State, verb: str) -> None:
    world = entered(state, FAST)
    asked(world, "rollback")
    later: list[str] = []

    def then(call: str) -> None:
        if not later and [one for one in world.remote.journals["prod/us-east-1"] if '"status":"aborting"' in one.lines]:
            later.append(call)
            asked(world, verb)

    outcome = Pilot(world, taps=Taps(after=then)).resume()
    assert isinstance(outcome.error, RolledBack), outcome
    assert replies(world)[1:] == [BACK[verb]]
    at_rest(world, Colour.BLUE)


def test_a_loss_is_not_accepted_by_a_request_that_comes_too_late() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    asked(world, "rollback")
    asked(world, "rollback", "dave@four", {"accept-loss": "true"})
    assert Pilot(world).resume().code == 6
    assert [accepted for accepted, _ in replies(world)] == [True, False]


def test_of_two_stops_asked_at_once_one_is_done_and_the_other_is_answered() -> None:
    world = entered(State.DATA_SYNCING, FAST)
    asked(world, "pause")
    asked(world, "abort", "dave@four")
    assert Pilot(world).resume().code == 10
    assert [accepted for accepted, _ in replies(world)] == [True, False]
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)
