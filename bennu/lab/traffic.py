"""``python -m bennu.lab.traffic --lab <dir>``: the users. Each pays and looks at its balance, through DNS and the ingress, and remembers every acknowledgement.

A failed payment is tried again with the same id until it is acknowledged; the time between two acknowledgements of one user is what a pause looks like from outside.
Users act on a fixed grid, each a little after the one before: the time without any acknowledgement then measures a pause, and not that all of them waited in step.
Control on its own port: ``GET /stats``, ``POST /mark`` (a new measuring section).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import dns.asyncresolver
import dns.exception

from bennu.lab.places import LabDir
from bennu.lab.pods.ending import until_told
from bennu.lab.pods.http import Pool, Request, served

RECORD = "api.lab.test"
USERS = 8
PERIOD = 0.066
"""Seconds between two requests of a user, every other one a payment: about 120 requests a second in all, a payment every 16.5 ms."""
_EARLY = 0.001


@dataclass(frozen=True)
class Grid:
    """When one user acts: at ``first``, ``first + PERIOD``, …; at even points it pays, at odd ones it looks at its balance. Seconds of the monotonic clock."""

    first: float

    @classmethod
    def of(cls, user: int, origin: float) -> Grid:
        """That of the *user*-th of USERS, all of which begin within two periods after *origin*."""
        return cls(origin + user * 2 * PERIOD / USERS)

    def following(self, now: float) -> tuple[float, bool]:
        """The next point after *now*, and whether it is one to pay at. Points that passed meanwhile are left out, so that nobody bursts after a pause."""
        # Timers may wake a moment early: the point that was just waited for is not the next one.
        number = max(0, math.floor((now + _EARLY - self.first) / PERIOD) + 1)
        return self.first + number * PERIOD, number % 2 == 0


@dataclass
class Name:
    """The record as a client's resolver has it: cached for its TTL, the old answer used while the server does not answer."""

    port: int
    address: tuple[str, int] | None = None
    until: float = 0.0

    async def resolved(self) -> tuple[str, int]:
        """Host and port of the ingress. Raises OSError."""
        now = time.monotonic()
        if self.address is None or now >= self.until:
            self.until = now + 1
            with contextlib.suppress(dns.exception.DNSException, OSError):
                resolver = dns.asyncresolver.Resolver(configure=False)
                resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], self.port, 1.0
                alias = await resolver.resolve(RECORD, "CNAME")
                target = alias[0].target.to_text()
                service = await resolver.resolve(f"_http._tcp.{target}", "SRV")
                self.address, self.until = ("127.0.0.1", int(service[0].port)), time.monotonic() + alias.rrset.ttl  # type: ignore[union-attr]
        if self.address is None:
            raise OSError(f"{RECORD} does not resolve")
        return self.address


@dataclass
class Section:
    """What was measured since the last mark. Gaps in milliseconds."""

    begun: float = field(default_factory=time.monotonic)
    acknowledged: int = 0
    requests: int = 0
    failures: int = 0
    gaps: dict[str, float] = field(default_factory=dict)


class Users:
    """All users, their section and the ledger of acknowledgements."""

    def __init__(self, lab: LabDir) -> None:
        self._name = Name(lab.load().ports["dns"])
        self._ledger = os.open(lab.ledgers / "writes.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._run = secrets.token_hex(4)
        self.section = Section()
        self.total = 0

    async def live(self, user: str, grid: Grid, stop: asyncio.Event) -> None:
        """One user's life."""
        pool, number, last = Pool(user), 0, time.monotonic()
        while not stop.is_set():
            point, pays = grid.following(time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), point - time.monotonic())
            if pays:
                number += 1
                last = await self._pay(pool, user, number, last, stop)
            else:
                await self._get(pool)

    async def _get(self, pool: Pool) -> None:
        self.section.requests += 1
        try:
            status, _ = await pool.ask(await self._name.resolved(), "GET", "/balance")
        except OSError:
            status = 0
        self.section.failures += status != 200

    async def _pay(self, pool: Pool, user: str, number: int, last: float, stop: asyncio.Event) -> float:
        identity = f"{self._run}-{user}-{number}"
        begin = time.monotonic()
        while not stop.is_set():
            self.section.requests += 1
            try:
                status, _ = await pool.ask(await self._name.resolved(), "POST", f"/pay?id={identity}")
            except OSError:
                status = 0
            now = time.monotonic()
            if status == 200:
                # The ledger first: what is counted was written down.
                # "ms" counts from the first attempt: what the user waited, however often the payment had to be sent again.
                os.write(self._ledger, (json.dumps({"id": identity, "t": time.time(), "ms": round((now - begin) * 1000, 2)}) + "\n").encode())
                self.total += 1
                self.section.acknowledged += 1
                gap = (now - max(last, self.section.begun)) * 1000
                self.section.gaps[user] = max(gap, self.section.gaps.get(user, 0.0))
                return now
            self.section.failures += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.01)
        return last

    async def control(self, request: Request) -> tuple[int, bytes]:
        """``/stats`` and ``/mark``."""
        if request.method == "POST" and request.path == "/mark":
            self.section = Section()
        now, section = time.monotonic(), self.section
        lasted = max(now - section.begun, 0.001)
        gaps = sorted(section.gaps.values())
        answer = {
            "acknowledged_total": self.total,
            "acknowledged": section.acknowledged,
            "requests": section.requests,
            "failures": section.failures,
            "rps": round(section.requests / lasted, 1),
            "seconds": round(lasted, 2),
            "gap_ms_max": round(gaps[-1], 1) if gaps else 0.0,
            "gap_ms_median": round(gaps[len(gaps) // 2], 1) if gaps else 0.0,
            "users": USERS,
        }
        return 200, json.dumps(answer).encode()


async def _main(lab: LabDir) -> None:
    stop = until_told()
    users = Users(lab)
    server = await served(lab.load().ports["traffic"], users.control)
    origin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(USERS):
            group.create_task(users.live(f"user-{number}", Grid.of(number, origin), stop))
    server.close()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m bennu.lab.traffic")
    parser.add_argument("--lab", type=Path, required=True)
    asyncio.run(_main(LabDir(parser.parse_args().lab)))


if __name__ == "__main__":
    main()
