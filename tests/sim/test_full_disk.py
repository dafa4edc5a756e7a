"""Whatever call of the checkpoint's fails at whatever place of a rotation, the run ends safe (5) or goes on in S6 with Git alone, and the next one goes on once the disk is mended.

The checkpoints are files in a real folder. Each state is run through once to count its calls; then again for each of them, from the same world, with that call failing, alone or
with all that follow it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.progress import Mark
from bennu.errors import StoppedSafe
from tests.contract.checkpoint.failing import ERRORS, FailingDisk
from tests.sim import fleet
from tests.sim.failpoints import following, left_behind
from tests.sim.pilot import ANN, Outcome, Pilot, at_rest, entered, universe, until
from tests.sim.seams import Killed
from tests.sim.universe import Kit, Universe

KIT = Kit(weights=(10,))
STATES = [state for state in State if state is not State.IDLE_STABLE]
ALONE = "the switchover goes on, with the journal in Git alone"


def driven(world: Universe, state: State, folder: Path, disk: FailingDisk | None = None) -> Outcome:
    """On ann's machine to the end of *state*."""
    pilot = Pilot(world, ANN, checkpoint=FileCheckpoint(folder, disk=disk))
    after = following(state)
    if after is not State.IDLE_STABLE:
        pilot.watch = until(after)
    return pilot.resume()


def calls_of(state: State, folder: Path) -> list[str]:
    disk = FailingDisk()
    driven(left_behind(entered(state, KIT)), state, folder, disk)
    return disk.calls


def struck(state: State, nth: int, folder: Path, *, whole: bool) -> str:
    """One run with its *nth* call failing, and the one that goes on. Returns how the first ended."""
    world = left_behind(entered(state, KIT))
    disk = FailingDisk(nth, ERRORS[nth % len(ERRORS)], lasting=bool(nth % 2))
    outcome = driven(world, state, folder, disk)
    assert disk.failed, "the call was not reached"
    said = any(ALONE in progress.text for progress in outcome.progress if progress.mark is Mark.WARN)
    if isinstance(outcome.error, StoppedSafe):
        assert outcome.code == 5, outcome
        # The sighting of the journal and the first save come before the lock: until then it is still that of the holder who died.
        assert outcome.standing.lock is None or disk.calls[: nth - 1].count("fsync-folder") < 2, "Git took the release"
        if state.number < State.SWITCHOVER_LOCKED.number:
            assert world.writable() == ["blue"]
    elif disk.calls[: nth - 1].count("fsync-folder") < 1:
        # Since when the journal stands still was not kept, which makes a take-over wait for longer.
        assert not set(disk.failed) & {"flock", "truncate"}
        assert len(disk.failed) == 1
        assert isinstance(outcome.error, Killed) or outcome.error is None
    else:
        assert state is State.SWITCHOVER_LOCKED, f"{outcome} went on without its checkpoint"
        assert said or disk.failed == ["unlink"]
        assert isinstance(outcome.error, Killed)
    assert world.violations == []
    assert not world.lost()
    ended = outcome.standing.state
    found = FileCheckpoint(folder).load(fleet.GROUP)
    assert found is None or not found.damage
    # The disk is mended.
    pilot = Pilot(left_behind(world), ANN, checkpoint=FileCheckpoint(folder))
    if not whole:
        pilot.watch = until(following(state if ended.number <= state.number else ended))
    gone_on = pilot.resume()
    assert pilot.world.violations == []
    if gone_on.error is None:
        at_rest(pilot.world, Colour.GREEN)
    else:
        assert not whole and isinstance(gone_on.error, Killed), gone_on
    return "went on" if said else "stopped"


def swept(state: State, places: list[int], folder: Path) -> dict[str, int]:
    broken, ends = [], {"went on": 0, "stopped": 0}
    for number, nth in enumerate(places):
        try:
            ends[struck(state, nth, folder / str(nth), whole=number % 16 == 0)] += 1
        except AssertionError as error:
            broken.append(f"call {nth}: {str(error)[:300]}")
    assert not broken, "\n".join([f"{len(broken)} of {len(places)}", *broken])
    return ends


@pytest.mark.parametrize("state", STATES)
def test_a_call_that_fails_stops_safely_or_is_done_without(state: State, tmp_path: Path) -> None:
    calls = calls_of(state, tmp_path / "count")
    # One of each kind, at a place of the run that differs from kind to kind.
    kinds = sorted(set(calls))
    places = [[nth for nth, name in enumerate(calls, 1) if name == kind and kind != "unlink"] for kind in kinds]
    chosen = [found[(len(found) * number) // len(places)] for number, found in enumerate(places) if found]
    swept(state, chosen[state.number % 2 :: 2], tmp_path)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("state", STATES)
def test_every_call_that_fails_stops_safely_or_is_done_without(state: State, tmp_path: Path) -> None:
    calls = calls_of(state, tmp_path / "count")
    ends = swept(state, list(range(1, len(calls) + 1)), tmp_path)
    print(f"{state}: {len(calls)} calls, {ends}")
    assert (ends["went on"] > 0) == (state is State.SWITCHOVER_LOCKED)


def test_too_little_room_is_refused_before_a_rotation_and_before_the_switchover() -> None:
    world = universe(KIT)
    world.disk(ANN.name).free = 63 << 20
    with pytest.raises(Exception, match="63 MB are free where Bennu keeps its state; 64 are needed") as refused:
        Pilot(world).start()
    assert getattr(refused.value, "code", 0) == 3
    late = left_behind(entered(State.SWITCHOVER_LOCKED, KIT))
    late.disk(ANN.name).free = 0
    outcome = Pilot(late).resume()
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert late.writable() == ["blue"]
    late.disk(ANN.name).free = 1 << 30
    assert Pilot(late).resume().code == 0
    at_rest(late, Colour.GREEN)
