"""A source that was declared dead: its Flux is never waited for, and what cannot be asked of it is passed over.

Nothing is decided here. That a cluster may be treated so is an operator's word, taken by ``phases/disaster.py`` in a rotation and by ``rotate cleanup --gone`` afterwards.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.disaster import BY
from bennu.errors import DependencyDown, UsageError
from bennu.phases.base import World
from bennu.phases.kinds import NODE, condition

OPTION = "gone"


def is_disaster(world: World) -> bool:
    """Whether this run goes on without its source."""
    return bool(world.facts.get(BY)) or OPTION in world.rotation.options


def answers(world: World, colour: Colour) -> bool:
    """Whether a cluster's API answers."""
    try:
        world.systems.cluster(colour).version()
    except (DependencyDown, UsageError):
        return False
    return True


def given_up(world: World, colour: Colour) -> bool:
    """Whether *colour* is a source that was declared dead."""
    return is_disaster(world) and colour is world.rotation.source


def silent(world: World, colour: Colour) -> bool:
    """Whether it was declared dead, and its API does not answer either. One that answers is told what it can be told."""
    return given_up(world, colour) and not answers(world, colour)


def gone(world: World, colour: Colour) -> bool:
    """Whether it was declared dead, and nothing of it is seen to run: its API is silent, or not one of its nodes is ready."""
    if not given_up(world, colour):
        return False
    try:
        return not any(condition(node, "Ready")[0] == "True" for node in world.systems.cluster(colour).list(NODE))
    except (DependencyDown, UsageError):
        return True
