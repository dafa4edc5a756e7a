"""S6's hand-over as a step: open the critical section's connections, run it (``phases/section.py``), and try again what passes by itself.

Every exception is treated by what may have happened at that point: before the fence the source is unpaused, after it a resume reads the servers
(``core.switchover.decide``), never the holder's memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import ClassVar, NoReturn

from bennu.core.switchover import BY_POINTER, HAND_OVER, Todo, announced, closed, decide
from bennu.core.verdict import Verdict, opened
from bennu.errors import DependencyDown
from bennu.phases.base import Effect, Pen, Seen, Step, StepAborted, World
from bennu.phases.critical_servers import Hands, handed_over, intent_of, server
from bennu.phases.pointer import Pointers, answering, desired, released
from bennu.phases.section import Section
from bennu.phases.section_errors import NotNow, refusal, roles
from bennu.phases.take_over import connection_name, take_over


class HandOver(Step):
    """Move the write authority from source to target."""

    id = HAND_OVER
    title = "the write authority"
    section: ClassVar[type[Section]] = Section

    def observe(self, world: World) -> Seen:
        """Already so where the target is master, the source follows it, and both pointers say so. Once it was announced the act alone can tell: roles count when older holders are cut off."""
        if announced(world.facts):
            return Seen(False)
        if not world.conf.redis:
            return Seen(Pointers(world).matches(desired(world, world.rotation.target)), "the pointers name the target", released(world))
        source = world.systems.redis(world.rotation.source).observe()
        try:
            target = world.systems.redis(world.rotation.target).observe()
        except DependencyDown:
            return Seen(False, "the target does not answer")  # what may be done without it, the act finds out
        done = handed_over(source, target) and Pointers(world).matches(desired(world, world.rotation.target))
        return Seen(done, "the target is master and the source follows it", released(world))

    def act(self, world: World, pen: Pen) -> Effect:
        """Hand over, or resume what an earlier holder began."""
        if not world.conf.redis:
            return _pointer_alone(world, pen)
        last: Exception | None = None
        # What this holder announced outlives a lost connection: the world's facts are those of the act's begin.
        figures: dict[str, str] = {}
        for attempt in range(world.policy.switchover_tries):
            try:
                with _connected(world) as hands, ExitStack() as quiet:
                    # A heartbeat's push must not lie between pause and release.
                    quiet.enter_context(pen.undisturbed())
                    effect = self.section(world, pen, hands, figures, quiet).run(resume=attempt > 0 or announced(world.facts))
                    return Effect({**effect.facts, **closed(world.facts), **released(world)})
            except NotNow as late:
                # A burst of writes or a save passes; a link that is too slow does not.
                if attempt + 1 == world.policy.switchover_tries:
                    raise
                distance = world.policy.retry_s * 2**attempt
                pen.tell(f"{late}; trying again in {distance:.0f} s")
                world.systems.clock.wait(distance)
            except _TargetSilent as silent:
                facts = {**world.facts, **figures}
                if intent_of(facts) is None:
                    # Row 40 of the fault catalogue. Nothing was announced; that the source is master is for the retreat to see.
                    raise StepAborted(f"the target was lost before the hand-over: {silent.message}") from None
                _source_alone(world, pen, facts)
            except ConnectionError as error:
                # A lost connection ends this section; what it had reached is read from the servers by the next one.
                last = error
                pen.tell(f"a connection of the critical section was lost: {error}")
        raise DependencyDown(
            f"the critical section lost its connections {world.policy.switchover_tries} times: {last}",
            changed="possibly the source is fenced: nobody accepts writes then, and none is lost",
            next_step="bennu rotate resume",
        )

    def gate(self, world: World) -> Verdict:
        """The act has verified what it did; nothing may turn the run aside here, since from the promotion on it only goes forward."""
        return opened(f"{world.rotation.target.cluster} has it")

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        if not world.conf.redis:
            return "hand the pointer over (no Redis in the clusters)"
        return f"fence Redis of {world.rotation.source.cluster}, prove its offset, promote {world.rotation.target.cluster}, flip both pointers (milliseconds)"


class _TargetSilent(DependencyDown):
    """The source answers, the target's connection cannot be opened."""


@contextmanager
def _connected(world: World) -> Iterator[Hands]:
    with ExitStack() as stack:
        source = stack.enter_context(world.systems.redis(world.rotation.source).critical(connection_name(world)))
        try:
            target = stack.enter_context(world.systems.redis(world.rotation.target).critical(connection_name(world)))
        except DependencyDown as down:
            raise _TargetSilent(down.message, next_step=down.next_step) from None
        yield Hands(source, target)


def _source_alone(world: World, pen: Pen, facts: Mapping[str, str]) -> NoReturn:
    """A target that died (row 40 of the fault catalogue): the source is let go where it is still the master that was announced, and where it is not, nobody decides (8).

    An older holder's connection to the target cannot be cut from here. Its connection to the source can, and without that one it cannot fence; where it had fenced, the source is no master,
    or has another replid since, and nothing is done.
    """
    pointers, redis = answering(world), world.systems.redis(world.rotation.source)
    with redis.critical(connection_name(world)) as source:
        take_over(world, pen, pointers, world.rotation.source)
        seen, named = source.observe(), pointers.names(world.rotation.target)
        decision = decide(server(seen), None, intent_of(facts), named)
        if decision.todo is Todo.RETRY:
            source.unpause()
            pointers.flip(desired(world, world.rotation.source))
            raise StepAborted(decision.why)
    raise refusal(decision, roles(seen, None, named=named))


def _pointer_alone(world: World, pen: Pen) -> Effect:
    """State lives outside the clusters: the authority is the pointer alone. Taken from the source before it is given to the target."""
    pointers = Pointers(world)
    take_over(world, pen, pointers, announces=BY_POINTER)
    wanted = desired(world, world.rotation.target)
    source = world.rotation.source
    pointers.flip({source: wanted[source]})
    pointers.flip({world.rotation.target: wanted[world.rotation.target]})
    return Effect({"pause.ms": "0"} | closed(world.facts, BY_POINTER) | released(world))
