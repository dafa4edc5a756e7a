"""A rotation whose terminal goes away, whose reader stands still, and that gets signals: real processes, ptys and signals around a world in memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bennu.cli.render import Unfailing
from bennu.core.states import State
from bennu.engine.progress import Mark, Progress
from tests.cli.terminals import FENCED, LOCKED, rehearsed, seen, terminal

PIPE = subprocess.PIPE
NULL = subprocess.DEVNULL


def whole(proof: Any) -> None:
    """The rotation is over, and nothing was lost on the way."""
    assert (proof["state"], proof["locked"], proof["writable"], proof["lost"], proof["violations"]) == ("IDLE_STABLE", False, ["green"], 0, [])


def test_a_terminal_that_is_closed_between_fence_and_promotion_changes_nothing() -> None:
    with terminal() as (screen, slave), rehearsed(FENCED, stdin=NULL, stdout=slave, stderr=slave) as run:
        run.met()
        os.set_blocking(screen.fileno(), False)
        assert "S6 SWITCHOVER_LOCKED" in seen(screen)
        screen.close()
        run.go_on()
        whole(run.proof())
        assert run.code() == 0


def test_a_lost_connection_between_fence_and_promotion_ends_the_run_after_s6() -> None:
    with terminal() as (screen, slave), rehearsed(FENCED, controlling=True, stdin=slave, stdout=slave, stderr=slave) as run:
        run.met()
        screen.close()  # the session's leader gets a HUP
        run.go_on()
        proof = run.proof()
        assert (proof["state"], proof["locked"], proof["writable"], proof["lost"]) == ("PROMOTED", False, ["green"], 0)
        assert run.code() == 129


def test_a_reader_that_stands_still_does_not_hold_the_run_up() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write, b"." * 4096)
    os.set_blocking(write, True)
    with rehearsed(FENCED, "-o", "json", stdin=NULL, stdout=write, stderr=write) as run:
        run.met()
        run.go_on()
        whole(run.proof())
        assert run.process.poll() is None, "what was said waits for its reader"
        os.close(write)
        os.close(read)
        assert run.code() == 0


def test_what_a_slow_reader_reads_late_is_whole() -> None:
    with rehearsed(FENCED, "-o", "json", stdin=NULL, stdout=PIPE, stderr=PIPE) as run:
        run.met()
        run.go_on()
        run.proof()
        out, err = run.process.communicate(timeout=30)
    assert json.loads(out)["state"] == "IDLE_STABLE"
    assert err.decode().splitlines()[-1].startswith("rotation prod-us-east-1-1 is over")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_from_the_start_changes_nothing(closed: int, tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as file, rehearsed(FENCED, "-o", "json", stdin=NULL, stdout=file, stderr=file, closed=(closed,)) as run:
        run.met()
        run.go_on()
        whole(run.proof())
        assert run.code() == 0
    said = (tmp_path / "said").read_text()
    assert ("S6 SWITCHOVER_LOCKED" in said, '"state": "IDLE_STABLE"' in said) == (closed == 1, closed == 2)


def test_a_full_disk_under_both_streams_changes_nothing() -> None:
    with Path("/dev/full").open("wb") as full, rehearsed(FENCED, "-o", "json", stdin=NULL, stdout=full, stderr=full) as run:
        run.met()
        run.go_on()
        whole(run.proof())
        assert run.code() == 0


def test_data_goes_to_stdout_where_stderr_is_a_terminal() -> None:
    with terminal() as (screen, slave), rehearsed(LOCKED, "-o", "json", stdin=NULL, stdout=PIPE, stderr=slave) as run:
        run.met()
        run.process.send_signal(signal.SIGINT)
        run.go_on()
        assert run.process.stdout is not None
        assert json.loads(run.process.stdout.read())["state"] == "PROVISIONING"
        assert run.code() == 130
        os.set_blocking(screen.fileno(), False)
        assert '"state"' not in seen(screen)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_right_after_the_lock_was_pushed_lets_go_of_it(number: int, code: int) -> None:
    with rehearsed(LOCKED, stdin=NULL, stdout=PIPE, stderr=PIPE) as run:
        run.met()
        run.process.send_signal(number)
        run.go_on()
        proof = run.proof()
        err = run.process.communicate(timeout=30)[1].decode()
    assert (proof["locked"], proof["state"], run.code()) == (False, "PROVISIONING", code)
    assert f"stopped by signal {number} in PROVISIONING" in err
    assert "bennu rotate resume" in err
    assert "could not be let go of" not in err


def test_a_signal_before_the_lock_leaves_nothing() -> None:
    with rehearsed(LOCKED, "--early", stdin=NULL, stdout=PIPE, stderr=PIPE) as run:
        proof = run.proof()
        err = run.process.communicate(timeout=30)[1].decode()
    assert (proof["rotation"], proof["locked"], run.code()) == ("", False, 143)
    assert "before the lock was taken" in err
    assert "changed: nothing\n" in err


@pytest.mark.parametrize("words", [(), ("--deaf",)], ids=["", "in a call that none interrupts"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_first_signal_is_answered_and_the_second_ends_at_once(number: int, code: int, words: tuple[str, ...]) -> None:
    with terminal() as (screen, slave), rehearsed(FENCED, *words, stdin=NULL, stdout=slave, stderr=slave) as run:
        run.met()
        run.process.send_signal(signal.SIGINT)
        seen(screen, b"a second one ends at once")
        assert run.process.poll() is None
        run.process.send_signal(number)
        assert run.code() == code


def test_nohup_keeps_its_word() -> None:
    with rehearsed(FENCED, stdin=NULL, stdout=NULL, stderr=NULL, ignored=(signal.SIGHUP,)) as run:
        run.met()
        run.process.send_signal(signal.SIGHUP)
        run.go_on()
        whole(run.proof())
        assert run.code() == 0


def test_a_bug_says_where_the_rotation_stands_and_how_it_goes_on() -> None:
    with rehearsed("provisioner.up", "--crash", stdin=NULL, stdout=PIPE, stderr=PIPE) as run:
        proof = run.proof()
        err = run.process.communicate(timeout=30)[1].decode()
    assert (proof["locked"], run.code()) == (False, 1)
    assert "this is a bug in bennu: RuntimeError: nobody thought of this" in err
    assert "stands in PROVISIONING" in err
    assert "'bennu rotate resume' goes on" in err
    assert "Traceback" not in err


class Hoarse:
    """A commentary that can't say a word."""

    def __init__(self, error: BaseException) -> None:
        self.error, self.asked = error, 0

    def __enter__(self) -> Hoarse:
        return self._fail()

    def __exit__(self, *args: object) -> None:
        self._fail()

    def show(self, progress: Progress) -> None:
        self._fail()

    def _fail(self) -> Hoarse:
        self.asked += 1
        raise self.error


@pytest.mark.parametrize(
    "make", [lambda: OSError(5, "EIO"), lambda: UnicodeEncodeError("ascii", "✓", 0, 1, "no"), lambda: RuntimeError("Rich"), lambda: SystemExit(1)]
)
def test_no_commentary_can_raise_into_a_step(make: Callable[[], BaseException]) -> None:
    hoarse = Hoarse(make())
    with Unfailing(hoarse) as screen:
        screen.show(Progress(Mark.TALK, State.SWITCHOVER_LOCKED, text="writes will be paused"))
    assert hoarse.asked == 3
