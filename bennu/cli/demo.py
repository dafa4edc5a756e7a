"""``bennu lab demo``: whole rotations in a lab of its own, driven by the same command line that an operator types, judged from outside.

The rotation runs as a child process; this one only supervises, so that whatever ends the child, Ctrl-C and kill -9 included, the lab's processes are ended here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType

from bennu import wiring
from bennu.cli.output import Format, shown
from bennu.core.clusters import Colour
from bennu.core.standing import Span
from bennu.core.states import State
from bennu.core.status import rotation_view
from bennu.errors import BennuError, Interrupted, UsageError
from bennu.lab import audit as auditing
from bennu.lab import ledgers, world
from bennu.lab.places import LabDir

EMULATED = (
    "Kubernetes API servers, kubelets and nodes",
    "Flux, Linkerd's control plane, service mirror and gateway, ExternalDNS, cert-manager, secret store",
    "the Prometheus query API (its samples are of traffic that really flowed)",
    "the cloud: load balancers and volumes",
)
REAL = ("Git over HTTP", "Valkey and its replication", "TCP, TLS and DNS messages on loopback", "the users, their ledger, and every request they sent")


@dataclass(frozen=True)
class Lasted:
    """A state and its seconds."""

    state: State
    seconds: float


@dataclass(frozen=True)
class Made:
    """A commit of the rotation."""

    id: str
    subject: str


@dataclass(frozen=True)
class RotationReport:
    """One rotation as it was seen from outside. ``new_processes`` lived at the target and not before; ``left`` still live of the source's."""

    rotation: str
    source: str
    target: str
    seconds: float
    states: tuple[Lasted, ...]
    commits: tuple[Made, ...]
    audit: auditing.Audit
    bennu_pause_ms: float | None
    bennu_pause_predicted_ms: float | None
    clients: auditing.Waits
    clients_before: auditing.Waits
    new_processes: int
    ended_processes: int
    faults: tuple[str, ...]


@dataclass(frozen=True)
class DemoReport:
    """The whole demo."""

    policy: str
    provisioner: str
    lab_up_seconds: float
    memory_mb: float
    rotations: tuple[RotationReport, ...]
    seconds: float
    processes_ended: int
    emulated: tuple[str, ...] = EMULATED
    real: tuple[str, ...] = REAL

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is not as it must be."""
        return tuple(fault for one in self.rotations for fault in one.faults)


class _Signals:
    """The first signal is passed to the child, or ends the demo where none runs; a second one is passed on as well. The teardown is never cut short."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[str] | None = None
        self.number = 0
        self.closing = False

    def take(self, number: int, frame: FrameType | None) -> None:
        """As a handler."""
        self.number = number
        if self.closing:
            return
        if self.child is not None:
            self.child.send_signal(number)
        else:
            raise self.interrupted()

    def interrupted(self) -> Interrupted:
        """As an error, with the exit code that belongs to it."""
        return Interrupted(self.number, "the demo was stopped", changed="its lab is gone with all its processes", next_step="make demo")


@contextmanager
def _handled(signals: _Signals) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signals.take) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(provisioner: str, rotations: int, policy: str, output: Format) -> None:
    """The demo. Raises BennuError where anything is not as it must be, after everything was printed and ended."""
    kind = _provisioner(provisioner)
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="bennu-demo-"))
    lab, signals = LabDir(root / "lab"), _Signals()
    environ = {**os.environ, "XDG_STATE_HOME": str(root / "state"), **_identity()}
    ended, reports, up_s, memory = 0, list[RotationReport](), 0.0, 0.0
    with _handled(signals):
        try:
            _say(
                f"A lab of its own, policy {policy}"
                + (" (times scaled down; --policy spec runs the real windows)" if policy == "lab" else "")
                + f", {kind} provisions"
            )
            up = time.monotonic()
            world.start(lab.root, "demo", world.Wanted("blue", kind == "terraform"), lambda line: _say(f"  {line}"))
            up_s = time.monotonic() - up
            for _ in range(rotations):
                reports.append(_rotation(lab, policy, environ, signals))
                memory = max(memory, world.status(lab).memory_mb)
        finally:
            signals.closing = True
            ended = world.stop(lab)
            left = auditing.strays(lab, ())
            shutil.rmtree(root, ignore_errors=True)
            _say(f"{ended} processes of the lab ended" + (f"; STILL ALIVE: {'; '.join(left)}" if left else ", none left"))
    report = DemoReport(policy, kind, round(up_s, 1), memory, tuple(reports), round(time.monotonic() - began, 1), ended)
    sys.stdout.write(_text(report) if output is Format.TEXT else shown(report, output))
    if signals.number:
        raise signals.interrupted()
    if report.faults or left:
        raise BennuError("; ".join([*report.faults, *left]), changed="the lab is gone", next_step="'bennu lab up' keeps one to look at")


def _rotation(lab: LabDir, policy: str, environ: Mapping[str, str], signals: _Signals) -> RotationReport:
    here = wiring.session(wiring.Options(repo=lab.root / "fleet", policy=policy, environ=environ))
    rotation = here.proposed("", ())
    source, target = rotation.source, rotation.target
    before, head = auditing.machine(), here.systems.repository.head()
    old = {p.pid: before.get(p.pid) for p in world.processes(lab) if p.name.startswith(f"{source}/")}
    if lab.cluster(target.value).exists or any(f"clusters/{target}" in command for command in auditing.commands().values() if str(lab.root) in command):
        raise BennuError(f"cluster {target} exists before its rotation")
    began = time.monotonic()
    _driven(lab, policy, environ, signals)
    seconds = time.monotonic() - began
    standing = here.standing()
    now = auditing.machine()
    fresh = [p for p in world.processes(lab) if p.name.startswith(f"{target}/")]
    faults = [f"{p.name} lived before S1" for p in fresh if before.get(p.pid) == now.get(p.pid)]
    faults += [f"a process of {source} outlived S8: {pid}" for pid, started in old.items() if started is not None and now.get(pid) == started]
    faults += [f"not known to the lab: {one}" for one in auditing.strays(lab, [p.pid for p in world.processes(lab)])]
    found = auditing.audited(lab, target.value)
    faults += [f"{len(found.lost)} acknowledged writes are lost"] if found.lost else []
    faults += [f"{name} ran in {a} and {b} at once for {s:.1f} s" for name, a, b, s in found.overlaps]
    faults += [] if standing.state is State.IDLE_STABLE and here.active() is target else [f"the group is in {standing.state}, {here.active()} is the master"]
    clients, quiet = _clients(lab, standing.spans)
    pause = rotation_view(standing).switchover.pause
    return RotationReport(
        rotation=standing.rotation,
        source=source.value,
        target=target.value,
        seconds=round(seconds, 1),
        states=tuple(Lasted(span.state, _seconds(span)) for span in standing.spans),
        commits=tuple(Made(one.id, one.subject) for one in reversed(here.systems.repository.log(since=head))),
        audit=found,
        bennu_pause_ms=pause.ms,
        bennu_pause_predicted_ms=pause.predicted_ms,
        clients=clients,
        clients_before=quiet,
        new_processes=len(fresh),
        ended_processes=len(old),
        faults=tuple(faults),
    )


def _driven(lab: LabDir, policy: str, environ: Mapping[str, str], signals: _Signals) -> None:
    """``bennu rotate start`` as an operator types it. Raises Interrupted, or BennuError with its exit code."""
    command = [sys.executable, "-m", "bennu", "rotate", "start", "--yes", "--no-input", "--auto-promote", "--policy", policy, "--repo", str(lab.root / "fleet")]
    _say("$ bennu rotate start --yes --auto-promote")
    # A session of its own: a terminal's Ctrl-C reaches it through us, once, and not beside us.
    signals.child = subprocess.Popen(
        [*command, "-o", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=dict(environ), start_new_session=True
    )
    try:
        signals.child.communicate()
    finally:
        code, signals.child = signals.child.returncode, None
    if signals.number:
        raise signals.interrupted()
    if code:
        raise BennuError(f"the rotation ended with exit code {code}", changed="the lab is gone", next_step="'bennu lab up' keeps one to look at")


def _clients(lab: LabDir, spans: tuple[Span, ...]) -> tuple[auditing.Waits, auditing.Waits]:
    """What the users saw in S6, and in as long a time before it."""
    lines = ledgers.read(lab.ledgers / "writes.jsonl")
    begin, end = next(((_at(span.begin), _at(span.end)) for span in spans if span.state is State.SWITCHOVER_LOCKED), (0.0, 0.0))
    return auditing.waits(lines, begin, end), auditing.waits(lines, begin - (end - begin), begin)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _seconds(span: Span) -> float:
    return round(_at(span.end) - _at(span.begin), 1) if span.end else 0.0


def _provisioner(wanted: str) -> str:
    there = shutil.which("terraform") or shutil.which("tofu")
    if wanted == "auto":
        return "terraform" if there else "command"
    if wanted not in ("command", "terraform"):
        raise UsageError(f"there is no provisioner {wanted!r}", next_step="choose auto, command or terraform")
    if wanted == "terraform" and not there:
        raise UsageError("neither terraform nor tofu is on PATH", next_step="install one, or choose --provisioner command")
    return wanted


def _identity() -> dict[str, str]:
    """Who commits: a machine that is new may have no Git identity, and the demo's commits are nobody's."""
    return {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in (("NAME", "Bennu demo"), ("EMAIL", "demo@lab.test"))}


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _text(report: DemoReport) -> str:
    lines: list[str] = []
    for one in report.rotations:
        lines += ["", f"Rotation {one.rotation}: {one.source} → {one.target} in {one.seconds:.1f} s"]
        lines += [f"  S{lasted.state.number} {lasted.state:<18}{lasted.seconds:6.1f} s" for lasted in one.states]
        lines.append(f"  {len(one.commits)} commits:")
        lines += [f"    {made.id[:8]} {made.subject}" for made in one.commits]
        lines.append(f"  writes: {one.audit.acknowledged} acknowledged so far, {len(one.audit.lost)} lost (read back from {Colour(one.target).cluster})")
        predicted = f" (predicted {one.bennu_pause_predicted_ms:.1f})" if one.bennu_pause_predicted_ms is not None else ""
        pause = f"{one.bennu_pause_ms:.1f} ms by Bennu's clock{predicted}; " if one.bennu_pause_ms is not None else ""
        lines.append(
            f"  write pause: {pause}the users waited at most {one.clients.longest_wait_ms:.1f} ms for a write (median {one.clients.median_wait_ms:.1f}), "
            f"{one.clients.longest_silence_ms:.1f} ms without any acknowledgement (before: {one.clients_before.longest_silence_ms:.1f})"
        )
        lines.append(f"  ran twice: {'; '.join(f'{name} {s:.1f} s' for name, _, _, s in one.audit.overlaps) or 'nothing (consumer and CronJob ledgers)'}")
        lines.append(f"  processes: {one.new_processes} of {one.target} are new since S1, none of {one.source}'s {one.ended_processes} outlived S8")
        lines += [f"  WRONG: {fault}" for fault in one.faults]
    lines += [
        "",
        f"{report.seconds:.0f} s in all; the lab was up in {report.lab_up_seconds:.1f} s ({report.memory_mb:.0f} MB); policy {report.policy}, provisioner {report.provisioner}",
        "emulated: " + "; ".join(report.emulated),
        "real:     " + "; ".join(report.real),
        "",
    ]
    return "\n".join(lines)
