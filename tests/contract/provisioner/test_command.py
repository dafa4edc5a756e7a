"""The contract of ``Provisioner`` by configured commands, and how a tool is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bennu.adapters.command import CommandProvisioner, Commands
from bennu.errors import Interrupted, StoppedSafe, UsageError
from bennu.ports.provisioner import Order, Provisioner
from tests.sim.memory_provisioner import MemoryProvisioner


def script(folder: Path, text: str, name: str = "tool") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"./{name}"


def provisioner(folder: Path, up: str = "true", down: str = "true", outputs: str = "", timeout_s: float = 20) -> CommandProvisioner:
    asked = (script(folder, outputs, "outputs"),) if outputs else ()
    return CommandProvisioner(Commands((script(folder, up, "up"), "{colour}", "--group={group}"), (script(folder, down, "down"),), asked, folder, timeout_s))


STATEFUL = """
case "$1" in
up) echo '{"api": "https://127.0.0.1:6443"}' > cluster; echo making "$BENNU_CLUSTER"; cat cluster;;
down) rm -f cluster;;
*) cat cluster;;
esac
"""


@pytest.fixture(params=["command", "memory"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Provisioner:
    if request.param == "command":
        tool = script(tmp_path, STATEFUL)
        return CommandProvisioner(Commands((tool, "up"), (tool, "down"), (tool, "outputs"), tmp_path))
    memory = MemoryProvisioner()
    memory.made = lambda order: {"api": "https://127.0.0.1:6443"}
    return memory


def test_a_cluster_exists_from_up_to_down(port: Provisioner, order: Order, said: list[str]) -> None:
    assert port.outputs(order) is None
    assert port.up(order, said.append) == {"api": "https://127.0.0.1:6443"}
    assert "making cluster-green" in said
    assert port.outputs(order) == {"api": "https://127.0.0.1:6443"}
    port.down(order, said.append)
    assert port.outputs(order) is None


def test_up_and_down_may_be_repeated(port: Provisioner, order: Order, said: list[str]) -> None:
    assert port.up(order, said.append) == port.up(order, said.append)
    port.down(order, said.append)
    port.down(order, said.append)


def test_a_command_gets_its_placeholders_and_its_environment(tmp_path: Path, order: Order, said: list[str]) -> None:
    provisioner(tmp_path, 'echo "$1 $2 $BENNU_GROUP $BENNU_COLOUR $BENNU_CLUSTER $BENNU_ROTATION"').up(order, said.append)
    assert said == ["green --group=prod/us-east-1 prod/us-east-1 green cluster-green prod-us-east-1-7"]


def test_the_outputs_are_the_last_object_on_stdout(tmp_path: Path, order: Order, said: list[str]) -> None:
    up = """echo '{"a": "old"}'; echo '{not json'; echo '{"a": "new", "b": "1"}'; echo done; echo '{"c": "stderr"}' >&2"""
    assert provisioner(tmp_path, up).up(order, said.append) == {"a": "new", "b": "1"}
    assert len(said) == 5


def test_the_outputs_command_has_the_last_word(tmp_path: Path, order: Order, said: list[str]) -> None:
    assert provisioner(tmp_path, """echo '{"a": "1", "b": "2"}'""", outputs="""echo '{"b": "3"}'""").up(order, said.append) == {"a": "1", "b": "3"}


def test_outputs_that_are_no_strings_are_refused_by_name(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(StoppedSafe, match="no strings: port"):
        provisioner(tmp_path, """echo '{"port": 4143}'""").up(order, said.append)


def test_a_command_that_fails_stops_the_run_with_its_last_words(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(StoppedSafe, match=r"up for cluster-green failed \(exit 3\)\n(.*\n)*  quota exceeded") as caught:
        provisioner(tmp_path, "echo making; echo 'quota exceeded' >&2; exit 3").up(order, said.append)
    assert caught.value.code == 5
    assert "kept" in caught.value.changed


def test_a_program_that_is_not_there_is_a_usage_error(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(UsageError, match="no program 'eksctl-nowhere'"):
        CommandProvisioner(Commands(("eksctl-nowhere",), ("true",), folder=tmp_path)).up(order, said.append)
    with pytest.raises(UsageError, match="no 'down' command"):
        CommandProvisioner(Commands(("true",), (), folder=tmp_path)).down(order, said.append)


def test_an_unknown_placeholder_is_a_usage_error(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(UsageError, match=r"unknown placeholder \{color\}"):
        CommandProvisioner(Commands(("echo", "{color}"), (), folder=tmp_path)).up(order, said.append)


def test_nothing_is_given_to_a_shell(tmp_path: Path, order: Order, said: list[str]) -> None:
    CommandProvisioner(Commands(("echo", "$(touch pwned); `id` {colour}"), (), folder=tmp_path)).up(order, said.append)
    assert said == ["$(touch pwned); `id` green"]
    assert not (tmp_path / "pwned").exists()


def test_a_daemon_that_up_leaves_behind_is_not_waited_for(tmp_path: Path, order: Order, said: list[str]) -> None:
    try:
        provisioner(tmp_path, "sleep 60 & echo $! > pid; echo up").up(order, said.append)
        assert said == ["up"]
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_that_does_not_end_is_stopped(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(StoppedSafe, match="did not end within"):
        provisioner(tmp_path, "exec sleep 60", timeout_s=0.3).up(order, said.append)


INTERRUPTED = """
import signal, sys
number = int(sys.argv[3])
from pathlib import Path
from bennu.adapters.command import CommandProvisioner, Commands
from bennu.core.clusters import Colour, Group
from bennu.errors import Interrupted
from bennu.ports.provisioner import Order

own = []
if sys.argv[1] == "own":
    signal.signal(number, lambda number, frame: own.append(number))
if sys.argv[1] == "nohup":
    signal.signal(number, signal.SIG_IGN)
port = CommandProvisioner(Commands(("./up",), ("true",), folder=Path(sys.argv[2])))
try:
    port.up(Order(Group("prod", "us-east-1"), Colour.GREEN, "r-1"), lambda line: print(line, flush=True))
    print("ended well", own)
except Interrupted as error:
    print("interrupted", error.code, own)
"""


@contextmanager
def interruptible(tmp_path: Path, mode: str, number: int, trap: str) -> Iterator[subprocess.Popen[str]]:
    """A process whose tool has just said that it is ready."""
    script(tmp_path, f"trap '{trap}' INT\necho ready\nwhile :; do sleep 0.05; [ -e {tmp_path}/enough ] && echo enough && exit; done", "up")
    command = [sys.executable, "-c", INTERRUPTED, mode, str(tmp_path), str(int(number))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def said_next(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("mode", "trap", "last"), [("none", "echo stopping; exit 1", "interrupted {code} []"), ("own", "echo stopping; exit 0", "ended well [{number}]")]
)
def test_one_interrupt_is_passed_on_and_the_end_is_awaited(tmp_path: Path, mode: str, trap: str, last: str, number: int) -> None:
    with interruptible(tmp_path, mode, number, trap) as process:
        process.send_signal(number)
        assert said_next(process) == "stopping"
        assert said_next(process) == last.format(code=128 + number, number=int(number))
        assert process.wait(10) == 0


def test_a_second_signal_is_not_passed_on(tmp_path: Path) -> None:
    """terraform gives up its state at the second interrupt."""
    with interruptible(tmp_path, "own", signal.SIGHUP, "echo stopping") as process:
        process.send_signal(signal.SIGHUP)
        assert said_next(process) == "stopping"
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGHUP)
        (tmp_path / "enough").touch()
        assert said_next(process) == "enough"


def test_a_hang_up_that_is_ignored_does_not_reach_the_tool(tmp_path: Path) -> None:
    with interruptible(tmp_path, "nohup", signal.SIGHUP, "echo stopping") as process:
        process.send_signal(signal.SIGHUP)
        (tmp_path / "enough").touch()
        assert said_next(process) == "enough"
        assert said_next(process) == "ended well []"


def test_outside_the_main_thread_no_handler_is_installed(tmp_path: Path, order: Order, said: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    worker = threading.Thread(target=lambda: provisioner(tmp_path, "echo up").up(order, said.append))
    worker.start()
    worker.join(10)
    assert said == ["up"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_run_has_the_code_of_its_signal() -> None:
    assert Interrupted(signal.SIGTERM, "x", changed="", next_step="").code == 143
