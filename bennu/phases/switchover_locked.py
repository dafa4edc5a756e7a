"""S6 SWITCHOVER_LOCKED: the runbook around the critical section (``hand_over``, ``section``).

Before it: the pre-check, which no client notices, and the stop of what may run only once. After it: one commit that flips both clusters, Flux let back onto the pointer
objects only once Git says the same, and the start of what may run only once at the new master.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.invariants import single_master
from bennu.core.states import Event, State
from bennu.core.switchover import FLIP_COMMIT, closed
from bennu.core.verdict import Verdict, opened, shut
from bennu.errors import DependencyDown, StoppedSafe
from bennu.manifests import profile_sync, traffic_state, tree
from bennu.phases import pointer, warm_directory
from bennu.phases.active_only import Start, Stop
from bennu.phases.base import Effect, GitStep, Pen, Phase, Seen, Step, World
from bennu.phases.critical_servers import intent_of
from bennu.phases.disaster import PROMOTED_RUN, Alone
from bennu.phases.fence_manifest import Arm, Disarm
from bennu.phases.gone import given_up, is_disaster
from bennu.phases.hand_over import HandOver
from bennu.phases.pointer import Pointers, answering, desired
from bennu.phases.pointer_back import put_back
from bennu.phases.precheck import Precheck
from bennu.phases.reconciled import applied, hurry
from bennu.phases.redis_pod import by_manifest, came_back_armed
from bennu.phases.section_errors import promoted_and_parked, restarted_armed
from bennu.phases.snapshot import OPTION, Snapshot
from bennu.phases.take_over import in_charge
from bennu.phases.traffic_canary import ToSource
from bennu.ports.redis import Observation
from bennu.ports.repository import Edit


class FlipCommit(GitStep):
    """Git says what the clusters say already: one commit for both."""

    id = FLIP_COMMIT
    title = "the authority in Git"
    subject = "Hand the write authority to {target}"
    why = "{source} writes through the mirror of {target} from here on. Both clusters' pointers and Redis variants flip in this one commit."

    def observe(self, world: World) -> Seen:
        """As any commit. Its variant makes a new master that came back parked an open one at the next start, whatever it has lost: first it must be one still."""
        _stands(world)
        return super().observe(world)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """traffic-state.yaml and the Redis variant, both clusters."""
        found: list[Edit] = []
        for colour in (world.rotation.source, world.rotation.target):
            found += _flipped(world, colour)
        single_master({colour: _is_master_after(world, colour, found) for colour in Colour}, "traffic-state in Git, as this commit would leave it")
        return tuple(found)


def _is_master_after(world: World, colour: Colour, edits: list[Edit]) -> bool:
    path = world.path(colour, tree.TRAFFIC_STATE)
    text = next((edit.text for edit in edits if edit.path == path), world.systems.repository.read(path))
    return text is not None and traffic_state.parse(text, path, world.conf.pointer.keys).is_write_master


def _flipped(world: World, colour: Colour) -> list[Edit]:
    repository, master = world.systems.repository, world.rotation.target
    state, profile = world.path(colour, tree.TRAFFIC_STATE), world.path(colour, tree.PROFILE_SYNC)
    edits = []
    if (text := repository.read(state)) is not None:
        edits.append(Edit(state, pointer.edited(world, colour, master, text, state)))
    if world.conf.redis and (text := repository.read(profile)) is not None:
        variant = warm_directory.HOT if colour is master else warm_directory.WARM
        edits.append(Edit(profile, profile_sync.with_variant(text, variant, profile)))
    return edits


class FluxBack(Step):
    """Give the pointer objects back to Flux, now that Git says the same."""

    id = "switchover-locked.flux-back"
    title = "Flux follows the pointer again"
    awaits = "Flux at the commit that flipped the authority, in both clusters"

    def __init__(self) -> None:
        self._hurried: set[Colour] = set()

    def observe(self, world: World) -> Seen:
        """Already so where Flux is held off neither."""
        return Seen(not Pointers(world).flux_is_off(), "Flux is not held off")

    def act(self, world: World, pen: Pen) -> Effect:
        """Remove the hold."""
        # Safe to repeat: the content is what Git says, so Flux and we write the same.
        pointers = Pointers(world)
        pointers.claim()
        pointers.let_flux(desired(world, self.master(world)))
        return Effect()

    def master(self, world: World) -> Colour:
        """Whom Git names."""
        return world.rotation.target

    def gate(self, world: World) -> Verdict:
        """Flux applied the commit, the live pointers say the same, and the new master is one still: from here on a restart comes back as one."""
        for colour in (world.rotation.source, world.rotation.target):
            if colour not in self._hurried and not given_up(world, colour):
                hurry(world, colour)
                self._hurried.add(colour)
        for colour in (world.rotation.source, world.rotation.target):
            if given_up(world, colour):
                continue
            found = applied(world, colour)
            if not found.is_open:
                return found
        if not Pointers(world).matches(desired(world, self.master(world))):
            return shut("a live pointer differs from Git")
        _stands(world)
        return opened("Git, Flux and the pointers agree")


def _stands(world: World) -> None:
    """Where the manifest says how a server starts, a new master that restarts before its variant is applied comes back parked. Raises OperatorNeeded."""
    if not by_manifest(world):
        return
    target = world.systems.redis(world.rotation.target).observe()
    if not target.is_master:
        raise promoted_and_parked(None if is_disaster(world) else world.systems.redis(world.rotation.source).observe(), target)


class GiveUp(Step):
    """The way back of S6: pointers at the source, Flux on. Refuses where the promotion has happened: from there it only goes forward."""

    id = "switchover-locked.give-up"
    title = "the source stays master"

    def observe(self, world: World) -> Seen:
        """Never already: the roles are read each time, by the act, once older holders are cut off."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """Pointers back, Flux on."""
        with in_charge(world, pen):
            _refuse_if_promoted(world)
            return Effect(closed(world.facts) | put_back(world, pen) | _history(world))


def _history(world: World) -> dict[str, str]:
    """The source's replid, where it descends from the one noted in S4: an aborted fence gave it a new one, and the next would hide the first."""
    if not world.conf.redis:
        return {}
    source = world.systems.redis(world.rotation.source).observe()
    return {"source.replid": source.replid} if world.facts.get("source.replid") in (source.replid, source.replid2) else {}


def _refuse_if_promoted(world: World) -> None:
    # Without Redis the pointer is the authority: taken from the source before the target got it, so that a target without it never had it.
    if _may_be_promoted(world) if world.conf.redis else _named(world, world.rotation.target):
        raise StoppedSafe("the target may have been promoted: from there it only goes forward", next_step="bennu rotate resume")


def _may_be_promoted(world: World) -> bool:
    redis = world.systems.redis
    try:
        source = redis(world.rotation.source).observe()
        if _still_announced(world, source):
            return False
        target = redis(world.rotation.target).observe()
        if not world.facts.get(PROMOTED_RUN) and came_back_armed(world, world.facts, source, target):
            raise restarted_armed(source, target)
        return target.is_master or not source.is_master
    except DependencyDown as error:
        if is_disaster(world) and redis(world.rotation.target).observe().is_master:
            return True
        raise DependencyDown(
            f"whether the target was promoted cannot be read: {error.message}",
            changed="nothing is decided; possibly the source is fenced: nobody accepts writes then, and none is lost",
            next_step="make both Redis servers reachable, then 'bennu rotate resume'",
        ) from error


def _still_announced(world: World, source: Observation) -> bool:
    """Whether nothing was promoted, whatever the target would say: the source is master, no pointer that can be read names the target, and no critical section is open, or the source's
    history is the announced one (it was never fenced) or the one that began when the fence was withdrawn before the promotion.
    """
    intent = intent_of(world.facts)
    known = intent is None or source.replid in (intent.replid, intent.withdrawn)
    try:
        return source.is_master and known and not answering(world).names(world.rotation.target)
    except DependencyDown:
        # The source's API is silent. That its Redis is master it says itself, and the act cannot go on without the pointer.
        return source.is_master and known


def _named(world: World, colour: Colour) -> bool:
    return world.is_master_in_git(colour) or Pointers(world).says_master(colour)


def _without_source(world: World) -> tuple[Step, ...]:
    """In a disaster the writers come first. What may run only once starts at the target when Git holds it at the source, and none of it is seen running there any more."""
    moves = (Stop(at_source=True, step_id="switchover-locked.stop-active-only"), Start(at_source=False, step_id="switchover-locked.start-active-only"))
    return (Alone(), FlipCommit(), FluxBack(), *(moves if world.conf.active_only else ()))


def _steps(world: World) -> tuple[Step, ...]:
    if is_disaster(world):
        return _without_source(world)
    stop = (Stop(at_source=True, step_id="switchover-locked.stop-active-only"),) if world.conf.active_only else ()
    start = (Start(at_source=False, step_id="switchover-locked.start-active-only"),) if world.conf.active_only else ()
    snapshot = (Snapshot(),) if OPTION in world.rotation.options and world.conf.redis else ()
    # Before the workloads are stopped: a kubelet takes its time.
    arm = (Arm(),) if by_manifest(world) else ()
    return (*snapshot, Precheck(), *arm, *stop, HandOver(), FlipCommit(), FluxBack(), *start)


def forward_steps(world: World) -> tuple[Step, ...]:
    """The list; the reverse switchover runs the same one in the swapped world."""
    return _steps(world)


def retreat_steps(world: World) -> tuple[Step, ...]:
    """What is undone before the promotion; in the swapped world, that of a reverse switchover."""
    again = (Start(at_source=True, step_id="switchover-locked.restart-active-only"),) if world.conf.active_only else ()
    disarm = (Disarm(),) if by_manifest(world) else ()
    return (GiveUp(), *disarm, *again)


def _retreat(world: World) -> tuple[Step, ...]:
    return (*retreat_steps(world), ToSource())


PHASE = Phase(State.SWITCHOVER_LOCKED, Event.PROMOTION_COMPLETE, _steps, retreat=_retreat, retreat_event=Event.ABORT, atomic=True)
