"""Take-over, and every resume: what whoever leads S6 after another holder does before anything that the servers say is believed.

Redis cannot check an epoch. A holder that was frozen, not dead, wakes up with its connections open, and its next command would be obeyed: what was read of the servers before those connections
were cut says nothing of what they will be. So the order is: open the named connections; swap the journal, which proves the lock while they are open; write the epoch on both pointers; cut what
older holders left on both servers, and see it cut; and only then read roles.

Where nothing was announced in this S6 there is nothing to cut: a holder's first command to a server comes after its announcement, which it makes by a swap that it has lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from bennu.core.clusters import Colour
from bennu.core.switchover import announced
from bennu.errors import DependencyDown
from bennu.phases.base import Pen, World
from bennu.phases.gone import is_disaster
from bennu.phases.pointer import Pointers, answering


def connection_name(world: World) -> str:
    """What the critical section's connections are called: by it a later holder finds them."""
    return f"bennu-{world.rotation.id}-{world.epoch}"


def take_over(world: World, pen: Pen, pointers: Pointers, *servers: Colour, announces: str = "") -> None:
    """Prove the lock, own the pointers, cut what older holders left on *servers*. To be called with this holder's own connections to them open; *announces*: what it will itself do over them
    (``core.switchover.OPEN``), for whoever comes after it. Raises LockLost, DependencyDown.
    """
    pen.intend({"resumed.epoch": str(world.epoch)} | ({announces: "true"} if announces else {}))
    pointers.claim()
    for colour in servers:
        world.systems.redis(colour).kill_named(str(world.rotation.id), world.epoch)


@contextmanager
def in_charge(world: World, pen: Pen) -> Iterator[Pointers]:
    """Take over what was announced, for a step that then reads the roles to put things back: nothing that an older holder had under way can follow. Raises LockLost, DependencyDown."""
    pointers = answering(world)
    with ExitStack() as stack:
        if announced(world.facts):
            servers = _reached(world, stack) if world.conf.redis else ()
            with _nothing_decided(world):
                take_over(world, pen, pointers, *servers)
        yield pointers


@contextmanager
def _nothing_decided(world: World) -> Iterator[None]:
    """Who cannot be cut off, or told by a pointer, ends it before anything is decided. What the source says of itself is for the operator alone."""
    try:
        yield
    except DependencyDown as down:
        with suppress(DependencyDown):
            writable = world.conf.redis and world.systems.redis(world.rotation.source).observe().is_master
            stands = "the source is writable" if writable else "the source accepts no writes" if world.conf.redis else "the pointers stand as they did"
            down.changed = f"nothing is decided; {stands}; Flux may still be held off a pointer that says {world.conf.pointer.keys.maintenance}"
        down.next_step = down.next_step or "bennu rotate resume"
        raise


def _reached(world: World, stack: ExitStack) -> tuple[Colour, ...]:
    """Both servers, connected; the source alone where the target is silent. Cut off from the source an older holder cannot fence it, and without a fence it promotes nothing: what may be
    decided then is up to what the source says of itself.
    """
    found = []
    for colour in (world.rotation.source, world.rotation.target):
        try:
            stack.enter_context(world.systems.redis(colour).critical(connection_name(world)))
            found.append(colour)
        except DependencyDown as error:
            if colour is world.rotation.source and not is_disaster(world):
                raise DependencyDown(
                    f"what an earlier holder of the switchover left cannot be cut off: {error.message}",
                    changed="nothing is decided; possibly the source is fenced: nobody accepts writes then, and none is lost",
                    next_step="make both Redis servers reachable, then 'bennu rotate resume'",
                ) from error
    return tuple(found)
