"""Whether this machine's disk takes what a rotation writes down: asked before a rotation and before S6, since in the pause nothing could be done about it any more."""

from __future__ import annotations

from bennu.core.verdict import Verdict, failed, opened
from bennu.phases.base import World


def room(world: World) -> Verdict:
    """Checkpoints, Bennu's clone, and the files that keep what a broken hand-over would lose."""
    found, needed = world.systems.checkpoint.room(), world.policy.min_free_bytes
    if found.problem:
        return failed(found.problem)
    if found.free < needed:
        return failed(f"{found.free >> 20} MB are free where Bennu keeps its state; {needed >> 20} are needed")
    return opened(f"{found.free >> 20} MB free")
