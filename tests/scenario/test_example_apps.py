"""The four example apps run as pods in both clusters while the write authority moves; each writes all the time and goes on by itself. ``pytest -s`` prints each one's pause; docs/applications.md has them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bennu.lab import spawn
from tests.scenario.example_apps import COLOURS, EVERY_S, WAYS, entries, furnished, pause_ms, reloader
from tests.scenario.redis_pods import server
from tests.scenario.rehearsal import Rehearsal, rehearsal

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(600)]

SOME = 100  # entries: two seconds of an app that nothing holds up
# Far above what it takes on a machine that nobody else uses, far below "until somebody looks".
GOES_ON_S = 60.0


def more(here: Rehearsal, colour: str, way: str, number: int = SOME) -> None:
    """The app is acknowledged so many more entries."""
    before = len(entries(here, colour, way))
    assert spawn.until(lambda: len(entries(here, colour, way)) >= before + number, GOES_ON_S), (colour, way, before)


def held(here: Rehearsal, colour: str) -> dict[str, str | None]:
    """What of all that was acknowledged the Redis of *colour* holds."""
    identities = [one.identity for at in COLOURS for way in WAYS for one in entries(here, at, way)]
    with server(here, colour) as asked:
        found: Any = asked.mget([f"entry:{identity}" for identity in identities])
    return dict(zip(identities, found, strict=True))


def test_each_example_goes_on_at_the_new_master_by_itself_and_loses_nothing(tmp_path: Path) -> None:
    with rehearsal(tmp_path) as here:
        furnished(here)
        for way in WAYS:
            more(here, "blue", way, 10)
        said = here.start("--auto-promote", "--stop-after", "TRAFFIC_CANARY")
        assert said.code == 10, said.err
        with reloader(here, COLOURS):
            quiet = time.monotonic_ns()
            for colour, way in ((colour, way) for colour in COLOURS for way in WAYS):
                more(here, colour, way)
            begin = time.monotonic_ns()
            said = here.bennu("rotate", "resume", "--no-input", "--auto-promote", "--stop-after", "SWITCHOVER_LOCKED")
            assert said.code == 10, said.err
            for colour, way in ((colour, way) for colour in COLOURS for way in WAYS):
                more(here, colour, way)
            end = time.monotonic_ns()
        pods = {(colour, way): {one.pod for one in entries(here, colour, way) if one.at > quiet} for colour in COLOURS for way in WAYS}
        for (colour, way), names in pods.items():
            assert len(names) == (2 if way == "env" else 1), (colour, way, names)
        said = here.bennu("rotate", "resume", "--no-input", "--auto-promote", "-o", "json")
        assert said.code == 0, said.err
        found = held(here, "green")
        assert [identity for identity, value in found.items() if value != identity] == []
        here.assert_at_rest("green")
        told = [f"Bennu's pause {said.data['facts']['pause.ms']} ms; an entry every {EVERY_S * 1000:.0f} ms, none of {len(found)} lost"]
        for colour, way in ((colour, way) for way in WAYS for colour in COLOURS):
            mine = entries(here, colour, way)
            told.append(f"{way:8} {colour:6} {pause_ms(mine, begin, end):6.0f} ms (before the hand-over {pause_ms(mine, quiet, begin):.0f})")
        sys.stderr.write("\n" + "\n".join(told) + "\n")
