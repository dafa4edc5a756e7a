"""Which faults an operator asked for: ``<lab>/faults.json``, looked at often enough that one bites within 100 ms.

It reads; what a fault means is for whoever follows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from bennu.lab.places import LabDir

PERIOD = 0.05
"""Seconds between two looks: an inherent period, since neither Linux nor macOS tells of file changes in the standard library."""

Faults = Mapping[str, str]


async def follow(lab: LabDir, stop: asyncio.Event, told: Callable[[Faults], None]) -> None:
    """Tell *told* of the faults now, and whenever the file changed, until *stop*."""
    seen: tuple[int, int] | None = (-1, -1)
    while not stop.is_set():
        stamp = _stamp(lab.root / "faults.json")
        if stamp != seen:
            with contextlib.suppress(OSError, ValueError):
                told(dict(lab.faults()))
                seen = stamp
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PERIOD)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
