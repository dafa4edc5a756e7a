"""A queue consumer that must never run in two clusters at once; its ledger tells when it ran where."""

from __future__ import annotations

import asyncio
import contextlib

from bennu.lab.pods.ending import until_told
from bennu.lab.pods.ledger_file import append

_PERIOD = 0.2


async def main() -> None:
    """Tick until told to end."""
    stop = until_told()
    append("consumer", event="start")
    while not stop.is_set():
        append("consumer", event="tick")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _PERIOD)
    append("consumer", event="stop")


if __name__ == "__main__":
    asyncio.run(main())
