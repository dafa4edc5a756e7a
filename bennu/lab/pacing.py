"""Inherent periods: between two looks at something that tells nobody when it changes (a server that is starting, another process' file)."""

from __future__ import annotations

import asyncio
import contextlib


async def period(seconds: float) -> None:
    """Let *seconds* pass. Never a wait for a condition: the caller looks again afterwards, within a deadline of its own."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)
