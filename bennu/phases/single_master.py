"""The Single Master rule, watched from outside while a rotation runs: every Redis pod of both clusters, and both pointers.

The order of the steps makes two masters impossible; this is for hands that are not Bennu's. It samples over connections of its own and decides nothing by one reading
(``core.invariants.at_once``). What it finds it fences at once, without waiting for the run: the giving side's servers are parked, so that nothing more is acknowledged there,
and nothing is merged, attached or thrown away afterwards (exit 7).

It begins with the history that S4 notes: before it, the target's Redis is a stranger.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.invariants import Master, at_once
from bennu.core.record import instant
from bennu.core.states import Direction, State
from bennu.core.switchover import RELEASED, stray_bytes
from bennu.errors import BennuError, SplitBrainError
from bennu.phases.base import World
from bennu.phases.critical_servers import PARKING, server
from bennu.phases.gone import given_up
from bennu.phases.kinds import CONFIGMAP
from bennu.phases.pointer import Pointers, desired
from bennu.ports.kubernetes import Ref

_NEXT = (
    "decide which side's writes to keep before anything is attached or resumed (docs/switchover.md, \"Two masters\"); 'bennu rotate status --why' shows both"
)


def left_to_watch(world: World) -> float:
    """Seconds for which a watch is still due after the hand-over, by the instant that the journal has of its release: never more than ``watch_after_release_s``, whatever two machines' clocks
    say, and 0 where none was handed over.
    """
    said, whole = world.facts.get(RELEASED), world.policy.watch_after_release_s
    if not said:
        return 0.0
    begun = instant(said)
    if begun is None:
        return whole
    passed = (world.systems.clock.wall() - begun).total_seconds()
    return min(whole, max(0.0, whole - passed))


def giving(world: World, direction: Direction) -> Colour:
    """The side that loses an argument about who is master: the source on the way forward, the target on every way back."""
    return world.rotation.source if direction is Direction.FORWARD else world.rotation.target


def masters(world: World) -> tuple[Master, ...]:
    """Every server that says it is a master now. Both clusters are asked at once; one that does not answer says nothing."""

    def asked(colour: Colour) -> list[Master]:
        try:
            found = world.systems.redis(colour).members()
        except BennuError:
            return []  # not made yet, or gone
        seen = [(one.name, one.seen) for one in found if one.seen.is_master]
        return [Master(colour, name, it.run_id, it.replid, it.replid2, it.keys) for name, it in seen]

    with world.systems.crew(2) as pool:
        return tuple(one for found in pool.map(asked, (world.rotation.source, world.rotation.target)) for one in found)


class MasterWatch:
    """What one run's watch remembers between two looks: who was master, and which pointer claimed to be."""

    def __init__(self) -> None:
        self._before: tuple[Master, ...] = ()
        self._pointers: dict[Colour, str] = {}

    def look(self, world: World, direction: Direction) -> SplitBrainError | None:
        """One look at all servers; where two are masters, the second reading follows at once. Fences and returns the error, else None."""
        history = world.facts.get("source.replid", "")
        if not history:
            return None
        before, self._before = self._before, masters(world)
        found = at_once(before, self._before, history)
        if not found and len(self._before) > 1:
            before, self._before = self._before, masters(world)
            found = at_once(before, self._before, history)
        return _fenced(world, found, giving(world, direction)) if found else None

    def look_at_pointers(self, world: World, state: State, direction: Direction) -> SplitBrainError | None:
        """One look at both ConfigMaps. In S6 they flip one beside the other while Redis itself holds writers back; outside it, and wherever the pointer is all the authority, both never say master."""
        claims = _claims(world) if not world.conf.redis or state is not State.SWITCHOVER_LOCKED else {}
        # The same version in both readings: it said so all the time between.
        stayed = [colour for colour, version in claims.items() if self._pointers.get(colour) == version]
        self._pointers = claims
        return _contradicted(world, giving(world, direction)) if len(stayed) > 1 else None


def _fenced(world: World, found: tuple[Master, ...], colour: Colour) -> SplitBrainError:
    """Park the giving side's masters, each asked once more over the connection that fences it. Two masters of one cluster are told, not fenced: which of them its apps use is not Bennu's to guess."""
    done, failed = [], []
    for one in found if len({one.colour for one in found}) > 1 else ():
        if one.colour is not colour:
            continue
        try:
            with world.systems.redis(colour).critical(f"bennu-{world.rotation.id}-{world.epoch}", one.member) as hand:
                seen = hand.observe()
                # Safe to repeat, and harmless where the finding is old: only the process that was seen, as long as it is a master under the history that was seen.
                if seen.is_master and (seen.run_id, seen.replid) == (one.run_id, one.replid):
                    hand.fence(PARKING)
                    done.append(_named(one))
        except (BennuError, ConnectionError) as error:
            failed.append(f"{_named(one)} ({error})")
    changed = f"fenced, it accepts no write any more: {', '.join(done)}" if done else "nothing was fenced"
    if failed:
        changed += f"; NOT fenced: {', '.join(failed)}"
    who = " and ".join(_named(one) for one in found)
    return SplitBrainError(f"two servers accepted writes at the same time: {who}; {_divergence(world)}", changed=changed, next_step=_NEXT)


def _named(one: Master) -> str:
    return f"Redis of {one.colour.cluster}" + (f" (pod {one.member})" if one.member else "")


def _divergence(world: World) -> str:
    try:
        source, target = (server(world.systems.redis(colour).observe()) for colour in (world.rotation.source, world.rotation.target))
    except BennuError as error:
        return f"how far they differ cannot be read: {error.message}"
    only = stray_bytes(source, target)
    if only is None:
        return "their histories are not related any more"
    return f"{only} bytes of replication stream are in {world.rotation.source.cluster} alone"


def _claims(world: World) -> dict[Colour, str]:
    """Whose pointer says that its own cluster is the master, with the object's version. Beside Redis, that of a source given up as dead is none: it says so until its own Flux pulls, if ever."""
    where = world.conf.pointer.configmap
    found = {}
    for colour in (world.rotation.source, world.rotation.target):
        if world.conf.redis and given_up(world, colour):
            continue
        try:
            live = world.systems.cluster(colour).get(Ref(CONFIGMAP, where.name, where.namespace))
        except BennuError:
            continue
        if live is not None and (live.get("data") or {}).get(world.conf.pointer.keys.master) == "true":
            found[colour] = str(live["metadata"]["resourceVersion"])
    return found


def _contradicted(world: World, colour: Colour) -> SplitBrainError:
    """Two pointers with the authority. With Redis behind them its roles still let one side write alone; without, the giving side's pointer is taken back."""
    changed = "nothing was changed: Redis lets one side write alone"
    if not world.conf.redis:
        other = world.rotation.target if colour is world.rotation.source else world.rotation.source
        pointers = Pointers(world)
        try:
            # Guarded by the epoch and the resourceVersion, and safe to repeat: the content is what Git would say.
            pointers.claim()
            pointers.flip({colour: desired(world, other)[colour]})
            changed = f"the pointer of {colour.cluster} no longer has the authority; Flux is held off both pointers"
        except BennuError as error:
            changed = f"nothing: the pointer of {colour.cluster} cannot be written ({error.message})"
    where = world.conf.pointer.configmap
    both = f"{world.rotation.source.cluster} and {world.rotation.target.cluster}"
    return SplitBrainError(f"{world.conf.pointer.keys.master} is true in {where.namespace}/{where.name} of both {both}", changed=changed, next_step=_NEXT)
