"""The specification's backup: a snapshot of the source before S6, on request (``rotate start --snapshot``).

Before the pre-check and awaited to its end, since no hand-over begins while Redis saves. It is a file of the source's own data folder, which its next save overwrites.
"""

from __future__ import annotations

from datetime import UTC, datetime

from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, failed, opened, shut
from bennu.errors import GateRefused
from bennu.phases.base import Effect, Pen, Seen, Step, StepAborted, World
from bennu.ports.redis import LastSave

OPTION = "snapshot"
_PATH = "snapshot.path"


class Snapshot(Step):
    """``BGSAVE`` at the source."""

    id = "switchover-locked.snapshot"
    title = "a snapshot of the source"
    awaits = "BGSAVE to end"

    def __init__(self) -> None:
        self._before: LastSave | None = None

    def observe(self, world: World) -> Seen:
        """Never already: a snapshot of an earlier try is old."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """Begin it. Refused where a save is running: what that one holds began before it was asked for."""
        redis, clock = world.systems.redis(world.rotation.source), world.systems.clock
        before = redis.last_save()
        if before.running:
            raise StepAborted(
                "a save is running at the source already: the snapshot that was asked for (--snapshot) would not be its own; try again when it has ended"
            )
        while redis.last_save().now <= before.at:
            clock.wait(world.policy.poll_s)  # LASTSAVE counts whole seconds: one that ended in this second could not be told from the last
        try:
            # Safe to repeat: it only writes the file anew.
            redis.begin_save()
        except GateRefused as refused:
            raise StepAborted(refused.message) from refused
        self._before = before
        return Effect({_PATH: before.path})

    def gate(self, world: World) -> Verdict:
        """Ended well, by the server's own LASTSAVE."""
        found = world.systems.redis(world.rotation.source).last_save()
        if found.running:
            return shut("BGSAVE is running")
        if not found.succeeded:
            return failed("BGSAVE failed: look at the source's log (its disk may be full)")
        if self._before is None or found.at <= self._before.at:
            return shut("LASTSAVE has not moved yet")
        return opened(f"{found.path}, saved {datetime.fromtimestamp(found.at, UTC):%Y-%m-%d %H:%M:%S}Z")

    def timeout_s(self, policy: Policy) -> float:
        """As long as a first synchronisation may take: that is a save, too."""
        return policy.syncing_timeout_s

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        return f"BGSAVE at Redis of {world.rotation.source.cluster}"
