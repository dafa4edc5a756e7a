"""What ``status`` says that a resume would do is what the resume then does: for every way in which a holder can die in S6, with every outage; and saying it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.core.status import GroupStatus
from bennu.engine.progress import Mark
from tests.sim.effects import EFFECTS
from tests.sim.failpoints import left_behind
from tests.sim.pilot import BOB, Outcome, Pilot, entered, universe, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,), active_only=False)
BLUE, GREEN = Colour.BLUE, Colour.GREEN
Fate = Callable[[Universe], object]


@dataclass
class Death:
    """A world that a holder left by dying after *call*."""

    call: str
    world: Universe


def deaths(state: State, kit: Kit = FAST, run: Callable[[Pilot], Outcome] = Pilot.resume) -> list[Death]:
    """One for each effect of *state*, until the rotation leaves it."""
    world, found = entered(state, kit), []

    def after(call: str) -> None:
        if not call.startswith("checkpoint"):
            found.append(Death(call, left_behind(world)))

    pilot = Pilot(world, taps=Taps(after=after))
    pilot.watch = until(list(State)[state.number + 1])
    run(pilot)
    return found


def told(world: Universe) -> GroupStatus:
    """By a colleague's ``rotate status --why``, whose every call is seen to read."""
    taps = Taps()
    found = Pilot(world, BOB, taps=taps).session.status(gates=True)
    wrote = [call for call in taps.calls if call.rpartition(".")[2] in EFFECTS]
    assert wrote == [], wrote
    return found


def said(outcome: Outcome) -> list[str]:
    """What the resume itself said that the table decided."""
    return [progress.text for progress in outcome.progress if progress.mark is Mark.TALK and progress.text.startswith("resume: ")]


def left(world: Universe) -> Outcome:
    """Bob goes on until the hand-over is behind him, or he cannot."""
    pilot = Pilot(world, BOB)
    pilot.watch = until(State.PROMOTED)
    lock = pilot.session.standing().lock
    return pilot.resume(take_over=lock.id if lock else "")


def kept_word(death: Death, fate: Fate = lambda world: None) -> str:
    """Empty where the resume did what was said, else the difference."""
    fate(death.world)
    if Pilot(death.world, BOB).session.standing().state is not State.SWITCHOVER_LOCKED:
        return ""  # it died with the last record of S6 written
    before = death.world.copy()
    outlook = told(death.world).outlook
    assert before.remote.history == death.world.remote.history
    assert outlook is not None
    assert outlook.code == 0 or outlook.why
    outcome = left(death.world)
    if outlook.does.startswith("goes on with '"):
        return ""  # what the steps after the one at hand meet is not foretold
    if outlook.code != (0 if isinstance(outcome.error, Killed) else outcome.code):
        return f"after {death.call}: said {outlook.code} ({outlook.does}: {outlook.why}), and it was {outcome.code} ({outcome})"
    if outlook.todo and said(outcome) and said(outcome)[0] != f"resume: {outlook.todo} ({outlook.why})":
        return f"after {death.call}: said {outlook.todo} ({outlook.why}), and it was {said(outcome)[0]}"
    return ""


def silenced(world: Universe, *colours: Colour) -> None:
    for colour in colours:
        world.servers[colour].knobs.up = False


def unreachable(world: Universe, colour: Colour) -> None:
    world.clusters[colour].up = False


def restarted(world: Universe, colour: Colour) -> None:
    world.servers[colour].crash()


FATES: dict[str, Fate] = {
    "nothing more": lambda world: None,
    "the source's Redis is silent": lambda world: silenced(world, BLUE),
    "the target's Redis is silent": lambda world: silenced(world, GREEN),
    "both are silent": lambda world: silenced(world, BLUE, GREEN),
    "the source restarted": lambda world: restarted(world, BLUE),
    "the target restarted": lambda world: restarted(world, GREEN),
    "the target's API is silent": lambda world: unreachable(world, GREEN),
    "the source's API is silent": lambda world: unreachable(world, BLUE),
}


@pytest.mark.deep
@pytest.mark.parametrize("fate", FATES)
def test_what_is_said_is_what_a_resume_then_does(fate: str) -> None:
    found = deaths(State.SWITCHOVER_LOCKED)
    assert len(found) > 15
    broken = [words for death in found if (words := kept_word(death, FATES[fate]))]
    assert not broken, "\n".join([f"{len(broken)} of {len(found)}", *broken])


@pytest.fixture(scope="module")
def dead() -> dict[str, Universe]:
    """By the last effect of a holder that died."""
    return {death.call: death.world for death in deaths(State.SWITCHOVER_LOCKED)}


@pytest.mark.parametrize(
    ("call", "fate", "todo", "code", "words"),
    [
        ("redis.blue.pause", "nothing more", "retry", 0, "hands over anew"),
        ("redis.blue.fence", "nothing more", "promote", 0, "the target has reached it"),
        ("redis.blue.fence", "the source's Redis is silent", "operator", 8, "promote --dr"),
        ("redis.blue.fence", "the target's Redis is silent", "unreachable", 8, "it may hold acknowledged writes"),
        ("redis.blue.fence", "the source's API is silent", "promote", 8, "whom the pointers name cannot be read"),
        ("redis.green.make_master", "nothing more", "finish", 0, "flips the pointers"),
    ],
)
def test_a_status_explains_the_row_that_applies(dead: dict[str, Universe], call: str, fate: str, todo: str, code: int, words: str) -> None:
    world = dead[call].copy()
    FATES[fate](world)
    outlook = told(world).outlook
    assert outlook is not None
    assert (outlook.todo, outlook.code) == (todo, code), outlook
    assert words in f"{outlook.does}: {outlook.why}"
    assert outlook.roles
    assert outlook.condition
    assert outlook.before == ("cuts off what older holders left on both servers, and only then reads the roles anew",)


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE_STABLE])
def test_in_every_state_a_status_names_the_step_at_hand_and_its_gates_and_changes_nothing(state: State) -> None:
    world = entered(state, FAST)
    outlook = told(world).outlook
    assert outlook is not None
    assert outlook.code == 0, outlook
    assert outlook.gates
    assert all(gate.reason for gate in outlook.gates)


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        (lambda world: setattr(world.clusters[BLUE], "up", False), "the API of sim-blue does not answer"),
        (lambda world: setattr(world.servers[BLUE].knobs, "up", False), "redis-blue does not answer"),
        (lambda world: setattr(world.servers[GREEN].knobs, "refuses", True), "redis-green"),
        (lambda world: setattr(world.remote, "down", True), ""),
    ],
)
@pytest.mark.parametrize("state", [State.TRAFFIC_CANARY, State.SWITCHOVER_LOCKED, State.PROMOTED])
def test_a_status_works_with_a_system_down_and_says_which(state: State, outage: Fate, words: str) -> None:
    world = entered(state, FAST)
    pilot = Pilot(world, BOB)
    pilot.session.standing()
    outage(world)
    found = pilot.session.status(gates=True)
    assert found.standing.state is state
    assert found.outlook is not None
    shown = [*found.survey.problems, *(gate.reason for gate in found.outlook.gates), found.outlook.why, found.outlook.roles]
    assert any(words in one for one in shown), shown
    assert bool(found.stale) == world.remote.down
    assert found.ages.clone is not None


def test_a_clone_says_how_old_it_is_where_the_remote_is_down() -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    pilot = Pilot(world, BOB)
    pilot.session.standing()
    world.remote.down = True
    world.clock.wait(90.0)
    found = pilot.session.status()
    assert found.stale
    assert found.ages.clone is not None
    assert found.ages.clone >= 90


def test_a_holder_s_age_and_its_last_intent_are_shown() -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    world.clock.wait(60.0)
    found = told(world)
    assert found.ages.lock is not None
    assert found.ages.heartbeat is not None
    assert found.ages.lock >= found.ages.heartbeat >= 60
    assert found.intent is not None
    assert found.intent.by == "ann@one"
    assert not found.intent.open


def test_nothing_is_foretold_where_nothing_is_open() -> None:
    assert told(universe(FAST)).outlook is None
