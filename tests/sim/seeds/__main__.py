"""``python -m tests.sim.seeds``: many seeds at once, or one told in full.

Every violation prints the seed, the commit of the checkout, and the command that tells that story again. The order of Python's sets depends on PYTHONHASHSEED, which is therefore fixed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.sim.seeds.draw import story
from tests.sim.seeds.play import Ending, Play
from tests.sim.seeds.strikes import told
from tests.sim.seeds.sums import Sums

_BATCH = 50


def commit() -> str:
    """Of the checkout, with a plus where it was changed since."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def complaint(ending: Ending) -> str:
    """A violation in words: what, which seed, which commit, and how to see it again."""
    seed = ending.story.seed
    lines = [f"seed {seed} at commit {commit()}:", *(f"  {words}" for words in ending.violations), f"  again: python -m tests.sim.seeds --seed {seed} -v"]
    return "\n".join(lines)


def batch(first: int, count: int) -> Sums:
    """The stories of some seeds."""
    sums = Sums()
    for seed in range(first, first + count):
        sums.add(Play(story(seed)).told(), complaint)
    return sums


def many(first: int, count: int, jobs: int) -> Sums:
    """In *jobs* processes, with a line a minute."""
    sums, begun, said = Sums(), time.monotonic(), time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(batch, at, min(_BATCH, first + count - at)) for at in range(first, first + count, _BATCH)]
        for done in as_completed(waiting):
            sums.merge(done.result())
            for words in sums.fresh():
                print(words, flush=True)
            if time.monotonic() - said >= 60:
                said = time.monotonic()
                print(f"{said - begun:.0f} s: {sums.line()}", flush=True)
    print(f"{time.monotonic() - begun:.0f} s: {sums.line()}\n{sums.table()}")
    return sums


def one(seed: int, only: str, *, verbose: bool) -> int:
    """One story, told."""
    it = story(seed)
    if only:
        it = it.only(tuple(int(number) for number in only.split(",") if number.strip("-")))
    play = Play(it)
    ending = play.told()
    if verbose:
        print(f"seed {seed}: {it.kit}\n  begins in {it.begins}, Redis {it.version}\n  strikes (life, call, kind, …): {told(it.strikes)}")
        print("\n".join(ending.log))
    print(complaint(ending) if ending.violations else f"seed {seed}: no violation; rest in {ending.rest}, trace {ending.trace}")
    return 1 if ending.violations else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.seeds", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell one story")
    parser.add_argument("--only", default="", metavar="N,N", help="with these of its strikes alone ('-': none)")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=100_000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    if given.seed is not None:
        return one(given.seed, given.only, verbose=given.verbose)
    return 1 if many(given.first, given.seeds, given.jobs).violations else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", "tests.sim.seeds", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
