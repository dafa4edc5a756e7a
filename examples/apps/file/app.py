"""Reads the pointer from a mounted file whenever it connects: it goes to the new master once the kubelet has renewed the volume. Mount the whole volume, never a ``subPath``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from ledger import run  # beside the folder of each example

POINTER = Path(os.environ.get("POINTER", "/etc/pointer"))

if __name__ == "__main__":
    run(lambda: (POINTER / "REDIS_WRITE_HOST").read_text(encoding="utf-8").strip())
