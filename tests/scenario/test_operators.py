"""Humans and faults while a rotation runs: a second terminal, Ctrl-C, a link that breaks."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from bennu.lab import faults
from tests.cli.terminals import seen, terminal
from tests.scenario.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with rehearsal(tmp_path_factory.mktemp("operators")) as found:
        yield found


def test_a_broken_link_takes_the_traffic_back_by_itself(here: Rehearsal) -> None:
    with here.second_terminal("rotate", "start", "--yes", "--no-input") as start:
        start.until_says("✓ watching 20 %")
        faults.broken(here.lab, "link", "stall")
        said = start.end()
    assert said.code == 5, said.err
    assert "all traffic back to the source" in said.err
    assert "NOBODY WATCHES" not in said.err
    status = here.bennu("status", "-o", "json").data
    assert [app["wanted"] for app in status["survey"]["apps"]] == [0]
    assert (status["standing"]["status"], status["standing"]["state"]) == ("failed", "TRAFFIC_CANARY")
    faults.healed(here.lab, "all")
    assert here.traffic_flows()


def test_then_it_is_resumed_and_promoted_from_a_second_terminal(here: Rehearsal) -> None:
    with here.second_terminal("rotate", "resume", "--no-input") as start:
        start.until_says("✓ watching 10 %")
        said = here.bennu("rotate", "promote", "--no-input")
        assert said.code == 3
        assert "nothing waits for a promote" in said.err
        assert here.start().code == 4
        assert here.bennu("rotate", "resume", "--no-input").code == 4
        start.until_says("waits for 'bennu rotate promote'")
        said = here.bennu("rotate", "promote", "--no-input")
        assert (said.code, said.out) == (0, "promoting\n"), said.err
        assert start.end().code == 0
    here.assert_at_rest("green")


def test_an_interrupt_at_weight_says_that_nobody_watches(here: Rehearsal) -> None:
    with here.second_terminal("rotate", "start", "--yes", "--no-input") as start:
        start.until_says("✓ 50 % of the traffic")
        start.kill(signal.SIGINT)
        said = start.end()
    assert said.code == 130, said.err
    assert "NOBODY WATCHES" in said.err
    assert "payment-service 50 %" in said.err
    assert here.standing()["lock"] is None
    said = here.bennu("rotate", "rollback", "--yes", "--no-input")
    assert said.code == 6, said.err
    here.assert_at_rest("green")


@pytest.mark.parametrize("line", ["S1 PROVISIONING", "S2 BOOTSTRAPPING", "S3 MESH_LINKING", "S4 DATA_SYNCING", "S5 TRAFFIC_CANARY"])
def test_an_interrupt_in_each_state_before_the_switch(here: Rehearsal, line: str) -> None:
    verb = ("start", "--yes") if line.startswith("S1") else ("resume",)
    with here.second_terminal("rotate", *verb, "--no-input", "--auto-promote") as run:
        run.until_says(line)
        run.kill(signal.SIGINT)
        said = run.end()
    assert said.code == 130, said.err
    assert "bennu rotate resume" in said.err


@pytest.mark.parametrize("line", ["S6 SWITCHOVER_LOCKED", "S7 PROMOTED", "S8 DRAINING"])
def test_an_interrupt_from_the_switch_on(here: Rehearsal, line: str) -> None:
    with here.second_terminal("rotate", "resume", "--no-input", "--auto-promote") as run:
        run.until_says(line)
        run.kill(signal.SIGINT)
        said = run.end()
    assert said.code == 130, said.err
    assert here.traffic_flows()


def test_after_all_interrupts_the_rotation_ends_whole(here: Rehearsal) -> None:
    said = here.bennu("rotate", "resume", "--no-input", "--auto-promote")
    assert said.code == 0, said.err
    here.assert_at_rest("red")


def test_a_kept_source_is_cleaned_up_later(here: Rehearsal) -> None:
    said = here.start("--auto-promote", "--keep-source")
    assert said.code == 0, said.err
    assert here.directories() == {"red", "blue"}
    said = here.bennu("rotate", "cleanup", "--colour", "blue", "--yes", "--no-input")
    assert said.code == 3
    assert "write master" in said.err
    said = here.bennu("rotate", "cleanup", "--colour", "red", "--no-input")
    assert (said.code, "--yes" in said.err) == (2, True)
    said = here.bennu("rotate", "cleanup", "--colour", "red", "--yes", "--no-input")
    assert said.code == 0, said.err
    here.assert_at_rest("blue")


def test_a_connection_that_drops_in_the_switchover_ends_the_run_after_it(here: Rehearsal) -> None:
    with terminal() as (screen, slave):
        run = subprocess.Popen(
            [sys.executable, "-m", "bennu", "rotate", "start", "--yes", "--no-input", "--auto-promote"], cwd=here.fleet, env={**here.environ, "TERM": "xterm"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # one system call
        )  # fmt: skip
        try:
            assert "writes will be paused" in seen(screen, b"writes will be paused")
            screen.close()  # as sshd does: a HUP, and nothing that is said arrives any more
            assert run.wait(60) == 129
        finally:
            run.kill()
            run.wait()
    standing = here.standing()
    assert (standing["state"], standing["lock"]) == ("PROMOTED", None)
    said = here.bennu("rotate", "resume", "--no-input")
    assert said.code == 0, said.err
    here.assert_at_rest("green")
