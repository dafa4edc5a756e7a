"""What Git costs a step: Bennu's own calls beside the same two things done by hand with git, in one run on one machine.

Repeat it with::

    python -m benchmarks.git_step [--rounds 20] [--transport http|path]

Per round, in turn: ``by hand`` commits a one-line edit and pushes it (``git commit``, ``git push``), ``advance`` commits the same edit with a journal record in one atomic push,
``record`` appends a record alone, ``fetch`` finds nothing new, ``read`` reads a file for the first time after a commit. Shown are the median with the spread from the first to the
ninth decile in ms, the git processes that one call starts on this side of the network (counted by GIT_TRACE2_EVENT), and the ratio to the work by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bennu.ports.repository import Change, Edit
from tests.contract.git.grounds import GROUP, record
from tests.contract.git.remotes import PASSWORD, STATE, Bare, Watched, git, repository, served

_SERVER = ("receive-pack", "upload-pack", "http-backend", "unpack-objects", "index-pack", "gc")


@dataclass
class Work:
    """One kind of call, its times in seconds, and the git processes of one call."""

    name: str
    call: Callable[[], object]
    times: list[float] = field(default_factory=list)
    processes: int = 0

    def measured(self) -> None:
        """Call once and keep the time."""
        begin = time.perf_counter()
        self.call()
        self.times.append(time.perf_counter() - begin)

    def counted(self, folder: Path) -> None:
        """Call once and keep how many git processes of this side began."""
        traces = folder / self.name.replace(" ", "-")
        traces.mkdir()
        os.environ["GIT_TRACE2_EVENT"] = str(traces)
        try:
            self.call()
        finally:
            del os.environ["GIT_TRACE2_EVENT"]
        starts = [json.loads(line) for file in traces.iterdir() for line in file.read_text().splitlines() if '"event":"start"' in line]
        self.processes = sum(not any(word in " ".join(start["argv"]) for word in _SERVER) for start in starts)


def _by_hand(checkout: Path) -> None:
    (checkout / STATE).write_text(f"a: {secrets.token_hex(4)}\n")
    git(checkout, "commit", "--quiet", "--all", "--message", "By hand")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")


def _advance(laptop: Watched) -> None:
    change = Change((Edit(STATE, f"a: {secrets.token_hex(4)}\n"),), "By Bennu\n")
    laptop.advance(GROUP, laptop.journal(GROUP).tip, (record(),), change)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--transport", choices=("http", "path"), default="http")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "lab") as server:
        folder = Path(name)
        for role in ("AUTHOR", "COMMITTER"):
            os.environ |= {f"GIT_{role}_NAME": "Bench", f"GIT_{role}_EMAIL": "bench@example.org"}
        os.environ["GIT_CONFIG_GLOBAL"] = "/dev/null"
        bare = Bare.made(folder / "lab" / "git" / "fleet.git")
        by_path = given.transport == "path"
        laptop = repository(folder / "laptop", str(bare.path) if by_path else server.url())
        laptop.fetch()
        # A repository of its own for the work by hand: neither has to wait for the other's commits.
        other = Bare.made(folder / "lab" / "git" / "by-hand.git")
        checkout = folder / "checkout"
        url = str(other.path) if by_path else server.url("by-hand.git").replace("http://", f"http://lab:{PASSWORD}@")
        git(folder, "clone", "--quiet", url, str(checkout))

        works = [
            Work("by hand", lambda: _by_hand(checkout)),
            Work("advance", lambda: _advance(laptop)),
            Work("read", lambda: laptop.read(STATE)),
            Work("record", lambda: laptop.advance(GROUP, laptop.journal(GROUP).tip, (record(),))),
            Work("fetch", laptop.fetch),
        ]
        for work in works:
            work.call()  # warm: the first call starts what later ones find running
        for work in works:
            work.counted(folder)
        for _ in range(given.rounds):
            for work in works:
                work.measured()
    _show(works, given.transport)


def _show(works: list[Work], transport: str) -> None:
    base = statistics.median(works[0].times)
    print(f"{sys.platform}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {transport}, {len(works[0].times)} rounds")
    print(f"{'':10}{'median ms':>10}{'10-90 %':>16}{'processes':>11}{'to by hand':>12}")
    for work in works:
        deciles = statistics.quantiles(work.times, n=10)
        spread = f"{deciles[0] * 1000:.1f}-{deciles[-1] * 1000:.1f}"
        middle = statistics.median(work.times)
        print(f"{work.name:10}{middle * 1000:>10.1f}{spread:>16}{work.processes:>11}{middle / base:>12.2f}")


if __name__ == "__main__":
    main()
