"""What whole rotations cost the users of the lab: red → blue → green …, each to its end, the pointer through the Kubernetes API, an app that watches it.

Repeat it with::

    python -m benchmarks.lab_rotations [--rotations 30] [--full-canary] [--out FILE]

Everything is judged from outside: the users' own ledger says when each payment was acknowledged and how long its user had waited for it, counted from the first attempt. The pause of a
rotation is the longest such wait in S6, whole, from its first step to its last; *noise* is the same of the same users in an equally long time just before. After each rotation every
payment acknowledged so far is read back from the new master. ``--out`` is written after each, so that a run that is cut short leaves what it has measured.

To keep thirty rotations within a quarter of an hour the canary is shortened by settings of ``bennu.yaml`` (fewer weights, a shorter window; the JSON says so). S6 runs as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.judge import spread
from bennu import wiring
from bennu.core.standing import Standing
from bennu.core.states import State
from bennu.core.status import rotation_view
from bennu.lab import audit, ledgers, traffic, world
from bennu.lab.places import LabDir

AIM_MS = 250.0
SHORT = {"weights": [50, 90], "window": "2s"}
_RESUMES = 3  # of one rotation: on a busy machine a canary may fail honestly
_IDENTITY = {f"GIT_{role}_{part}": text for role in ("AUTHOR", "COMMITTER") for part, text in (("NAME", "A benchmark"), ("EMAIL", "bench@lab.test"))}


@dataclass(frozen=True)
class Seen:
    """One rotation, from outside. ``noise_*`` are of the equally long time before S6, ``states`` seconds in each, ``resumed`` exit codes after which it went on.

    ``begun_after_intent_s`` is when the longest wait began, counted from the critical section's intent: one that began far from it is not the hand-over's.
    """

    rotation: str
    source: str
    target: str
    seconds: float
    s6_seconds: float
    pause_ms: float
    begun_after_intent_s: float | None
    silence_ms: float
    median_wait_ms: float
    noise_ms: float
    noise_silence_ms: float
    writes_in_s6: int
    states: Mapping[str, float]
    predicted_ms: float | None
    measured_ms: float | None
    acknowledged: int
    lost: int
    ran_twice: tuple[str, ...]
    resumed: tuple[int, ...] = ()


class Failed(Exception):
    """A rotation that did not come to its end: its exit code and last words."""


@dataclass(frozen=True)
class Rehearsal:
    """A lab, and the command line in it."""

    lab: LabDir
    environ: Mapping[str, str]

    def rotated(self) -> Seen:
        """One rotation to the next colour. Raises Failed."""
        here = wiring.session(wiring.Options(repo=self._fleet, environ=self.environ))
        rotation = here.proposed("", ())
        begun = time.monotonic()
        resumed = self._driven()
        seconds = time.monotonic() - begun
        standing = here.standing()
        if standing.state is not State.IDLE_STABLE or here.active() is not rotation.target:
            raise Failed(f"the group is in {standing.state}, {here.active()} is the master")
        found = audit.audited(self.lab, rotation.target.value)
        twice = tuple(f"{name} in {a} and {b} for {s:.1f} s" for name, a, b, s in found.overlaps)
        figures = observed(ledgers.read(self.lab.ledgers / "writes.jsonl"), standing)
        return Seen(
            standing.rotation,
            rotation.source.value,
            rotation.target.value,
            round(seconds, 1),
            **figures,
            acknowledged=found.acknowledged,
            lost=len(found.lost),
            ran_twice=twice,
            resumed=resumed,
        )

    def _driven(self) -> tuple[int, ...]:
        """As an operator types it; what stops in a safe state is resumed, a few times."""
        codes: list[int] = []
        for words in (("start", "--yes"), *(("resume",),) * _RESUMES):
            argv = [sys.executable, "-m", "bennu", "rotate", *words, "--no-input", "--auto-promote", "--repo", str(self._fleet)]
            ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(self.environ), check=False)
            if ran.returncode == 0:
                return tuple(codes)
            codes.append(ran.returncode)
            print(f"  exit {ran.returncode}: {ran.stderr[-400:]}", file=sys.stderr, flush=True)
            if ran.returncode not in (5, 10):
                break
        raise Failed(f"exit {codes[-1]}: {ran.stderr[-400:]}")

    @property
    def _fleet(self) -> Path:
        return self.lab.root / "fleet"


def observed(lines: Sequence[Mapping[str, Any]], standing: Standing) -> dict[str, Any]:
    """What the users saw in S6 (the worst, where it was entered more than once), and in as long a time before it; Bennu's own figures."""
    spans = [(_at(span.begin), _at(span.end)) for span in standing.spans if span.state is State.SWITCHOVER_LOCKED and span.end]
    inside = [audit.waits(lines, begin, end) for begin, end in spans]
    before = [audit.waits(lines, begin - (end - begin), begin) for begin, end in spans]
    pause = rotation_view(standing).switchover.pause
    longest = max((line for line in lines if any(begin <= float(line["t"]) <= end for begin, end in spans)), key=lambda line: float(line["ms"]))
    intent = standing.facts.get("intent.at")
    return {
        "s6_seconds": round(sum(end - begin for begin, end in spans), 1),
        "pause_ms": max(one.longest_wait_ms for one in inside),
        "begun_after_intent_s": round(float(longest["t"]) - float(longest["ms"]) / 1000 - _at(intent), 3) if intent else None,
        "silence_ms": max(one.longest_silence_ms for one in inside),
        "median_wait_ms": max(one.median_wait_ms for one in inside),
        "noise_ms": max(one.longest_wait_ms for one in before),
        "noise_silence_ms": max(one.longest_silence_ms for one in before),
        "writes_in_s6": sum(one.writes for one in inside),
        "states": {f"S{span.state.number}": round(_at(span.end) - _at(span.begin), 1) for span in standing.spans if span.end},
        "predicted_ms": pause.predicted_ms,
        "measured_ms": pause.ms,
    }


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@contextmanager
def lab_of_its_own(*, short: bool) -> Iterator[Rehearsal]:
    """A lab that is gone afterwards, with all its processes, whatever ends this one."""
    # As Ctrl-C: through the blocks below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="bennu-bench-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        lab = LabDir(root / "lab")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("BENNU_", "GIT_"))}
        try:
            world.start(lab.root, "bench", world.Wanted("red"), lambda line: print(f"  {line}", file=sys.stderr, flush=True))
            if short:
                _shorten(lab.root / "fleet" / "bennu.yaml")
            yield Rehearsal(lab, {**kept, **_IDENTITY, "XDG_STATE_HOME": str(root / "state")})
        finally:
            world.stop(lab)


def _shorten(file: Path) -> None:
    """The canary, by settings that anybody may set; nothing else."""
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    for group in settings["groups"].values():
        group["canary"] |= SHORT
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def rendered(seen: Sequence[Seen], failed: str, *, short: bool) -> dict[str, object]:
    """The JSON: no path and no name of a machine in it."""
    pause = spread([one.pause_ms for one in seen])
    named = {name: spread([getattr(one, name) for one in seen]) for name in ("silence_ms", "noise_ms", "noise_silence_ms")}
    own = {name: spread([value for one in seen if (value := getattr(one, name)) is not None]) for name in ("predicted_ms", "measured_ms")}
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "policy": "lab",
        "settings_changed": {"canary": SHORT} if short else {},
        "users": traffic.USERS,
        "rotations": len(seen),
        "failed": failed,
        "resumed": sum(bool(one.resumed) for one in seen),
        "seconds_a_rotation": spread([one.seconds for one in seen]),
        "aim": {"p99_of_pause_ms": AIM_MS, "met": bool(seen) and pause["p99"] <= AIM_MS},
        "pause_ms": pause,
        **named,
        **own,
        "acknowledged_writes": seen[-1].acknowledged if seen else 0,
        # Each audit reads all payments since the lab began: the last one stands for all but what an earlier one found.
        "lost": max((one.lost for one in seen), default=0),
        "ran_twice": sorted({twice for one in seen for twice in one.ran_twice}),
        "each": [asdict(one) for one in seen],
    }


def main() -> int:
    """Parse, rotate, write; 1 where a rotation failed, a write was lost or something ran twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rotations", type=int, default=30)
    parser.add_argument("--full-canary", action="store_true", help="the lab's own weights and windows (40 s and more a rotation)")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    seen: list[Seen] = []
    failed = ""
    with lab_of_its_own(short=not given.full_canary) as rehearsal:
        while len(seen) < given.rotations and not failed:
            try:
                one = rehearsal.rotated()
            except Failed as error:
                failed = str(error)
            else:
                seen.append(one)
                print(
                    f"  {len(seen)}/{given.rotations} {one.source} → {one.target} {one.seconds:.0f} s: pause {one.pause_ms} ms (noise {one.noise_ms}), {one.lost} lost",
                    file=sys.stderr,
                    flush=True,
                )
            text = json.dumps(rendered(seen, failed, short=not given.full_canary), indent=1)
            if given.out:
                given.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(bool(failed) or any(one.lost or one.ran_twice for one in seen))


if __name__ == "__main__":
    sys.exit(main())
