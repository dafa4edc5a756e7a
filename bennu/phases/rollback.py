"""The ways back: from S1–S5 by taking the target down, from S7 by a reverse switchover first.

Traffic goes back before anything is unlinked, and the target is destroyed last. Git ends as it was, but for its history.
"""

from __future__ import annotations

from dataclasses import replace

from bennu.core.policy import Policy
from bennu.core.states import State
from bennu.core.verdict import Verdict, opened
from bennu.manifests import tree
from bennu.phases import switchover_locked, takedown
from bennu.phases.active_only import Start
from bennu.phases.base import Effect, Pen, Seen, Step, World
from bennu.phases.divergence import BothSides, HandBack, Judge, Keep, Rejoin, is_broken
from bennu.phases.precheck import Precheck
from bennu.phases.promoted import Dns, Ttl
from bennu.phases.snapshot import OPTION
from bennu.phases.traffic_canary import ToSource


class BackToSource(ToSource):
    """The canary's own way back, as a step of the rollback."""

    id = "rollback.traffic"


class PastLink(Step):
    """A step of the reverse switchover that asks for the reverse link, and what stands in its place where that is broken (None: nothing)."""

    def __init__(self, step: Step, instead: Step | None) -> None:
        self._step, self._instead = step, instead
        self.id = step.id  # type: ignore[misc]
        self.title = step.title  # type: ignore[misc]
        self.awaits = step.awaits  # type: ignore[misc]

    def _chosen(self, world: World) -> Step | None:
        return self._instead if is_broken(world) else self._step

    def observe(self, world: World) -> Seen:
        """That of the one that is chosen."""
        step = self._chosen(world)
        return Seen(True, "the reverse link is broken; what going back loses was judged") if step is None else step.observe(world)

    def act(self, world: World, pen: Pen) -> Effect:
        """That of the one that is chosen."""
        step = self._chosen(world)
        return Effect() if step is None else step.act(world, pen)

    def gate(self, world: World) -> Verdict:
        """That of the one that is chosen."""
        step = self._chosen(world)
        return opened("judged") if step is None else step.gate(world)

    def glance(self, world: World) -> Verdict:
        """That of the one that is chosen."""
        step = self._chosen(world)
        return opened("judged") if step is None else step.glance(world)


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

    def glance(self, world: World) -> Verdict:
        """In the swapped world."""
        return self._step.glance(world.swapped())

    def timeout_s(self, policy: Policy) -> float:
        """As forward."""
        return self._step.timeout_s(policy)


def steps(world: World, state: State) -> tuple[Step, ...]:
    """What is done to go back to the source from *state*. Each step finds out by itself whether there is anything to undo."""
    found: list[Step] = [BackToSource()] if world.text(world.rotation.source, tree.INGRESS_ROUTING) is not None else []
    if world.conf.active_only and state.number >= State.TRAFFIC_CANARY.number:
        # Only after a hand-over or an abort can they be held at the source; the reverse switchover has started them already, then this finds nothing to do.
        found.append(Start(at_source=True, step_id="rollback.active-only"))
    return (*found, *(takedown.steps("rollback", source=False) if world.rotation.made_target else ()))


def reverse(world: World) -> tuple[Step, ...]:
    """S7's way back: the forward list in the swapped world, then the route, DNS, and the TTL for which clients may still come to the target."""
    dns: tuple[Step, ...] = (Dns("source", "rollback.dns"), Ttl("source", "rollback.ttl")) if world.conf.dns is not None else ()
    instead: dict[str, Step | None] = {HandBack.id: Swapped(HandBack()), Precheck.id: None}
    found: list[Step] = []
    for step in switchover_locked.forward_steps(replace(world, rotation=replace(world.rotation, options=world.rotation.options - {OPTION}))):
        found.append(PastLink(Swapped(step), instead[step.id]) if step.id in instead else Swapped(step))
        found += [Keep()] if step.id == HandBack.id else []
    return (*found, BackToSource(), *dns)


def judge(world: World) -> tuple[Step, ...]:
    """What is asked before the authority is handed back, and done so that the answer can be good."""
    return (Rejoin(), Judge(), BothSides())


def reverse_retreat(world: World) -> tuple[Step, ...]:
    """What puts the authority's surroundings back at the target where it could not be handed back. Refuses where the source has it already."""
    return tuple(Swapped(step) for step in switchover_locked.retreat_steps(world))
