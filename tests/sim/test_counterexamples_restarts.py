"""The exhaustive model's counterexamples in which a server restarts behind, or armed, replayed as in ``test_counterexamples``: prevented by the rule, and done without it."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.core.switchover import Decision, Intent, Row, Server, Todo, decide
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.phases import fence_manifest, hand_over, section
from bennu.phases.base import StepAborted, World
from tests.sim.controllers_node import PARKED
from tests.sim.pilot import ANN, Outcome, Pilot, entered
from tests.sim.replays import BY_MANIFEST, FAST, Breaking, Replay, destroyed, harm, once, pod_ends, restarted_behind, taken_over
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Universe

# The source's last write is lost with its pod, the target has it still. What is said over such a source, and what may be done with it.


def announced_over_a_parked_source(world: Universe) -> Outcome:
    def ended(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == ("switchover-locked.arm", Mark.DONE):
            restarted_behind(world.servers[Colour.BLUE])

    pilot = Pilot(world, ANN)
    pilot.watch = ended
    pilot.resume()
    world.disk(ANN.name).locks.clear()
    return taken_over(world)


def roles_unread(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """The intent is pushed over whatever the servers are; its holder dies then."""

    def announced(self: section.Section) -> None:
        source, target = self._hands.source.observe(), self._hands.target.observe()
        self._pen.intend({"intent.open": "true", "intent.replid": source.replid, "intent.source_run_id": source.run_id, "intent.target_run_id": target.run_id})
        raise Killed

    patch.setattr(section.Section, "_announce", announced)


def target_out_of_reach(world: Universe) -> Outcome:
    def dies() -> None:
        restarted_behind(world.servers[Colour.BLUE])
        raise Killed

    Pilot(world, ANN, taps=Taps(after=once("redis.blue.fence", dies))).resume()
    world.disk(ANN.name).locks.clear()

    def silent() -> None:
        world.servers[Colour.GREEN].knobs.reachable = False

    # Read a moment ago, it answers no connection any more.
    outcome = taken_over(world, taps=Taps(reads=True, after=once("redis.green.observe", silent)))
    world.servers[Colour.GREEN].knobs.reachable = True
    return outcome


def opened_without_the_target(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """A target that cannot be reached is taken for dead, and the source is made master again."""

    def alone(seen: World, pen: object, facts: object) -> None:
        with seen.systems.redis(Colour.BLUE).critical("bennu-by-itself") as source:
            source.make_master()
        raise StepAborted("the target is dead")

    patch.setattr(hand_over, "_source_alone", alone)


def target_restarted_behind(world: Universe) -> Outcome:
    blue, green = world.servers[Colour.BLUE], world.servers[Colour.GREEN]

    def behind() -> None:
        world.net.cut(green, blue)
        restarted_behind(green, history_kept=True)

    def dies() -> None:
        raise Killed

    Pilot(world, ANN, taps=Taps(before=once("redis.blue.fence", behind), after=once("redis.blue.fence", dies))).resume()
    world.disk(ANN.name).locks.clear()
    return taken_over(world)


def possible_means_promoted(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """Where the promotion may have happened, the announced history is proof enough: what the target holds is not."""

    def naive(source: Server | None, target: Server | None, intent: Intent | None, named: bool) -> Decision:
        if source and target and intent and not source.is_master and not target.is_master and target.run_id != intent.target_run_id:
            return Decision(Todo.PROMOTE, "it is of the announced history", Row.POSSIBLE_REACHED)
        return decide(source, target, intent, named)

    patch.setattr(section, "decide", naive)


def disarmed_while_parked(world: Universe) -> Outcome:
    blue, taps = world.servers[Colour.BLUE], Taps()

    def refused(call: str) -> None:
        blue.knobs.read_only_replica = call != "redis.blue.fence"

    def ended(engine: Engine, progress: Progress) -> None:
        if (progress.step, progress.mark) == ("switchover-locked.give-up", Mark.DONE):
            restarted_behind(blue)

    taps.before = refused
    pilot = Pilot(world, taps=taps)
    pilot.watch = ended
    outcome = pilot.resume()
    pod_ends(world)
    world.tick()
    return outcome


def disarmed_unseen(world: Universe, patch: pytest.MonkeyPatch) -> None:
    """The source is disarmed whatever its role is."""
    patch.setattr(fence_manifest, "_is_master", lambda seen: True)


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
        pod_ends(world)
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
            return Decision(Todo.PROMOTE, "it has a replid of its own", Row.OWN_HISTORY_WHOLE)
        return decide(source, target, intent, named)

    patch.setattr(section, "decide", naive)


BY_FILE: list[tuple[Replay, Breaking]] = [
    (target_out_of_reach, opened_without_the_target),
    (target_restarted_behind, possible_means_promoted),
]
ARMED: list[tuple[Replay, Breaking]] = [
    (announced_over_a_parked_source, roles_unread),
    (disarmed_while_parked, disarmed_unseen),
    (disarmed_late, armed_by_the_live_object_alone),
    (followed_and_restarted, another_replid_is_its_own),
    (followed_and_forgotten, another_replid_is_its_own),
]


def ground(replay: Replay) -> Universe:
    """At S6's door; by the manifest, with servers that no configuration file can be written for."""
    armed = replay in [one for one, _ in ARMED]
    world = entered(State.SWITCHOVER_LOCKED, BY_MANIFEST if armed else FAST)
    for server in world.servers.values() if armed else ():
        server.knobs.config_file = ""
    return world


@pytest.mark.parametrize(("replay", "breaking"), BY_FILE + ARMED)
def test_the_rule_prevents_the_harm(replay: Replay, breaking: Breaking) -> None:
    world = ground(replay)
    replay(world)
    assert harm(world) == []


@pytest.mark.parametrize(("replay", "breaking"), BY_FILE + ARMED)
def test_without_the_rule_the_harm_is_done(replay: Replay, breaking: Breaking, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ground(replay)
    breaking(world, monkeypatch)
    replay(world)
    assert harm(world), "the replay no longer reaches what the rule is for"


@pytest.mark.parametrize("attached", [False, True])
def test_what_only_the_old_master_holds_is_not_fed_over_even_where_the_resume_table_errs(attached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ground(target_restarted_behind)
    possible_means_promoted(world, monkeypatch)
    if attached:
        monkeypatch.setattr(section, "may_attach", lambda source, target, source_restarted: True)
    target_restarted_behind(world)
    assert world.writable() == ["green"]
    assert bool(destroyed(world)) is attached
