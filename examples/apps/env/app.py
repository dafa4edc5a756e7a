"""Reads the pointer from its environment, at its start: it goes to the new master only when somebody restarts it. Reloader's annotation in deployment.yaml does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from ledger import run  # beside the folder of each example

if __name__ == "__main__":
    run(lambda: os.environ["REDIS_WRITE_HOST"])
