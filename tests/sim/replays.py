"""What the replays of the exhaustive model's counterexamples share: what harm is, who strikes when, and who takes over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.engine.journal import Holder
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from tests.sim.controllers_node import PARKED
from tests.sim.memory_redis import MemoryRedis
from tests.sim.pilot import BOB, Outcome, Pilot
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))
BY_MANIFEST = Kit(weights=(10,), ledger="fence: {persists_by: manifest}")
CAROL = Holder("carol@three", 3)
Replay = Callable[[Universe], Outcome]
Breaking = Callable[[Universe, pytest.MonkeyPatch], None]


def destroyed(world: Universe) -> list[str]:
    """Acknowledged writes that no server holds any more."""
    held = [server.state.keys for server in world.servers.values()]
    return [key for key in world.acknowledged if not any(key in keys for keys in held)]


def harm(world: Universe) -> list[str]:
    """What must never be: destroyed writes, one master that lacks an acknowledged write, two masters, or a pointer that sends writers to a replica."""
    lacking = world.lost() if len(world.writable()) == 1 else destroyed(world)
    return [*lacking, *(words for words in world.violations if "two servers accept writes" in words or "calls a replica the master" in words)]


def once(call: str, strike: Callable[[], None]) -> Callable[[str], None]:
    """A tap that strikes at the first call of that name."""
    left = [True]

    def tap(name: str) -> None:
        if name == call and left[0]:
            left[0] = False
            strike()

    return tap


def restarted_behind(server: MemoryRedis, *, history_kept: bool = False) -> None:
    """It comes back parked without its last write."""
    server.written_master = PARKED
    server.crash(history_kept=history_kept)
    server.state = replace(server.state, data=server.state.data[:-1], offset=max(0, server.state.offset - 40))


def pod_ends(world: Universe) -> None:
    """Blue's new pod reads the manifest as the cluster has it."""
    live = world.clusters[Colour.BLUE].at(Ref(CONFIGMAP, "redis-config", "database"))
    assert live is not None
    world.servers[Colour.BLUE].written_master = PARKED if "replicaof" in live["data"]["role.conf"] else None
    world.servers[Colour.BLUE].crash()


def taken_over(world: Universe, by: Holder = BOB, taps: Taps | None = None) -> Outcome:
    colleague = Pilot(world, by, taps=taps)
    lock = colleague.session.standing().lock
    return colleague.resume(take_over=lock.id if lock else "")
