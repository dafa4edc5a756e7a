"""What talks to Git and may take its time, done in a thread, while the run goes on looking at its monitors.

A remote that takes the connection and answers nothing holds a push for as long as the adapter lets it (twice ``Remote.timeout_s``: the push, then the question what became of it). Nobody but the
run itself looks at the canary and the link, so they must not wait for that. What they find is said at once; it is acted upon when the push has ended, since only one may write the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from typing import TypeVar

from bennu.engine.journal import LOOK_S
from bennu.engine.lookout import Lookout
from bennu.engine.turns import Turn
from bennu.errors import BennuError, DependencyDown
from bennu.phases.base import World

T = TypeVar("T")


def beside(lookout: Lookout, world: World, job: Callable[[], T], *, meanwhile: Callable[[], None]) -> T:
    """What *job* gives, or raises; *meanwhile* is called once in ``poll_s`` until it does. What that raises first is said, and raised when *job* has ended, unless it lost the lock."""
    clock, tell = world.systems.clock, lookout.counters.silence.tell
    said, found = clock.boot() + LOOK_S, list[Turn | BennuError]()
    pending = lookout.aside(job)
    while not wait([pending], world.policy.poll_s).done:
        if clock.boot() >= said:
            said = float("inf")
            tell(f"Git has not answered for {LOOK_S:.0f} s; until it does, or is given up, the state is held and the monitors go on")
        if not found:
            try:
                meanwhile()
            except (Turn, BennuError) as turn:
                found.append(turn)
                tell(f"{turn}; Git is silent meanwhile, and what this asks for waits for it")
    if not found:
        return pending.result()
    lost = pending.exception()
    raise found[0] if lost is None or isinstance(lost, DependencyDown) else lost
