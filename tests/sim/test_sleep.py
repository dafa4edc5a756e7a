"""A machine that sleeps for an hour, anywhere: awake, it reads the lock again before it writes anything, begins the step in hand anew, and where somebody else leads by then it is out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.turns import Wishes
from bennu.errors import BennuError
from tests.sim.effects import EFFECTS
from tests.sim.failpoints import following
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, at_rest, entered, fresh_take, until
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10,))
OUTSIDE = Kit(redis=False, weights=(10,))
STATES = [state for state in State if state is not State.IDLE_STABLE]
HOUR = 3600.0
LOCAL = ("checkpoint.", "box.")


def writes(call: str) -> bool:
    """Whether *call* changes anything that others see."""
    return call.rpartition(".")[2] in EFFECTS and not call.startswith(LOCAL)


@dataclass
class Sleeper:
    """Ann, whose laptop sleeps right after her *nth* call; *meanwhile* happens in that time."""

    world: Universe
    nth: int
    meanwhile: Callable[[], object] = lambda: None
    slept_after: str = ""
    since: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        taps = Taps(reads=True)

        def after(call: str) -> None:
            if self.slept_after:
                self.since.append(call)
            elif len(taps.calls) == self.nth:
                self.slept_after = call
                self.world.disk(ANN.name).locks.clear()
                self.meanwhile()
                self.world.clock.sleep_laptop(HOUR)
                self.world.tick()

        taps.after = after
        pilot = Pilot(self.world, taps=taps)
        state = pilot.session.standing().state
        pilot.watch = until(following(state))
        return pilot.resume()

    def read_first(self) -> None:
        """The lock was read, or a swap of it tried, before anything else was written. (Not `advance` with a commit: the engine asks before that.)"""
        for call in self.since:
            if call in ("repository.fetch", "repository.advance"):
                return
            assert not writes(call), f"{call} right after the sleep: {self.since[:8]}"


def seams(state: State, kit: Kit) -> list[tuple[int, str]]:
    """The calls of *state* behind which a sleep is worth a try: each effect, and each read that is the last before an effect."""
    taps = Taps(reads=True)
    pilot = Pilot(entered(state, kit), taps=taps)
    pilot.watch = until(following(state))
    pilot.resume()
    calls = taps.calls
    found = [number for number, call in enumerate(calls[:-1], 1) if call.rpartition(".")[2] in EFFECTS or calls[number].rpartition(".")[2] in EFFECTS]
    # What comes before the lock was taken is no run's yet.
    taken = calls.index("repository.advance") + 1
    return [(number, calls[number - 1]) for number in found if number >= taken]


def at_each_seam(state: State, kit: Kit, judged: Callable[[Universe, int, bool], None], every: int = 1) -> None:
    """*judged* sleeps at one seam in a world of its own; its last argument: whether that is the last one, before which another thread's read may be missing."""
    found, broken = seams(state, kit)[::every], []
    for number, call in found:
        try:
            judged(entered(state, kit), number, number == found[-1][0])
        except AssertionError as error:
            broken.append(f"{number} {call}: {str(error)[:500]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(found)}", *broken])


def slept_through(state: State, kit: Kit, every: int = 1) -> None:
    """Sleeps at each seam, one a run; then the rotation goes on to the next state."""
    assert len(seams(state, kit)[::every]) > 2

    def judged(world: Universe, number: int, last: bool) -> None:
        sleeper = Sleeper(world, number)
        outcome = sleeper.run()
        assert sleeper.slept_after or last, outcome
        assert isinstance(outcome.error, BennuError | Killed | None), outcome
        assert outcome.code in (-1, 0, 5), outcome
        sleeper.read_first()
        if Pilot(world).session.standing().state not in (following(state), State.IDLE_STABLE):
            again = Pilot(world)
            again.watch = until(following(state))
            second = again.resume()
            assert second.standing.state is following(state), f"{outcome}, then {second}"
        assert (world.violations, world.lost()) == ([], [])

    at_each_seam(state, kit, judged, every)


EVERYWHERE = [*((state, FAST) for state in STATES), (State.SWITCHOVER_LOCKED, OUTSIDE)]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("state", "kit"), EVERYWHERE)
def test_a_laptop_may_sleep_for_an_hour_at_any_seam(state: State, kit: Kit) -> None:
    slept_through(state, kit)


@pytest.mark.parametrize("state", STATES)
def test_a_laptop_may_sleep_for_an_hour(state: State) -> None:
    slept_through(state, FAST, every=13)


def stolen_at(state: State, kit: Kit, every: int = 1) -> None:
    """As above, with Bob leading by the time that Ann wakes up: she changes nothing any more, and ends with 4."""

    def judged(world: Universe, number: int, last: bool) -> None:
        bobs: list[Outcome] = []
        sleeper = Sleeper(world, number, lambda: bobs.append(fresh_take(world, BOB, Wishes(auto_promote=True))))
        outcome = sleeper.run()
        if not bobs and last:
            return
        assert bobs[0].error is None, bobs[0]
        assert outcome.code == 4, outcome
        assert [one for one in sleeper.since if writes(one) and one != "repository.advance"] == [], sleeper.since
        at_rest(world, Colour.GREEN)

    at_each_seam(state, kit, judged, every)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("state", "kit"), EVERYWHERE)
def test_whoever_was_overtaken_in_the_sleep_changes_nothing_at_any_seam(state: State, kit: Kit) -> None:
    stolen_at(state, kit)


@pytest.mark.parametrize("state", STATES)
def test_whoever_was_overtaken_in_the_sleep_changes_nothing(state: State) -> None:
    stolen_at(state, FAST, every=29)
