"""The exhaustive model's counterexamples, replayed: with the rule in place nothing is destroyed, and with the rule taken out the harm is there, so that each replay is seen to reach it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.core.switchover import Decision, Intent, Row, Server, Todo, decide
from bennu.phases import hand_over, section
from bennu.phases.pointer import Pointers
from bennu.ports.redis import Address, Fenced
from tests.sim.memory_redis import MemoryCritical, MemoryRedis
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, entered, until
from tests.sim.replays import CAROL, FAST, Breaking, Replay, harm, once, taken_over
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Universe

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


def fence_names_the_target(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """The source is fenced by the target's address: behind it, it is fed by it, and wiped."""
    fence = MemoryCritical.fence

    def fenced(self: MemoryCritical, parking: Address) -> Fenced:
        return fence(self, world.servers[Colour.GREEN].address)

    patch.setattr(MemoryCritical, "fence", fenced)


# The configuration cannot be written any more when the source is fenced, and it restarts after the promotion.


def unwritten(world: Universe) -> Outcome:
    blue = world.servers[Colour.BLUE]

    def lost() -> None:
        blue.knobs.config_file = ""

    return Pilot(world, taps=Taps(before=once("redis.blue.fence", lost), after=once("redis.green.make_master", blue.crash))).resume()


def taken_for_written(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """Whether the fence outlives a restart is not asked."""
    fence = MemoryCritical.fence
    patch.setattr(MemoryCritical, "fence", lambda self, parking: replace(fence(self, parking), persisted=True))


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
            return Decision(Todo.UNFENCE, "nobody is master", Row.BEHIND)
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


def killed_at_the_source_alone(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """A take-over that cannot cut the former holder's connection to the target goes on all the same."""
    kill = MemoryRedis.kill_named

    def killed(self: MemoryRedis, rotation: str, below_epoch: int) -> int:
        return kill(self, rotation, below_epoch) if self is world.servers[Colour.BLUE] else 0

    patch.setattr(MemoryRedis, "kill_named", killed)


def opened_anew(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """A connection of the critical section that was lost is opened again, after the intent and without a swap of the lock."""

    def live(self: MemoryCritical) -> MemoryRedis:
        return self.server

    patch.setattr(MemoryCritical, "_live", live)


def whoever_holds_the_pointer(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """The epoch on the pointer objects is not looked at: a 409 is tried again."""
    patch.setattr(Pointers, "_ours", Pointers._live)


# The fence is refused; the holder is frozen just before it puts the pointers back to the source. Somebody else hands the authority over; the holder wakes up.


def woken_before_it_gives_up(world: Universe) -> Outcome:
    blue, let_go = world.servers[Colour.BLUE], [False]

    def refused(call: str) -> None:
        blue.knobs.read_only_replica = call != "redis.blue.fence"
        if call == "redis.blue.unpause":
            let_go[0] = True
        elif let_go[0] and call == "kubernetes.blue.apply":
            let_go[0] = False
            world.disk(ANN.name).locks.clear()
            colleague = Pilot(world, BOB)
            colleague.watch = until(State.PROMOTED)
            lock = colleague.session.standing().lock
            colleague.resume(take_over=lock.id if lock else "")
            assert world.writable() == ["green"]

    return Pilot(world, ANN, taps=Taps(before=refused)).resume()


# A second take-over, while the first one's holder is frozen before it promotes.


def woken_after_two_take_overs(world: Universe) -> Outcome:
    def dies() -> None:
        raise Killed

    left = Pilot(world, ANN, taps=Taps(after=once("redis.blue.fence", dies))).resume()
    assert isinstance(left.error, Killed)
    world.disk(ANN.name).locks.clear()

    def frozen() -> None:
        world.servers[Colour.BLUE].crash(history_kept=True)
        world.disk(BOB.name).locks.clear()
        taken_over(world, CAROL)

    return taken_over(world, BOB, Taps(before=once("redis.green.make_master", frozen)))


REPLAYS: list[tuple[Replay, Breaking]] = [
    (overtaken, proof_from_the_pause),
    (overtaken, fence_names_the_target),
    (unwritten, taken_for_written),
    (promoted_and_restarted, by_roles_alone),
    (woken_before_the_promotion, nothing_killed),
    (woken_before_the_promotion, killed_at_the_source_alone),
    (woken_before_the_promotion, opened_anew),
    (woken_before_it_gives_up, whoever_holds_the_pointer),
    (woken_after_two_take_overs, opened_anew),
]


@pytest.mark.parametrize(("replay", "breaking"), REPLAYS)
def test_the_rule_prevents_the_harm(replay: Replay, breaking: Breaking) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    replay(world)
    assert harm(world) == []


@pytest.mark.parametrize(("replay", "breaking"), REPLAYS)
def test_without_the_rule_the_harm_is_done(replay: Replay, breaking: Breaking, monkeypatch: pytest.MonkeyPatch) -> None:
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    breaking(world, monkeypatch)
    replay(world)
    assert harm(world), "the replay no longer reaches what the rule is for"
