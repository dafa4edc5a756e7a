"""The specification's own order of S6, as it stands there: timers, a lag below 1 KB, promote, flip. Not Bennu's: the control, on which the judge must find losses.

Its times are those of the specification a hundred times shorter, which changes none of what it decides by. It keeps no journal and cannot be resumed.
"""

from __future__ import annotations

import threading

from benchmarks.file_pointer import replaced
from benchmarks.servers import awaited
from tests.faults.stage import Case

MAX_LAG_BYTES = 1024
SCALE = 0.01
PROMOTE_AT_S, FLIP_AT_S = 30 * SCALE, 60 * SCALE
_PACE = threading.Event()  # never set: the timers are what is being shown


def by_the_timers(case: Case) -> None:
    """``MAINTENANCE_MODE``, 30 s, lag gate, ``REPLICAOF NO ONE``, flip, ``REPLICAOF`` on the old master. Apps that follow a mounted ConfigMap learn of MAINTENANCE_MODE later than that: here none has."""
    source, target = case.source, case.target
    replaced(case.pointer, f"{source.address.host} {source.address.port} 1")
    _PACE.wait(PROMOTE_AT_S)
    awaited(lambda: source.server.observe().offset - target.server.observe().offset < MAX_LAG_BYTES, "the lag gate")
    target.ask("REPLICAOF", "NO", "ONE")
    _PACE.wait(FLIP_AT_S - PROMOTE_AT_S)
    replaced(case.pointer, f"{target.address.host} {target.address.port} 0")
    source.ask("REPLICAOF", target.way.address.host, target.way.address.port)
    source.ask("CONFIG", "REWRITE")
    target.ask("CONFIG", "REWRITE")
