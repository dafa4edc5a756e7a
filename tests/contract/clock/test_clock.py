"""The contract of ``Clock``, of the machine's and of the virtual one; then what only the virtual one can do."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from bennu.adapters.clock import Pulse, SystemClock
from tests.sim.virtual_clock import VirtualClock

Clocks = SystemClock | VirtualClock


@pytest.fixture(params=[SystemClock, VirtualClock])
def clock(request: pytest.FixtureRequest) -> Clocks:
    made: Clocks = request.param()
    return made


def test_wall_time_has_its_zone(clock: Clocks) -> None:
    assert clock.wall().utcoffset() == timedelta(0)


def test_a_wait_that_nobody_ends_lasts_as_long_as_it_was_asked_to(clock: Clocks) -> None:
    before, wall = clock.boot(), clock.wall()
    assert clock.wait(0.02) is False
    assert clock.boot() - before > 0.019
    assert clock.wall() > wall


def test_a_wake_ends_one_wait_and_not_the_next(clock: Clocks) -> None:
    clock.wake()
    before = clock.boot()
    assert clock.wait(3600) is True
    assert clock.boot() - before < 3600
    assert clock.wait(0.01) is False


def test_a_wait_of_nothing_returns(clock: Clocks) -> None:
    assert clock.wait(0) is False


def test_a_wake_from_another_thread_ends_the_machines_wait() -> None:
    clock = SystemClock()
    timer = threading.Timer(0.02, clock.wake)
    timer.start()
    assert clock.wait(60) is True
    timer.join()


def test_what_is_due_happens_at_its_moment_and_in_order() -> None:
    clock, seen = VirtualClock(), list[tuple[str, float]]()
    begin = clock.boot()
    clock.after(5, lambda: seen.append(("later", clock.boot() - begin)))
    clock.after(2, lambda: seen.append(("sooner", clock.boot() - begin)))
    clock.wait(1)
    assert seen == []
    clock.wait(10)
    assert seen == [("sooner", 2), ("later", 5)]
    assert clock.boot() - begin == 11


def test_what_is_due_may_end_the_wait() -> None:
    clock = VirtualClock()
    begin = clock.boot()
    clock.after(3, clock.wake)
    assert clock.wait(100) is True
    assert clock.boot() - begin == 3


def test_a_closed_lid_moves_both_clocks_and_a_set_clock_only_the_wall() -> None:
    clock = VirtualClock()
    boot, wall = clock.boot(), clock.wall()
    clock.sleep_laptop(3600)
    assert (clock.boot() - boot, clock.wall() - wall) == (3600, timedelta(hours=1))
    clock.jump(-7200)
    assert (clock.boot() - boot, clock.wall() - wall) == (3600, timedelta(hours=-1))


def test_a_closed_lid_and_a_set_clock_are_time_that_nobody_saw_and_a_slow_call_is_not() -> None:
    clock = VirtualClock()
    clock.pass_by(60)
    clock.wait(60)
    assert clock.lapsed() == 0
    clock.sleep_laptop(3600)
    clock.jump(-60)
    assert clock.lapsed() == 3660


class Readings:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.boot, self.wall = 100.0, 1e9

    def __call__(self) -> tuple[float, float]:
        return self.boot, self.wall

    def move(self, boot: float, wall: float) -> None:
        self.boot, self.wall = self.boot + boot, self.wall + wall


@pytest.mark.parametrize(
    ("boot", "wall", "unseen"),
    [
        (1, 1, 0),  # a beat
        (3, 3, 0),  # a busy machine
        (3600, 3600, 3600),  # suspended, where the boot clock counts it; or stopped
        (1, 3601, 3600),  # a paused virtual machine, whose boot clock stood still with it
        (1, -7199, 7200),  # the clock was set
        (1, 1.4, 0),  # the clock is being slewed
    ],
)
def test_the_pulse_tells_what_no_beat_explains(boot: float, wall: float, unseen: float) -> None:
    now = Readings()
    pulse = Pulse(now)
    now.move(boot, wall)
    assert pulse.lapsed() == pytest.approx(unseen)
    now.move(1, 1)
    assert pulse.lapsed() == pytest.approx(unseen)


def test_the_machines_clock_sees_that_this_process_runs() -> None:
    clock = SystemClock()
    before = clock.lapsed()
    clock.wait(0.02)
    assert clock.lapsed() - before < 3600
