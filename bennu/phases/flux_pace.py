"""How long Flux takes, measured: by asking it (``doctor``, ``start``), and for nothing at each commit that a rotation waits for. ``core.flux_pace`` judges it."""

from __future__ import annotations

from collections.abc import Mapping

from bennu.core.clusters import Colour
from bennu.core.flux_pace import Sample, fast_enough, given_up, longest_s
from bennu.core.verdict import Verdict
from bennu.phases.base import World
from bennu.phases.kinds import GIT_REPOSITORY, KUSTOMIZATION
from bennu.phases.reconciled import TOOK, answered, applied, hurry
from bennu.phases.redis_pod import by_manifest
from bennu.phases.traffic_canary import ToSource

_SAMPLES = 3
# No further sample is begun after this; the one that is under way is given up where it has shown that Flux is too slow.
_ENOUGH_S = 10.0
_LOOK_S = 0.25


def commits_of_switchover(world: World) -> int:
    """How many commits S6 waits for Flux to apply: the flip, the stop and the start of what may run only once, the fence in a manifest."""
    return 1 + 2 * bool(world.conf.active_only) + by_manifest(world)


def measured_now(world: World) -> Verdict:
    """The source's Flux, asked to reconcile everything up to three times. Takes as long as Flux does, at most about ten seconds and what one reconcile may take."""
    colour, clock = world.rotation.source, world.systems.clock
    begin = clock.boot()
    seconds: list[float] = []
    while len(seconds) < _SAMPLES and clock.boot() - begin <= _ENOUGH_S:
        one = _Asking(world, colour)
        while not (verdict := one.look(world)).is_open:
            verdict = verdict if verdict.failed else still_waited_for(world, verdict, one.begun)
            if verdict.failed:
                return verdict
            clock.wait(_LOOK_S)
        seconds.append(clock.boot() - one.begun)
    return _judged(world, colour, seconds)


def still_waited_for(world: World, found: Verdict, begun: float) -> Verdict:
    """*found*, what a request of *begun* waits for; failed once that has taken longer than it may."""
    commits, budget, waited = commits_of_switchover(world), world.policy.switchover_timeout_s, world.systems.clock.boot() - begun
    return given_up(found.reason, waited, commits, budget) if waited > longest_s(commits, budget) else found


def pace(world: World, colour: Colour, *fresh: float) -> Verdict:
    """What this attempt's commits took in *colour*'s cluster, and *fresh* samples beside them."""
    return _judged(world, colour, [*_noted(world.facts, colour), *fresh])


def _judged(world: World, colour: Colour, seconds: list[float]) -> Verdict:
    return fast_enough(colour.cluster, seconds, commits_of_switchover(world), world.policy.switchover_timeout_s)


def _noted(facts: Mapping[str, str], colour: Colour) -> list[float]:
    """What was measured before an attempt was given up says nothing of the next one: somebody mended it meanwhile, or it is measured anew."""
    found = {name: sample for name, text in facts.items() if name.startswith(TOOK) and (sample := Sample.parse(text)) is not None}
    aborted = max((one.at for name, one in found.items() if name.endswith(f".{ToSource.id}")), default=None)
    return [one.seconds for name, one in found.items() if name.startswith(f"{TOOK}{colour}.") and (aborted is None or one.at > aborted)]


class _Asking:
    """One request, to the sources and then to what they feed: a commit that changes nothing is applied without anybody's work."""

    def __init__(self, world: World, colour: Colour) -> None:
        self.begun = world.systems.clock.boot()
        self._colour = colour
        self._source = hurry(world, colour)
        self._feeds = ""

    def look(self, world: World) -> Verdict:
        """Open once all of it is done."""
        found = answered(world, self._colour, self._source, GIT_REPOSITORY)
        if not found.is_open:
            return found
        self._feeds = self._feeds or hurry(world, self._colour, KUSTOMIZATION)
        found = answered(world, self._colour, self._feeds, KUSTOMIZATION)
        return applied(world, self._colour) if found.is_open else found
