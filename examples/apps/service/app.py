"""Writes to one name in every cluster, and knows nothing of the pointer: the write Service leads it to the master. It connects anew, and so resolves anew, whenever it is cut or refused."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from ledger import run  # beside the folder of each example

if __name__ == "__main__":
    run(lambda: "redis-write.database.svc.cluster.local")
