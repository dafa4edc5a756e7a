"""Provisions with the user's own commands (eksctl, kops, scripts; the lab's too), and runs any such tool in a way that stops cleanly.

A command is a list of arguments, never a shell line. It must be idempotent: ``up`` on a cluster that exists reports its outputs, ``down`` on none succeeds. Bennu reads no
state of such a tool; what it printed last is all it knows.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bennu.errors import Interrupted, StoppedSafe, UsageError
from bennu.ports.provisioner import Order, Talk

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_LAST_LINES = 30  # of a failed tool, shown in the error
# A signal that comes just before the wait for a line begins does not end it, and Python's handlers run between two waits alone: without an end of its own the wait would hold it back until
# the tool says something (reproduced: once in some ten tries that hit that instant).
_LOOK_S = 0.5
_GRACE_S = 30.0  # between the polite signal and the last one
KEPT = "what the tool made so far is kept"


@dataclass(frozen=True)
class Tool:
    """A process to run: ``label`` names it for people. ``env`` is added to this process' environment."""

    label: str
    argv: tuple[str, ...]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 3600.0


@dataclass(frozen=True)
class Ran:
    """How it ended: the exit status, all lines of stdout, and the last lines of both streams in the order they came."""

    status: int
    stdout: tuple[str, ...]
    tail: tuple[str, ...]


@dataclass(frozen=True)
class Commands:
    """Templates of argument lists; ``{colour}``, ``{env}``, ``{region}``, ``{cluster}`` and ``{group}`` are filled in. ``outputs`` may be empty."""

    up: tuple[str, ...]
    down: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    folder: Path = Path()
    timeout_s: float = 3600.0


class CommandProvisioner:
    """The port ``Provisioner`` by configured commands."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def up(self, order: Order, talk: Talk) -> Mapping[str, str]:
        """See the port. Outputs: the last line of stdout that is a JSON object, with those of the ``outputs`` command over them."""
        ran = self._checked("up", self._commands.up, order, talk)
        found = _last_object(ran.stdout)
        return {**_strings(found or {}, "up"), **(self.outputs(order) or {})}

    def outputs(self, order: Order) -> Mapping[str, str] | None:
        """See the port. None where no ``outputs`` command is configured, or it fails, or prints no JSON object."""
        if not self._commands.outputs:
            return None
        ran = run(self._tool("outputs", self._commands.outputs, order), lambda line: None)
        found = _last_object(ran.stdout) if ran.status == 0 else None
        return None if found is None else _strings(found, "outputs")

    def knows(self, order: Order) -> bool | None:
        """See the port."""
        return self.outputs(order) is not None if self._commands.outputs else None

    def down(self, order: Order, talk: Talk) -> None:
        """See the port."""
        self._checked("down", self._commands.down, order, talk)

    def _checked(self, verb: str, template: Sequence[str], order: Order, talk: Talk) -> Ran:
        ran = run(self._tool(verb, template, order), talk)
        if ran.status != 0:
            raise failed(f"the provisioner's {verb} for {order.colour.cluster}", ran)
        return ran

    def _tool(self, verb: str, template: Sequence[str], order: Order) -> Tool:
        if not template:
            raise UsageError(f"the provisioner has no {verb!r} command", next_step=f"set provisioner.{verb} in bennu.yaml")
        argv = tuple(filled(part, order) for part in template)
        return Tool(f"the provisioner's {verb}", argv, self._commands.folder, variables(order), self._commands.timeout_s)


def variables(order: Order) -> dict[str, str]:
    """What every tool is told through its environment."""
    return {"BENNU_GROUP": str(order.group), "BENNU_COLOUR": order.colour.value, "BENNU_CLUSTER": order.colour.cluster, "BENNU_ROTATION": order.rotation}


def filled(template: str, order: Order) -> str:
    """*template* with its placeholders filled in (their values are validated labels). Raises UsageError for one that isn't known."""
    known = {"colour": order.colour.value, "env": order.group.env, "region": order.group.region, "cluster": order.colour.cluster, "group": str(order.group)}

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise UsageError(f"unknown placeholder {match[0]} in {template!r}", next_step=f"known: {', '.join('{' + name + '}' for name in known)}")
        return known[match[1]]

    return _PLACEHOLDER.sub(value, template)


def failed(what: str, ran: Ran) -> StoppedSafe:
    """The error for a tool that ended with another status than 0, with its last lines."""
    ended = f"exit {ran.status}" if ran.status >= 0 else f"signal {-ran.status}"
    said = "".join(f"\n  {line}" for line in ran.tail)
    return StoppedSafe(f"{what} failed ({ended}){said}", changed=KEPT, next_step="mend the cause, then bennu rotate resume")


def run(tool: Tool, talk: Talk) -> Ran:
    """Run *tool* to its end, each line handed to *talk* as it comes (in the caller's thread).

    The first SIGINT, SIGTERM or SIGHUP of this process is passed on as one SIGINT, and the tool's end is awaited; the handler that was installed before is called as well.
    Raises UsageError (no such program), StoppedSafe (time-out), Interrupted (ended by that signal).
    """
    with _forwarding() as passed:
        passed.process = process = _started(tool)
        passed.on()  # one that came while it was being started
        lines: queue.Queue[tuple[str, str] | None] = queue.Queue()
        threading.Thread(target=_collect, args=(process, lines), name="bennu-tool", daemon=True).start()
        stdout: list[str] = []
        tail: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            for stream, line in _until(lines, time.monotonic() + tool.timeout_s):
                if stream == "out":
                    stdout.append(line)
                tail.append(line)
                talk(line)
        except queue.Empty:
            _end(process)
            raise StoppedSafe(
                f"{tool.label} did not end within {tool.timeout_s:.0f} s and was stopped", changed=KEPT, next_step="bennu rotate resume"
            ) from None
        except BaseException:
            _end(process)
            raise
    status = process.wait()
    if passed.received and status != 0:
        raise Interrupted(passed.received[0], f"{tool.label} was interrupted", changed=KEPT, next_step="bennu rotate resume")
    return Ran(status, tuple(stdout), tuple(tail))


def _started(tool: Tool) -> subprocess.Popen[str]:
    program = tool.argv[0]
    path = str(tool.folder / program) if "/" in program else program
    found = shutil.which(path)
    if found is None:
        raise UsageError(f"{tool.label}: there is no program {program!r}", next_step="install it, or correct provisioner in bennu.yaml")
    try:
        return subprocess.Popen(
            [str(Path(found).absolute()), *tool.argv[1:]],
            cwd=tool.folder,
            env={**os.environ, **tool.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # A group of its own: a Ctrl-C in the terminal reaches it once, through us, and not twice.
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"{tool.label}: {program!r} cannot be run: {error.strerror}", next_step="correct provisioner in bennu.yaml") from None


def _collect(process: subprocess.Popen[str], lines: queue.Queue[tuple[str, str] | None]) -> None:
    """Feeds both streams into the queue; None when the process has ended (not when its streams have: a daemon that it left behind may keep them open)."""
    readers = []
    for name, stream in (("out", process.stdout), ("err", process.stderr)):
        assert stream is not None  # noqa: S101  # both are pipes
        reader = threading.Thread(target=_read, args=(name, stream, lines), name=f"bennu-tool-{name}", daemon=True)
        reader.start()
        readers.append(reader)
    process.wait()
    for reader in readers:
        reader.join(timeout=1.0)
    lines.put(None)


def _read(name: str, stream: IO[str], lines: queue.Queue[tuple[str, str] | None]) -> None:
    with contextlib.suppress(ValueError):  # closed under us
        for line in stream:
            lines.put((name, line.rstrip("\n")))


def _until(lines: queue.Queue[tuple[str, str] | None], end: float) -> Iterator[tuple[str, str]]:
    """The lines as they come, until the process ended. Raises queue.Empty at *end*."""
    while True:
        try:
            item = lines.get(timeout=max(0.0, min(end - time.monotonic(), _LOOK_S)))
        except queue.Empty:
            if time.monotonic() >= end:
                raise
            continue
        if item is None:
            return
        yield item


def _end(process: subprocess.Popen[str]) -> None:
    """Ask it to stop, then make it."""
    for number, grace in ((signal.SIGINT, _GRACE_S), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
        return


@dataclass
class _Passed:
    """The signals received, and whether the tool was told: once, since a second interrupt has terraform give up its state."""

    process: subprocess.Popen[str] | None = None
    received: list[int] = field(default_factory=list)
    told: bool = False

    def on(self) -> None:
        """Tell the tool, if there is something to tell and somebody to be told."""
        if self.received and self.process is not None and not self.told:
            self.told = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)


@contextmanager
def _forwarding() -> Iterator[_Passed]:
    """While open, the first SIGINT, SIGTERM or SIGHUP (if that was not ignored, as by nohup) goes to the tool as one SIGINT. Outside the main thread: nothing is installed."""
    passed = _Passed()
    if threading.current_thread() is not threading.main_thread():
        yield passed
        return
    before: dict[int, Callable[..., object] | int | None] = {}

    def handler(number: int, frame: object) -> None:
        passed.received.append(number)
        passed.on()
        previous = before.get(number)
        # Python's own would raise in the middle of the waiting; whoever installed one of theirs wants to know.
        if callable(previous) and previous is not signal.default_int_handler:
            previous(number, frame)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.getsignal(number)
            signal.signal(number, handler)
    try:
        yield passed
    finally:
        for installed, previous in before.items():
            signal.signal(installed, previous)


def _last_object(lines: Sequence[str]) -> Mapping[str, object] | None:
    for line in reversed(lines):
        if line.lstrip().startswith("{"):
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    return found
    return None


def _strings(found: Mapping[str, object], verb: str) -> dict[str, str]:
    wrong = [name for name, value in found.items() if not isinstance(value, str)]
    if wrong:
        raise StoppedSafe(
            f"the provisioner's {verb} printed outputs that are no strings: {', '.join(sorted(wrong))}",
            changed=KEPT,
            next_step="have it print a JSON object whose values are strings, then bennu rotate resume",
        )
    return {name: str(value) for name, value in found.items()}
