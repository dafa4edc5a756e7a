"""The same hand-over by Redis' own means, for comparison: ``FAILOVER TO`` at the source, the pointer flipped once the target is master. Same environment, same exit code.

It proves nothing about what a crash in the middle leaves, and it is resumed by nothing: that is not what is compared here.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import grounds
from benchmarks.file_pointer import replaced
from bennu.adapters.redis_link import Link, RedisEndpoint, Refusal
from bennu.ports.redis import Address

_PACE = threading.Event()  # never set: a wait between two looks
_TIMEOUT_S = 30.0


def main() -> int:
    """Hand over; the exit code."""
    place = grounds.from_environment(os.environ)
    source, target = (_link(address, place.password) for address in (place.source.reach, place.target.reach))
    begun = time.monotonic()
    told = source.one("FAILOVER", "TO", place.target.mirror.host, place.target.mirror.port, "TIMEOUT", int(_TIMEOUT_S * 1000))
    if isinstance(told, Refusal):
        sys.stderr.write(f"{told.text}\n")
        return 3
    while target.one("ROLE")[0] != "master":
        if time.monotonic() - begun > _TIMEOUT_S:
            sys.stderr.write("the target did not become master\n")
            return 5
        _PACE.wait(0.0005)
    replaced(place.pointer, f"{place.target.pointer.host} {place.target.pointer.port} 0")
    print(json.dumps({"pause.ms": round((time.monotonic() - begun) * 1000, 1)}))
    return 0


def _link(address: Address, password: str) -> Link:
    return Link(RedisEndpoint(str(address), lambda: address, lambda: password), "failover")


if __name__ == "__main__":
    sys.exit(main())
