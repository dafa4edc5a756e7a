"""Container logs bounded by size: a file that grew beyond the bound becomes ``<file>.1``, and the one before it goes.

Children write into the file themselves (opened for append), so it is copied and truncated, not renamed: a line written between the two may be lost, as with
every copy-and-truncate rotation.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

BOUND = 4 * 1024 * 1024
"""Bytes a log may have before it is turned over."""


def log_file(logs: Path, namespace: str, pod: str, container: str) -> Path:
    """``<logs>/<namespace>-<pod>-<container>.log``."""
    return logs / f"{namespace}-{pod}-{container}.log"


def turn_over(logs: Path, bound: int = BOUND) -> list[Path]:
    """Turn over every log in *logs* above *bound* bytes; returns those it turned."""
    turned = []
    with contextlib.suppress(FileNotFoundError):
        for log in logs.glob("*.log"):
            if log.stat().st_size > bound:
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)
                turned.append(log)
    return turned
