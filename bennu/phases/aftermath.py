"""Whether the side that should write does, read anew where a run begins after two masters were seen, and where it ends by saying that a side is writable. Who fenced it may be long gone."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.states import Direction, State
from bennu.errors import BennuError, DependencyDown, OperatorNeeded
from bennu.phases.base import World
from bennu.phases.pointer import Pointers

_NEXT = (
    "decide which side keeps its writes, and make it the one master (docs/switchover.md, \"Two masters\"); 'bennu rotate status --why' shows what was found, "
    "'bennu rotate resume' goes on then"
)


def writes_astray(world: World, state: State, direction: Direction) -> BennuError | None:
    """What is wrong, None where nothing is known to be. S6 reads the roles itself, by its own table."""
    if state in (State.SWITCHOVER_LOCKED, State.IDLE_STABLE):
        return None
    forth = direction is Direction.FORWARD and state.number >= State.PROMOTED.number
    should, other = (world.rotation.target, world.rotation.source) if forth else (world.rotation.source, world.rotation.target)
    seen = world.facts.get(SPLIT_BRAIN) == "true"
    try:
        if _writes(world, should):
            return None
    except BennuError as error:
        # A server that is silent for a moment is no news, but for a rotation in which it may have been fenced.
        return DependencyDown(f"whether {should.cluster} accepts writes cannot be read: {error.message}", next_step="bennu rotate resume") if seen else None
    why = "it was fenced when two masters were seen" if seen else "somebody else changed its role"
    return OperatorNeeded(f"{should.cluster} accepts no writes ({why})", changed=_other_side(world, other), next_step=_NEXT)


def target_silent(world: World) -> bool:
    """Whether the target's Redis does not answer at all: nothing is said of it then as if it did."""
    return bool(world.conf.redis) and not world.systems.redis(world.rotation.target).lives()


def _writes(world: World, colour: Colour) -> bool:
    return world.systems.redis(colour).observe().is_master if world.conf.redis else Pointers(world).says_master(colour)


def _other_side(world: World, colour: Colour) -> str:
    try:
        return f"nothing was changed; {colour.cluster} is a master" if _writes(world, colour) else "nothing was changed; nobody accepts writes"
    except BennuError:
        return f"nothing was changed; {colour.cluster} does not answer, and nobody is known to accept writes"
