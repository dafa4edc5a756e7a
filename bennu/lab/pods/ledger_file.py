"""Appending to a ledger: one line a write, so that lines of several processes don't mix."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def append(name: str, **what: object) -> None:
    """One line in ``<lab>/ledgers/<name>.jsonl``, with cluster, pid and time."""
    cluster = Path(os.environ["BENNU_LAB_CLUSTER"])
    folder = cluster.parent.parent / "ledgers"
    folder.mkdir(exist_ok=True, mode=0o700)
    line = json.dumps({"cluster": cluster.name, "pid": os.getpid(), "t": time.time(), **what}) + "\n"
    descriptor = os.open(folder / f"{name}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
