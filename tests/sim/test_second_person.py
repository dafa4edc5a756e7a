"""Four eyes: where ``repository.require.second_person`` asks for it, whoever started a rotation neither promotes nor drains in it, by whatever way they say so."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State, Status
from bennu.engine import lock
from bennu.engine.journal import Entry
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import GateRefused, Paused
from tests.sim.pilot import ANN, AUTO, BOB, Pilot, Watch, asked, at_rest, universe
from tests.sim.seams import Killed
from tests.sim.test_requests import FAST, replies
from tests.sim.universe import Universe

WHO_MAY_NOT = "by somebody else than ann@one, who started the rotation"


def requiring(*verbs: str) -> Universe:
    world = universe(FAST)
    require = world.settings.repository.require.model_copy(update={"second_person": verbs})
    world.settings = world.settings.model_copy(update={"repository": world.settings.repository.model_copy(update={"require": require})})
    return world


def asking(pilot: Pilot, verb: str, *people: str) -> None:
    """*people*, one after the other, ask for *verb* while the run waits for a human."""
    left = list(people)

    def watch(engine: Engine, progress: Progress) -> None:
        if pilot.session.journal.standing.status is Status.PAUSED and left:
            asked(pilot.world, verb, left.pop(0))

    pilot.watch = watch


def said(world: Universe) -> tuple[str, str]:
    shown = Pilot(world).session.status().rotation
    return shown.promoted_by, shown.drained_by


def test_a_start_that_promotes_by_itself_is_refused_before_anything_is_written() -> None:
    world = requiring("promote")
    with pytest.raises(GateRefused, match="promote needs a second person") as refused:
        Pilot(world).session.refuse_words(AUTO, "ann@one")
    assert refused.value.next_step == "have somebody else type 'bennu rotate promote --group prod/us-east-1'"
    outcome = Pilot(world).start(AUTO)
    assert (outcome.code, world.remote.journals) == (3, {})


def test_the_starters_own_request_is_refused_and_a_colleagues_is_done() -> None:
    world = requiring("promote")
    pilot = Pilot(world)
    asking(pilot, "promote", "ann@one", "carol@three")
    assert pilot.start(Wishes()).error is None
    assert [accepted for accepted, _ in replies(world)] == [False, True]
    assert "ann@one started the rotation" in replies(world)[0][1]
    assert said(world) == ("carol@three", "")
    at_rest(world, Colour.GREEN)


def test_a_promote_typed_where_nobody_drives_is_refused_to_the_starter_and_done_for_a_colleague() -> None:
    world = requiring("promote")
    paused = Pilot(world).start(Wishes(no_wait=True))
    assert isinstance(paused.error, Paused)
    assert (paused.code, WHO_MAY_NOT in paused.error.message) == (10, True)
    before = Pilot(world).session.standing()
    for refused in (Pilot(world, ANN).resume(Wishes(promote=True)), Pilot(world, ANN).resume(AUTO)):
        assert refused.code == 3
    with pytest.raises(GateRefused, match="second person"):
        Pilot(world, ANN).session.refuse_request("promote", before)
    assert Pilot(world).session.standing() == before
    assert Pilot(world, BOB).resume(Wishes(promote=True)).error is None
    assert said(world) == ("bob@two", "")


def test_whoever_takes_over_does_not_make_the_starter_a_second_person() -> None:
    world = requiring("promote")
    Pilot(world).start(Wishes(no_wait=True))
    pilot = Pilot(world, BOB)
    asking(pilot, "promote", "ann@one", "bob@two")
    assert pilot.resume(Wishes()).error is None
    assert [accepted for accepted, _ in replies(world)] == [False, True]


def test_a_consent_that_names_nobody_is_asked_for_again() -> None:
    world = requiring("promote")
    Pilot(world).start(Wishes(no_wait=True))
    older = Pilot(world, BOB).session.journal
    lock.take(older)
    older.append(Entry(Kind.FACT, data={"promoted.by": "request"}), Entry(Kind.RELEASE))  # as an older Bennu wrote it
    assert Pilot(world, BOB).resume(Wishes(no_wait=True)).code == 10


def test_the_source_is_not_taken_down_before_a_second_person_says_so() -> None:
    world = requiring("drain")
    pilot = Pilot(world)
    asking(pilot, "drain", "ann@one", "carol@three")
    assert pilot.start(AUTO).error is None
    assert replies(world) == [
        (False, "refused: drain needs a second person (repository.require.second_person), and ann@one started the rotation"),
        (True, "taking the source down"),
    ]
    assert said(world) == ("ann@one", "carol@three")
    at_rest(world, Colour.GREEN)


def test_a_run_that_does_not_wait_ends_paused_before_draining_with_the_way_back_open() -> None:
    world = requiring("drain")
    Pilot(world).start(Wishes(no_wait=True))
    paused = Pilot(world).resume(Wishes(promote=True, no_wait=True))
    assert isinstance(paused.error, Paused), paused
    assert WHO_MAY_NOT in paused.error.message
    assert paused.error.next_step == "'bennu rotate drain' goes on, 'bennu rotate rollback' goes back"
    assert (paused.standing.state, world.clusters[Colour.BLUE].up) == (State.PROMOTED, True)
    assert Pilot(world).resume(Wishes(drain=True)).code == 3
    back = requiring("drain")
    Pilot(back).start(Wishes(auto_promote=True, stop_after=State.PROMOTED))
    assert Pilot(back).rollback().code == 6
    assert Pilot(world, BOB).resume(Wishes(drain=True)).error is None
    at_rest(world, Colour.GREEN)


def test_a_drain_makes_no_sense_where_nothing_waits_for_it() -> None:
    world = requiring("promote")
    Pilot(world).start(Wishes(no_wait=True))
    pilot = Pilot(world, BOB)
    with pytest.raises(GateRefused, match="drain makes no sense in TRAFFIC_CANARY"):
        pilot.session.refuse_request("drain", pilot.session.standing())
    asking(pilot, "drain", "carol@three")
    pilot.watch = both(pilot)
    pilot.resume(Wishes())
    assert replies(world)[0] == (False, "refused: in TRAFFIC_CANARY nothing waits for a drain")


def both(pilot: Pilot) -> Watch:
    asks, left = pilot.watch, ["promote"]

    def watch(engine: Engine, progress: Progress) -> None:
        asks(engine, progress)
        if replies(pilot.world) and left:
            asked(pilot.world, left.pop())

    return watch


def test_a_kept_source_waits_for_nobody_and_its_cleanup_is_not_its_starters() -> None:
    world = requiring("drain")
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).error is None
    with pytest.raises(GateRefused, match="drain needs a second person") as refused:
        Pilot(world, ANN).cleanup("blue")
    assert "'bennu rotate cleanup" in refused.value.next_step
    assert Pilot(world, BOB).cleanup("blue").error is None
    at_rest(world, Colour.GREEN)


def test_a_run_that_got_past_the_door_with_its_starters_word_waits_all_the_same() -> None:
    world = requiring("promote")
    pilot = Pilot(world)
    asking(pilot, "promote", "carol@three")
    asks = pilot.watch

    def watch(engine: Engine, progress: Progress) -> None:
        engine.wishes = AUTO
        asks(engine, progress)

    pilot.watch = watch
    assert pilot.start(Wishes()).error is None
    assert said(world) == ("carol@three", "")


@pytest.mark.parametrize(
    ("verbs", "wishes", "state", "words"),
    [
        ((), Wishes(), State.TRAFFIC_CANARY, "waits for 'bennu rotate promote', and watches meanwhile"),
        (("promote",), Wishes(), State.TRAFFIC_CANARY, f"waits for 'bennu rotate promote' {WHO_MAY_NOT}, and watches meanwhile"),
        (("drain",), AUTO, State.PROMOTED, f"waits for 'bennu rotate drain' {WHO_MAY_NOT}, and watches meanwhile"),
    ],
)
def test_a_status_says_which_word_a_resume_would_wait_for(verbs: tuple[str, ...], wishes: Wishes, state: State, words: str) -> None:
    world = requiring(*verbs)
    pilot = Pilot(world)

    def die(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.PAUSED:
            raise Killed("it waited for a human")

    pilot.watch = die
    assert isinstance(pilot.start(wishes).error, Killed)
    found = Pilot(world, BOB).session.status()
    assert found.outlook is not None
    assert (found.standing.state, found.outlook.does) == (state, words)
