"""The exhaustive model's counterexamples, replayed: with the rule in place nothing is destroyed, and with the rule taken out the harm is there, so that each replay is seen to reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.core.switchover import Decision, Intent, Server, Todo, decide
from bennu.phases import fence_manifest, hand_over, section
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from bennu.ports.redis import Address, Fenced
from tests.sim.controllers_node import PARKED
from tests.sim.memory_redis import MemoryCritical, MemoryRedis
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, entered
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))
BY_MANIFEST = Kit(weights=(10,), ledger="fence: {persists_by: manifest}")
Breaking = Callable[[Universe, pytest.MonkeyPatch], None]


def destroyed(world: Universe) -> list[str]:
    """Acknowledged writes that no server holds any more."""
    return [key for key in world.acknowledged if not any(key in server.state.keys for server in world.servers.values())]


def harm(world: Universe) -> list[str]:
    """What must never be: destroyed writes, one master that lacks an acknowledged write, or two masters."""
    lacking = world.lost() if len(world.writable()) == 1 else destroyed(world)
    return [*lacking, *(words for words in world.violations if "two servers accept writes" in words)]


def once(call: str, strike: Callable[[], None]) -> Callable[[str], None]:
    """A tap that strikes at the first call of that name."""
    left = [True]

    def tap(name: str) -> None:
        if name == call and left[0]:
            left[0] = False
            strike()

    return tap


# The pause runs out, a write is acknowledged, and the link stands still: the target lacks it when the source is fenced.


def overtaken(world: Universe) -> Outcome:
    source, target = world.servers[Colour.BLUE], world.servers[Colour.GREEN]

    def runs_out() -> None:
        world.net.cut(target, source)
        source.paused_until = 0.0

    taps = Taps(before=once("redis.blue.fence", runs_out))
    healed = once("redis.blue.make_master", lambda: world.net.heal(target, source))

    def after(call: str) -> None:
        healed(call)
        if call == "redis.blue.attach":
            world.net.heal(target, source)

    taps.after = after
    return Pilot(world, taps=taps).resume()


def proof_from_the_pause(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """The offset read at the pause is taken for the fence's."""
    at_pause: list[int] = []
    pause, fence = MemoryCritical.pause, MemoryCritical.fence

    def paused(self: MemoryCritical, milliseconds: int) -> int:
        at_pause.append(pause(self, milliseconds))
        return at_pause[-1]

    def fenced(self: MemoryCritical, parking: Address) -> Fenced:
        return replace(fence(self, parking), offset=at_pause[-1])

    patch.setattr(MemoryCritical, "pause", paused)
    patch.setattr(MemoryCritical, "fence", fenced)


# The holder dies when the target was promoted and has acknowledged writes; the target restarts as a replica; somebody else decides.


def promoted_and_restarted(world: Universe) -> Outcome:
    def dies() -> None:
        raise Killed

    left = Pilot(world, ANN, taps=Taps(after=lambda call: dies() if call == "kubernetes.blue.apply" and world.writable() == ["green"] else None)).resume()
    assert isinstance(left.error, Killed)
    world.clients_write()
    target = world.servers[Colour.GREEN]
    target.written_master = world.servers[Colour.BLUE].address
    target.crash()
    world.disk(ANN.name).locks.clear()
    return taken_over(world)


def by_roles_alone(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """Nobody is master, so nothing was promoted: the source is opened."""

    def naive(source: Server | None, target: Server | None, intent: Intent | None, named: bool) -> Decision:
        if source and target and not source.is_master and not target.is_master:
            return Decision(Todo.UNFENCE, "nobody is master")
        return decide(source, target, intent, named)

    patch.setattr(section, "decide", naive)
    patch.setattr(hand_over, "decide", naive)


# The holder is frozen just before it promotes; the fenced source restarts; somebody else opens it again; the holder wakes up.


def woken_before_the_promotion(world: Universe) -> Outcome:
    def frozen() -> None:
        world.servers[Colour.BLUE].crash(history_kept=True)
        world.disk(ANN.name).locks.clear()
        taken_over(world)

    return Pilot(world, ANN, taps=Taps(before=once("redis.green.make_master", frozen))).resume()


def nothing_killed(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """A take-over leaves the former holder's connections open."""
    patch.setattr(MemoryRedis, "kill_named", lambda self, rotation, below_epoch: 0)


# The switchover is given up and disarmed in Git, but Flux has not applied that yet: to a resume, the live manifest looks armed. Flux applies it once the source is fenced.


def disarmed_late(world: Universe) -> Outcome:
    blue, taps = world.servers[Colour.BLUE], Taps()

    def refused(call: str) -> None:
        blue.knobs.read_only_replica = call != "redis.blue.fence"
        if call == "redis.blue.fence":
            world.fate.frozen_flux.add(Colour.BLUE)

    taps.before = refused
    given_up = Pilot(world, taps=taps).resume()
    assert "stopped on the way back" in str(given_up.error), given_up
    blue.knobs.read_only_replica = True

    def applied_and_ended() -> None:
        world.fate.frozen_flux.clear()
        for _ in range(20):  # a holder that is frozen for as long as Flux takes
            world.clock.wait(1.0)
        live = world.clusters[Colour.BLUE].at(Ref(CONFIGMAP, "redis-config", "database"))
        assert live is not None
        blue.written_master = PARKED if "replicaof" in live["data"]["role.conf"] else None
        blue.crash()
        world.tick()

    return Pilot(world, taps=Taps(after=once("redis.green.make_master", applied_and_ended))).resume()


def armed_by_the_live_object_alone(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """What Git says of the source's variant is not asked."""
    patch.setattr(section, "is_armed", lambda seen: bool(fence_manifest.armed_mounts(seen)[1]))


# A fence is taken back: the source goes on under a new replid, which the target follows; then the link stands still, the source acknowledges more, and restarts parked, as it is armed.


def followed_after_the_fence(world: Universe, *, history_kept: bool) -> Outcome:
    blue, green, taps = world.servers[Colour.BLUE], world.servers[Colour.GREEN], Taps()

    def runs_out() -> None:
        world.net.cut(green, blue)
        blue.paused_until = 0.0

    def restarts() -> None:
        world.net.heal(green, blue)
        world.net.cut(green, blue)
        blue.paused_until = 0.0
        world.clients_write()
        blue.written_master = PARKED
        blue.crash(history_kept=history_kept)
        raise Killed

    taps.before, taps.after = once("redis.blue.fence", runs_out), once("redis.blue.make_master", restarts)
    left = Pilot(world, ANN, taps=taps).resume()
    assert isinstance(left.error, Killed)
    world.disk(ANN.name).locks.clear()
    return taken_over(world)


def followed_and_restarted(world: Universe) -> Outcome:
    return followed_after_the_fence(world, history_kept=True)


def followed_and_forgotten(world: Universe) -> Outcome:
    return followed_after_the_fence(world, history_kept=False)


def another_replid_is_its_own(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """A target whose replid is not the intent's was promoted: the source's present one, and whether it is known at all, are not looked at."""

    def naive(source: Server | None, target: Server | None, intent: Intent | None, named: bool) -> Decision:
        if target and intent and not target.is_master and target.replid2 == intent.replid and target.offset >= target.second_offset - 1:
            return Decision(Todo.PROMOTE, "it has a replid of its own")
        return decide(source, target, intent, named)

    patch.setattr(section, "decide", naive)


def taken_over(world: Universe) -> Outcome:
    colleague = Pilot(world, BOB)
    lock = colleague.session.standing().lock
    return colleague.resume(take_over=lock.id if lock else "")


REPLAYS: list[tuple[Callable[[Universe], Outcome], Breaking]] = [
    (overtaken, proof_from_the_pause),
    (promoted_and_restarted, by_roles_alone),
    (woken_before_the_promotion, nothing_killed),
    (disarmed_late, armed_by_the_live_object_alone),
    (followed_and_restarted, another_replid_is_its_own),
    (followed_and_forgotten, another_replid_is_its_own),
]


def ground(replay: Callable[[Universe], Outcome]) -> Universe:
    """At S6's door; by the manifest, with servers that no configuration file can be written for."""
    armed = replay in (disarmed_late, followed_and_restarted, followed_and_forgotten)
    world = entered(State.SWITCHOVER_LOCKED, BY_MANIFEST if armed else FAST)
    for server in world.servers.values() if armed else ():
        server.knobs.config_file = ""
    return world


@pytest.mark.parametrize(("replay", "breaking"), REPLAYS)
def test_the_rule_prevents_the_harm(replay: Callable[[Universe], Outcome], breaking: Breaking) -> None:
    world = ground(replay)
    replay(world)
    assert harm(world) == []


@pytest.mark.parametrize(("replay", "breaking"), REPLAYS)
def test_without_the_rule_the_harm_is_done(replay: Callable[[Universe], Outcome], breaking: Breaking, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ground(replay)
    breaking(world, monkeypatch)
    replay(world)
    assert harm(world), "the replay no longer reaches what the rule is for"
