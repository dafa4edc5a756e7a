"""The end of a hand-over, tried: a write on the new master is read on the old one."""

from __future__ import annotations

import secrets

from bennu.errors import GateRefused, OperatorNeeded
from bennu.phases.base import Pen, World
from bennu.phases.critical_servers import Hands


def verified(world: World, pen: Pen, hands: Hands) -> None:
    """The reverse link lives, and a rollback would lose nothing; where it does not yet, that is said. Raises OperatorNeeded where the new master takes no write."""
    clock, key, value = world.systems.clock, f"bennu:probe:{world.rotation.id}", secrets.token_hex(8)
    try:
        hands.target.write_probe(key, value)
    except GateRefused as refused:
        raise OperatorNeeded(
            f"the new master refuses a write: {refused.message}",
            changed="the target is master, both pointers name it, and the old master follows it",
            next_step="free memory there or mend what it names, then bennu rotate resume; bennu rotate rollback goes back without loss",
        ) from refused
    deadline = clock.boot() + world.policy.switchover_timeout_s / 4
    while hands.source.read_probe(key) != value:
        if clock.boot() > deadline:
            pen.tell("the old master does not follow the new one yet: until it does, a rollback would not be lossless")
            return
        clock.wait(0.02)
