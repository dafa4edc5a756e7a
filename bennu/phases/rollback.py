"""The ways back: from S1–S5 by taking the target down, from S7 by a reverse switchover first.

Traffic goes back before anything is unlinked, and the target is destroyed last. Git ends as it was, but for its history.
"""

from __future__ import annotations

from bennu.core.states import State
from bennu.core.verdict import Verdict
from bennu.manifests import tree
from bennu.phases import switchover_locked, takedown
from bennu.phases.active_only import Start
from bennu.phases.base import Effect, Pen, Seen, Step, World
from bennu.phases.promoted import Dns, Ttl
from bennu.phases.traffic_canary import ToSource


class BackToSource(ToSource):
    """The canary's own way back, as a step of the rollback."""

    id = "rollback.traffic"


class Swapped(Step):
    """A step of the forward list, run with the roles swapped: the reverse switchover is the same procedure."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.id = step.id  # type: ignore[misc]
        self.title = step.title  # type: ignore[misc]
        self.awaits = step.awaits  # type: ignore[misc]

    def observe(self, world: World) -> Seen:
        """In the swapped world."""
        return self._step.observe(world.swapped())

    def act(self, world: World, pen: Pen) -> Effect:
        """In the swapped world."""
        return self._step.act(world.swapped(), pen)

    def gate(self, world: World) -> Verdict:
        """In the swapped world."""
        return self._step.gate(world.swapped())


def steps(world: World, state: State) -> tuple[Step, ...]:
    """What is done to go back to the source from *state*. Each step finds out by itself whether there is anything to undo."""
    found: list[Step] = [BackToSource()] if world.text(world.rotation.source, tree.INGRESS_ROUTING) is not None else []
    if world.conf.active_only and state.number >= State.TRAFFIC_CANARY.number:
        # Only after a hand-over or an abort can they be held at the source; the reverse switchover has started them already, then this finds nothing to do.
        found.append(Start(at_source=True, step_id="rollback.active-only"))
    return (*found, *takedown.steps("rollback", source=False))


def reverse(world: World) -> tuple[Step, ...]:
    """S7's way back: the forward list in the swapped world, then the route, DNS, and the TTL for which clients may still come to the target."""
    dns: tuple[Step, ...] = (Dns("source", "rollback.dns"), Ttl("source", "rollback.ttl")) if world.conf.dns is not None else ()
    return (*(Swapped(step) for step in switchover_locked.forward_steps(world)), BackToSource(), *dns)


def reverse_retreat(world: World) -> tuple[Step, ...]:
    """What puts the authority's surroundings back at the target where it could not be handed back. Refuses where the source has it already."""
    return tuple(Swapped(step) for step in switchover_locked.retreat_steps(world))
