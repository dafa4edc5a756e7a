"""What a hand-over costs its clients, and whether it loses a write: Bennu's S6 and Redis' own FAILOVER in turns, on the same servers, under the same writers.

Repeat it with::

    python -m benchmarks.switchover [--runs 100] [--block 10] [--modes aof,volatile] [--tool-delay-ms 0] [--rt] [--explain 0] [--folder DIR] [--program redis-server] [--out FILE]

A run is there and back by each way. A block of runs has a fresh pair of servers, four writers as processes of their own, and ends with reading every acknowledged key from *both* servers.
The times are the clients': from the last acknowledgement of the old master to the first of the new one. Beside each stands the machine's own noise: the worst gap of the same client in the
0.3 s just before, in which nothing is handed over.

``--explain N`` keeps, of the N slowest hand-overs of Bennu's, every call of S6 beside the clients' view and what the servers noted as slow (``benchmarks/timeline.py``). ``--folder`` says on which disk the
servers work: parking and promoting each write a configuration file and wait until the disk has it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.judge import Ledger, Tally, spread
from benchmarks.servers import PASSWORD, Delayed, Server, awaited, realtime
from benchmarks.timeline import slowness, watch_slowness
from bennu.ports.redis import Address

HERE = Path(__file__).resolve().parent
_QUIET_S = 0.3  # before each hand-over: what the machine alone does to the clients
_SETTLE_S = 0.15
_WARM_S = 0.6
_SLOW_MS = 1.0  # what a server notes, where it is asked to explain
_PACE = threading.Event()  # never set: time that is meant to pass, for the writers to write in


@dataclass(frozen=True)
class Plan:
    """What is run. ``aof`` False = servers without any persistence."""

    program: str
    aof: bool
    clients: int
    rate: float
    delay_s: float
    rt: bool
    ways: tuple[str, ...]
    explain: int = 0


@dataclass
class Score:
    """What came out of one mode."""

    tallies: dict[str, Tally]
    writes: int = 0
    lost: int = 0
    missing_at_replica: int = 0
    rates: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    explained: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True)
class _Happened:
    way: str
    quiet: int
    begin: int
    end: int
    said: dict[str, Any] = field(default_factory=dict)


class Block:
    """A pair of servers with its writers, and hand-overs back and forth between them."""

    def __init__(self, plan: Plan, folder: Path, stack: ExitStack) -> None:
        self._plan, self._folder = plan, folder
        self.servers = [self._server(name, stack) for name in ("one", "two")]
        self.servers[1].follow(self.servers[0])
        self._reach = [self._way(server.address, stack) for server in self.servers]
        self._pointer = folder / "pointer"
        self._master = 0
        self._pointer.write_text(f"{self.servers[0].address.host} {self.servers[0].address.port} 0", encoding="utf-8")
        self._writers = [self._writer(number) for number in range(plan.clients)]
        stack.callback(self.stop)
        self.happened: list[_Happened] = []
        _PACE.wait(_WARM_S)

    def hand_over(self, way: str, tally: Tally) -> bool:
        """Once, by ``bennu`` or ``failover``; False where it did not succeed, and the block is over."""
        argv = [sys.executable, str(HERE / ("handover.py" if way == "bennu" else "failover.py"))]
        if way == "bennu":
            argv += [] if self._plan.aof else ["--accept-volatile"]
            argv += ["--steps"] if self._plan.explain else []
            self._watch_slowness()
        quiet = time.monotonic_ns()
        _PACE.wait(_QUIET_S)
        begin = time.monotonic_ns()
        done = subprocess.run(realtime(argv, rt=self._plan.rt), env=self._environment(), capture_output=True, text=True, timeout=90, check=False)
        _PACE.wait(_SETTLE_S)
        end = time.monotonic_ns()
        if done.returncode != 0:
            self.happened.append(_Happened(way, quiet, begin, end))
            tally.failed.append(f"exit {done.returncode}: {done.stderr[-300:]}")
            return False
        said = json.loads(done.stdout.splitlines()[-1])
        self.happened.append(_Happened(way, quiet, begin, end, {**said, **self._slowness(), "told": done.stderr.splitlines()}))
        for name, values in (("pause.predicted_ms", tally.predicted_ms), ("pause.ms", tally.measured_ms)):
            if name in said:
                values.append(float(said[name]))
        self._master = 1 - self._master
        self._synchronous()
        return True

    def stop(self) -> None:
        """End the writers; their ledgers are complete then."""
        for writer in self._writers:
            writer.terminate()
        for writer in self._writers:
            writer.wait(timeout=30)

    def judged(self, score: Score) -> None:
        """Read every acknowledged key from both servers, and tell times from the ledgers."""
        self.stop()
        self._synchronous()
        ledgers = [Ledger.read(number, self._folder / f"ledger-{number}") for number in range(self._plan.clients)]
        for number, ledger in enumerate(ledgers):
            score.writes += len(ledger.at)
            score.lost += len(ledger.missing(self._kept(self.servers[self._master], ledger)))
            score.missing_at_replica += len(ledger.missing(self._kept(self.servers[1 - self._master], ledger)))
            for name, count in json.loads((self._folder / f"ledger-{number}.errors").read_text(encoding="utf-8")).items():
                score.errors[name] = score.errors.get(name, 0) + count
        seconds = (max(ledger.at[-1] for ledger in ledgers) - min(ledger.at[0] for ledger in ledgers)) / 1e9
        score.rates.append(sum(len(ledger.at) for ledger in ledgers) / seconds)
        for one in self.happened:
            score.tallies[one.way].add(ledgers, one.quiet, one.begin, one.end)
            if "steps" in one.said:
                score.explained.append(explained(one.said, [ledger.crossing(one.begin, one.end) for ledger in ledgers]))

    def _watch_slowness(self) -> None:
        for server in self.servers if self._plan.explain else ():
            link = server.link()
            watch_slowness(link, _SLOW_MS)
            link.close()

    def _slowness(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for role, index in (("source", self._master), ("target", 1 - self._master)) if self._plan.explain else ():
            link = self.servers[index].link()
            found[role] = slowness(link)
            link.close()
        return found

    def _kept(self, server: Server, ledger: Ledger) -> list[object]:
        link, found = server.link(), []
        try:
            for start in range(0, len(ledger.sequence), 1000):
                part = ledger.sequence[start : start + 1000]
                found += link.one("MGET", *(f"w:{ledger.client}:{number}" for number in part))
        finally:
            link.close()
        return found

    def _synchronous(self) -> None:
        """The replica follows the master, link up on both sides: the next hand-over may begin."""
        master, replica = self.servers[self._master], self.servers[1 - self._master]
        awaited(lambda: replica.info().get("master_link_status") == "up" and "state=online" in master.info().get("slave0", ""), "the way back")

    def _environment(self) -> dict[str, str]:
        source, target = self._master, 1 - self._master
        found = {"POINTER": str(self._pointer), "STATE_DIR": str(self._folder / "state"), "REDIS_PASSWORD": PASSWORD}
        for side, index in (("SRC", source), ("DST", target)):
            straight, reach = self.servers[index].address, self._reach[index]
            for prefix, address in ((side, reach), (f"{side}_REPL", straight), (f"PTR_{side}", straight)):
                found |= {f"{prefix}_HOST": address.host, f"{prefix}_PORT": str(address.port)}
        return {**os.environ, **found}

    def _server(self, name: str, stack: ExitStack) -> Server:
        server = Server(self._plan.program, self._folder / name, aof=self._plan.aof, rt=self._plan.rt)
        stack.callback(server.stop)
        return server

    def _way(self, server: Address, stack: ExitStack) -> Address:
        if not self._plan.delay_s:
            return server
        way = Delayed(server, self._plan.delay_s, rt=self._plan.rt)
        stack.callback(way.stop)
        return way.address

    def _writer(self, number: int) -> subprocess.Popen[bytes]:
        argv = [sys.executable, str(HERE / "writer.py"), str(number), str(self._pointer), str(self._folder / f"ledger-{number}"), str(self._plan.rate)]
        return subprocess.Popen(realtime(argv, rt=self._plan.rt), env={**os.environ, "REDIS_PASSWORD": PASSWORD})


def explained(said: dict[str, Any], crossings: Sequence[tuple[int, int] | None]) -> dict[str, object]:
    """One hand-over: each step of S6 and each client's last and first acknowledgement, in ms from the moment when the pause was sent."""
    steps = [step for step in said["steps"] if step[0] in ("source.pause", "source.attach")]
    began = next((at for what, at, _, _ in steps if what == "source.pause"), said["steps"][0][1])
    over = next((at for what, at, _, _ in steps if what == "source.attach"), said["steps"][-1][1])
    ms = [(round((last - began) / 1e6, 2), round((first - began) / 1e6, 2)) for last, first in filter(None, crossings)]
    within = [[what, round((at - began) / 1e6, 2), took, queued] for what, at, took, queued in said["steps"] if began <= at < over]
    return {
        "client_ms": max((round(first - last, 2) for last, first in ms), default=None),
        "clients": ms,
        "steps": within,
        **{key: said[key] for key in ("pause.predicted_ms", "pause.ms", "told", "source", "target") if key in said},
    }


def measured(plan: Plan, runs: int, block: int, folder_of_all: Path | None = None) -> Score:
    """*runs* runs, there and back by each way in turns, *block* of them on one pair of servers."""
    score = Score({way: Tally() for way in plan.ways})
    for start in range(0, runs, block):
        with tempfile.TemporaryDirectory(dir=folder_of_all) as folder, ExitStack() as stack:
            pair = Block(plan, Path(folder), stack)
            for _ in range(min(block, runs - start)):
                if not all(pair.hand_over(way, score.tallies[way]) for way in plan.ways for _ in ("there", "back")):
                    break
            pair.judged(score)
        print(f"  {min(start + block, runs)}/{runs} runs, {score.writes} writes, {score.lost} lost", file=sys.stderr, flush=True)
    return score


def rendered(plan: Plan, score: Score, runs: int) -> dict[str, object]:
    """One mode for the JSON: no path and no name of a machine in it."""
    version = subprocess.run([plan.program, "--version"], capture_output=True, text=True, check=True).stdout.split(" sha")[0].strip()
    return {
        "server": version,
        "persistence": "aof, everysec" if plan.aof else "none",
        "runs": runs,
        "clients": plan.clients,
        "tool_round_trip_ms": plan.delay_s * 2000,
        "real_time_scheduling": plan.rt,
        "writes_per_s": spread(score.rates),
        "acknowledged_writes": score.writes,
        "lost": score.lost,
        "missing_at_the_replica": score.missing_at_replica,
        "client_errors": score.errors,
        "ways": {way: tally.figures() for way, tally in score.tallies.items()},
        **({"slowest": sorted(score.explained, key=lambda one: -float(str(one["client_ms"] or 0)))[: plan.explain]} if plan.explain else {}),
    }


def main() -> int:
    """Parse, measure, write; 1 where a write was lost or a hand-over failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--block", type=int, default=10, help="runs on one pair of servers")
    parser.add_argument("--modes", default="aof,volatile")
    parser.add_argument("--ways", default="bennu,failover")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--rate", type=float, default=1000, help="writes a second and client")
    parser.add_argument("--tool-delay-ms", type=float, default=0, help="one way, between tool and servers")
    parser.add_argument("--rt", action="store_true", help="real-time scheduling (root)")
    parser.add_argument("--explain", type=int, default=0, metavar="N", help="keep every step of the N slowest hand-overs of Bennu's")
    parser.add_argument("--folder", type=Path, help="where the servers work (default: the temporary directory)")
    parser.add_argument("--program", default=shutil.which("redis-server") or "redis-server")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = []
    for mode in given.modes.split(","):
        plan = Plan(given.program, mode == "aof", given.clients, given.rate, given.tool_delay_ms / 1000, given.rt, tuple(given.ways.split(",")), given.explain)
        print(f"{mode}:", file=sys.stderr)
        found.append(rendered(plan, measured(plan, given.runs, given.block, given.folder), given.runs))
    text = json.dumps({"cores": os.cpu_count(), "modes": found}, indent=1)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(any(one["lost"] for one in found))


if __name__ == "__main__":
    sys.exit(main())
