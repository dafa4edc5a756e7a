"""A rotation in the lab that is killed at one failpoint after another, gone on with each time, and judged from outside.

``python -m tests.chaos.chain`` (``make chaos``) does it for every place of a rotation. Each process dies at the first place at which none died before; the next one has the same home, or (every
other time) is another operator's on a fresh clone, who takes the lock over. Users write all the while, and both Redis servers are asked for their role.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import redis

from tests.chaos.struck import Orders
from tests.scenario.redis_pods import server
from tests.scenario.rehearsal import LONG_S, Rehearsal, rehearsal

ROOT = Path(__file__).parents[2]
TRIES = 4  # of a run that stops by itself, resumable, on a busy machine


@dataclass
class Figures:
    """What came of a chain."""

    rotation: int
    places: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)  # runs that ended by themselves before the end, resumable
    looks: int = 0
    masters: list[str] = field(default_factory=list)  # looks that found two
    writes: int = 0
    lost: int = 0
    twice: int = 0
    commits: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def line(self) -> str:
        """For the screen."""
        return (
            f"rotation {self.rotation}: {len(self.places)} kills, {len(self.stopped)} runs that stopped, {self.writes} writes, {self.lost} lost, "
            f"{self.twice} ran twice, two masters in {len(self.masters)} of {self.looks} looks, {self.seconds:.0f} s"
        )


class Watch:
    """Asks both servers for their role, again and again, until it is over: two masters at one time are two in a look whose first was still one afterwards."""

    def __init__(self, here: Rehearsal, colours: tuple[str, str]) -> None:
        self._here, self._colours = here, colours
        self._clients: dict[str, redis.Redis] = {}
        self._over, self.looks, self.found = threading.Event(), 0, list[str]()

    def _master(self, colour: str) -> bool:
        try:
            client = self._clients.get(colour)
            if client is None:
                client = self._clients[colour] = server(self._here, colour)
            return bool(client.info("replication")["role"] == "master")
        except Exception:  # no such cluster yet, or no more
            self._clients.pop(colour, None)
            return False

    def _looking(self) -> None:
        first, second = self._colours
        while not self._over.wait(0.02):
            self.looks += 1
            if self._master(first) and self._master(second) and self._master(first):
                self.found.append(f"look {self.looks}")

    @contextmanager
    def open(self) -> Iterator[None]:
        """Watch meanwhile."""
        thread = threading.Thread(target=self._looking, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30)


def struck(here: Rehearsal, orders: Orders, home: Path, operator: str) -> tuple[int, str]:
    """One process to its end: its code (-9: it died as ordered), and what it said."""
    environ = {**here.environ, **orders.environ(), "XDG_STATE_HOME": str(home), "LOGNAME": operator, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "tests.chaos.struck"]
    ran = subprocess.run(words, cwd=here.fleet, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode, ran.stderr


def chained(here: Rehearsal, orders: Orders, *, minutes: float = 0) -> Figures:
    """Kill and go on until the rotation is over; after *minutes* (0: never) nobody is killed any more."""
    code = 6 if orders.back else 0
    figures, begin = Figures(orders.rotation), time.monotonic()
    home, number, operator = here.root / "home-0", 0, "ann"
    watch = Watch(here, (orders.source, orders.target))
    with watch.open():
        while True:
            if minutes and time.monotonic() - begin > 60 * minutes and orders.met:
                print(f"after {minutes:g} minutes nobody is killed any more", flush=True)
                orders = replace(orders, met="")
            ended, said = struck(here, orders, home, operator)
            if ended == -9:
                figures.places = Path(orders.met).read_text(encoding="utf-8").splitlines()
                number += 1
                if number % 2:
                    # Another laptop, another operator: the repository is all that is left.
                    shutil.rmtree(home, ignore_errors=True)
                    home, operator = here.root / f"home-{number}", f"op{number}"
                print(f"{number:4} {time.monotonic() - begin:6.0f} s  {figures.places[-1]}  → {'fresh clone' if number % 2 else 'same home'}", flush=True)
                continue
            if ended == code:
                break
            figures.stopped.append(said[-600:])
            print(f"     stopped by itself ({ended}): {said[-600:]}", flush=True)
            assert ended in (5, 8) and len(figures.stopped) < TRIES, said
    figures.looks, figures.masters = watch.looks, watch.found
    found = here.assert_at_rest(orders.source if orders.back else orders.target)
    figures.writes, figures.lost, figures.twice = found.acknowledged, len(found.lost), len(found.overlaps)
    figures.commits = commits(here)
    figures.seconds = time.monotonic() - begin
    return figures


def commits(here: Rehearsal) -> dict[str, int]:
    """How often each subject stands on the branch."""
    here.tree()
    lines = subprocess.run(["git", "log", "--format=%s", "FETCH_HEAD"], cwd=here.fleet, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line: lines.count(line) for line in sorted(set(lines))}


def main() -> int:
    """``make chaos``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--from", dest="met", type=Path, help="a folder that keeps the places that were met: a later run with it goes on from there")
    parser.add_argument("--phases", nargs="*", default=[], help="all places of these phases' steps, and one of each other phase's")
    parser.add_argument("--minutes", type=float, default=0, help="kill nobody any more after so many, and let the rotation end")
    parser.add_argument("--back", action="store_true", help="the way back from S7 instead of the way forward")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bennu-chaos-") as folder, rehearsal(Path(folder)) as here:
        met = (given.met or Path(folder) / "met") / ("back" if given.back else "forward")
        met.parent.mkdir(parents=True, exist_ok=True)
        met.touch()
        if given.back:
            assert here.start("--auto-promote", "--stop-after", "PROMOTED").code == 10
        figures = chained(here, Orders(1, "blue", "green", str(met.absolute()), back=given.back, phases=tuple(given.phases)), minutes=given.minutes)
    print(figures.line())
    if given.out:
        given.out.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")
    return 1 if figures.lost or figures.twice or figures.masters else 0


if __name__ == "__main__":
    sys.exit(main())
