"""A rollback asked of a living holder in S7 is answered once it was judged: whoever asked learns the verdict, in time, and before anything is changed."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.states import State
from tests.sim.pilot import POLICY, Outcome, Pilot, asked, at_rest
from tests.sim.seams import Killed, Taps
from tests.sim.test_broken_way_back import broken
from tests.sim.test_requests import replies, requests
from tests.sim.universe import Universe

HANDING_BACK = (True, "handing the authority back to the source, then rolling back")


def holder(world: Universe, taps: Taps | None = None, **data: str) -> Outcome:
    """A run in S7 that finds the request at its first look around."""
    asked(world, "rollback", data=data)
    return Pilot(world, taps=taps).resume()


def test_a_refusal_reaches_whoever_asked_with_its_reason_and_before_both_sides_are_kept() -> None:
    world = broken(quiet=False)
    seen: list[list[tuple[bool, str]]] = []
    taps = Taps(before=lambda call: seen.append(replies(world)) if call == "checkpoint.save_dump" else None)
    outcome = holder(world, taps)
    assert outcome.code == 7, outcome
    ((accepted, words),) = replies(world)
    assert not accepted
    assert words.startswith("refused: the reverse link is broken, and going back would lose ")
    assert "only cluster-green has" in words
    assert "bennu rotate rollback --accept-loss" in words
    # Large data take long to keep: the answer does not wait for that.
    assert seen == [replies(world)] * 2
    assert [one["accepted"] for one in requests(world)] == ["to be judged", "false"]
    assert (world.writable(), outcome.standing.state) == (["green"], State.PROMOTED)


def test_an_acceptance_is_answered_before_anything_is_changed() -> None:
    world = broken(quiet=False)
    seen: list[list[tuple[bool, str]]] = []
    taps = Taps(before=lambda call: seen.append(replies(world)) if call == "redis.green.fence" else None)
    outcome = holder(world, taps, **{"accept-loss": "true"})
    assert outcome.code == 6, outcome
    assert seen[0] == [HANDING_BACK]
    assert [one["accepted"] for one in requests(world)] == ["to be judged", "true"]


def test_without_divergence_the_answer_is_yes() -> None:
    world = broken(quiet=True)
    assert holder(world).code == 6
    assert replies(world) == [HANDING_BACK]
    at_rest(world, Colour.BLUE)


def test_the_verdict_comes_within_the_time_that_whoever_asked_waits() -> None:
    world, answered = broken(quiet=False), list[float]()
    taps = Taps(after=lambda call: answered.append(world.clock.boot()) if call == "box.reply" else None)
    begin = world.clock.boot()
    holder(world, taps)
    assert answered[0] - begin < max(60.0, 10 * POLICY.request_poll_s)


def test_what_keeps_the_judge_from_judging_is_the_answer() -> None:
    world = broken(quiet=False)
    taken: list[str] = []

    def lost(call: str) -> None:
        if call == "repository.advance" and requests(world) and not taken:
            taken.append(call)
            world.servers[Colour.BLUE].knobs.reachable = False

    outcome = holder(world, Taps(after=lost))
    assert outcome.code == 8, outcome
    ((accepted, words),) = replies(world)
    assert (accepted, "redis-blue does not answer" in words) == (False, True)


def test_a_request_whose_holder_died_under_the_judgement_is_answered_by_the_next_one() -> None:
    world = broken(quiet=False)

    def die(call: str) -> None:
        if call == "repository.advance" and requests(world):
            raise Killed

    assert isinstance(holder(world, Taps(before=die)).error, Killed)
    assert [one["accepted"] for one in requests(world)] == ["to be judged"]
    assert replies(world) == []
    world.fate.down.clear()
    world.tick()
    assert Pilot(world).resume().code == 6
    assert replies(world) == [HANDING_BACK]
    assert [one["accepted"] for one in requests(world)] == ["to be judged", "true"]


def test_a_refusal_whose_holder_died_before_the_answer_is_answered_from_the_record() -> None:
    world = broken(quiet=False)

    def die(call: str) -> None:
        if call == "box.reply":
            raise Killed

    assert isinstance(holder(world, Taps(before=die)).error, Killed)
    assert replies(world) == []
    world.fate.down.clear()
    world.tick()
    assert Pilot(world).resume().error is None
    ((accepted, words),) = replies(world)
    assert (accepted, "would lose" in words) == (False, True)
    at_rest(world, Colour.GREEN)
