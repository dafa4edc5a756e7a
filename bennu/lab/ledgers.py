"""What the ledgers prove: acknowledged writes that are gone, and workloads that ran twice at the same time. Pure judgement over lines that were read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]


def read(path: Path) -> list[Line]:
    """The lines of a ledger; a last line cut by a crash is left out."""
    found: list[Line] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            one = json.loads(line)
            if isinstance(one, dict):
                found.append(one)
    return found


def lost(acknowledged: Iterable[str], present: Iterable[str]) -> list[str]:
    """Ids that were acknowledged and are not there."""
    there = set(present)
    return [identity for identity in acknowledged if identity not in there]


def intervals(lines: Iterable[Line]) -> list[tuple[str, float, float]]:
    """(cluster, from, to) of each process that wrote to the ledger. A "start" begins a new one: pids come again."""
    spans: list[tuple[str, float, float]] = []
    open_at: dict[tuple[str, int], int] = {}
    for line in lines:
        key, at = (str(line["cluster"]), int(line["pid"])), float(line["t"])
        if line["event"] == "start" or key not in open_at:
            open_at[key] = len(spans)
            spans.append((key[0], at, at))
        cluster, first, _ = spans[open_at[key]]
        spans[open_at[key]] = (cluster, first, at)
    return spans


def overlaps(lines: Iterable[Line]) -> list[tuple[str, str, float]]:
    """(cluster, other cluster, seconds) where processes of two clusters ran at the same time."""
    spans = sorted(intervals(lines), key=lambda span: span[1])
    found = []
    for index, (cluster, _, end) in enumerate(spans):
        for other, begin, other_end in spans[index + 1 :]:
            if begin < end and other != cluster:
                found.append((cluster, other, min(end, other_end) - begin))
    return found
