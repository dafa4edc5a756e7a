"""stdout and stderr that are closed, full, or read by nobody: the exit code is what it would be, and nothing is said in tracebacks."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.cli.streams import Guarded
from tests.cli import checkout
from tests.cli.terminals import seen, terminal

BENNU = f"{shlex.quote(sys.executable)} -m bennu"
STREAMS = ["", ">&-", "2>&-", ">&- 2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"]
WORST = [">/dev/full 2>&1", "<&- >&- 2>&-"]
THOROUGHLY = ("--version", "--help", "status", "status --group prod/nowhere")  # every state of the streams is half a second
COMMANDS = {
    "--version": 0,
    "--help": 0,
    "rotate start --help": 0,
    "status": 0,
    "status -o json": 0,
    "config schema": 0,
    "config check": 0,
    "": 2,
    "rotate nothing": 2,
    "status --group prod/nowhere": 2,
    "rotate start --to nowhere": 2,
    "rotate resume": 3,
    "rotate rollback": 3,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield checkout.made(tmp_path_factory.mktemp("streams"))


def shell(fleet: Path, line: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", f"set -o pipefail; {line}"]
    return subprocess.run(command, cwd=fleet, env=checkout.environ(fleet.parent), capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_state_of_the_streams_changes_the_exit_code(fleet: Path, command: str) -> None:
    for streams in STREAMS if command in THOROUGHLY else WORST:
        ran = shell(fleet, f"{BENNU} {command} {streams}")
        assert (streams, ran.returncode) == (streams, COMMANDS[command]), ran.stderr
        assert "Traceback" not in ran.stderr
        assert "this is a bug" not in ran.stderr
        assert "Exception ignored" not in ran.stderr


@pytest.mark.parametrize("command", ["--version", "--help", "status", "config schema", "rotate nothing 2>&1"])
@pytest.mark.parametrize("reader", ["true", "head -1"])
def test_a_reader_that_has_read_enough_changes_nothing(fleet: Path, command: str, reader: str) -> None:
    ran = shell(fleet, f"{BENNU} {command} | {reader}")
    assert (ran.returncode, ran.stderr) == (COMMANDS[command.removesuffix(" 2>&1")], "")
    assert bool(ran.stdout) is (reader == "head -1")


def test_what_is_said_is_said_where_both_streams_are_open(fleet: Path) -> None:
    ran = shell(fleet, f"{BENNU} status -o json")
    assert ran.stdout.startswith("{")
    assert (ran.stderr, ran.returncode) == ("", 0)
    ran = shell(fleet, f"{BENNU} status --group prod/nowhere")
    assert (ran.stdout, ran.stderr.splitlines()[1]) == ("", "  changed: nothing was changed")


def test_an_error_is_said_whole_where_stdout_is_closed(fleet: Path) -> None:
    said = shell(fleet, f"{BENNU} status --group prod/nowhere").stderr
    assert said
    assert shell(fleet, f"{BENNU} status --group prod/nowhere >&-").stderr == said


def test_data_that_a_full_disk_lost_is_worth_a_word(fleet: Path) -> None:
    ran = shell(fleet, f"{BENNU} config schema >/dev/full")
    assert ran.stderr == "bennu: not all of stdout could be written: No space left on device\n"


def test_no_file_takes_the_place_of_a_closed_stream(fleet: Path, tmp_path: Path) -> None:
    """Descriptors 1 and 2 are taken when the program opens its files: what it says must not end up in one of them."""
    code = "import sys; from bennu.cli import streams; streams.guard(); f = open(sys.argv[1], 'w'); assert f.fileno() > 2; print('said'); sys.stdout.flush()"
    ran = shell(fleet, f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {tmp_path / 'file'} <&- >&- 2>&-")
    assert (ran.returncode, (tmp_path / "file").read_text()) == (0, "")


def test_a_character_that_the_encoding_lacks_is_escaped(fleet: Path) -> None:
    ran = shell(fleet, f"PYTHONIOENCODING=ascii:strict {BENNU} status")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\\u203a" in ran.stdout


def test_a_screen_that_nobody_sees_any_more_is_not_drawn_for_ever(fleet: Path) -> None:
    with terminal() as (screen, slave):
        watch = subprocess.Popen(
            [sys.executable, "-m", "bennu", "status", "--watch"], cwd=fleet, env={**checkout.environ(fleet.parent), "TERM": "xterm"},
            stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        try:
            assert "IDLE_STABLE" in seen(screen, b"IDLE_STABLE")
            screen.close()
            assert watch.wait(30) == 0
        finally:
            watch.kill()
            watch.wait()


def test_everything_is_written_in_order_by_the_thread_as_well() -> None:
    read, write = os.pipe()
    guard = Guarded(write, "<test>")
    words = [f"{number}\n".encode() for number in range(9000)]
    guard.aside()
    for word in words:
        guard.write(word)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(read, "rb").read()))
    reader.start()
    guard.settle()
    os.close(write)
    reader.join(10)
    assert got == [b"".join(words)]
    assert guard.lost is None


def test_a_reader_that_never_reads_costs_the_writer_nothing_but_what_it_keeps() -> None:
    read, write = os.pipe()
    guard = Guarded(write, "<test>")
    guard.aside()
    began = time.monotonic()
    for _ in range(50_000):
        guard.write(b"." * 100)
    guard.settle(0.1)
    assert time.monotonic() - began < 10
    os.close(read)


def test_the_last_word_is_read_where_so_much_was_said_that_some_was_lost() -> None:
    read, write = os.pipe()
    guard = Guarded(write, "<test>")
    guard.aside()
    for _ in range(50_000):
        guard.write(b"." * 100)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(read, "rb").read()))
    reader.start()
    guard.settle()
    guard.write(b"the end")
    os.close(write)
    reader.join(10)
    assert got[0].endswith(b"the end")
    assert 1_000_000 < len(got[0]) < 2_000_000


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(os.fdopen(read, "rb").read()))
    guard = Guarded(write, "<test>")
    threading.Timer(0.2, reader.start).start()
    assert guard.write(b"x" * 1_000_000) == 1_000_000
    os.close(write)
    reader.join(10)
    assert (len(got[0]), guard.lost) == (1_000_000, None)
