"""The critical section of S6: fence the source by parking it, prove the offset inside the fence, then promote.

Order, and why it loses nothing: the intent is pushed while both named connections are open (the swap proves the lock); the short ``CLIENT PAUSE`` is the dead-man's
switch; the fence's transaction answers the source's last offset O and writes its configuration, so that a restart comes back parked; only a target that has reached O is
promoted; only then does anything name it. No timer decides, and no Git round trip lies between pause and release. Every exception is treated by what may have happened
at that point: before the fence the source is unpaused, after it a resume reads the servers (``core.switchover.decide``), never the holder's memory.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bennu.core.invariants import lag_threshold
from bennu.core.switchover import Decision, Intent, Server, Todo, decide, fence_suffices, may_attach, stray_bytes
from bennu.core.verdict import Verdict, opened
from bennu.errors import BennuError, DependencyDown, DurableStateError, OperatorNeeded, ReplicationLagError, SplitBrainError
from bennu.phases.base import Effect, Pen, Seen, Step, StepAborted, World
from bennu.phases.data_syncing import mirror_address
from bennu.phases.pointer import Pointers, desired, sets_maintenance
from bennu.ports.redis import Address, Critical, Observation

# Nothing listens on port 1 of the loopback. The source must not be given the target's address before the promotion: were the target behind, the source would be
# answered FULLRESYNC and wipe itself (measured, facts.md).
PARKING = Address("127.0.0.1", 1)


def server(seen: Observation) -> Server:
    """An observation as the decisions take it."""
    return Server(seen.is_master, seen.link_up, seen.run_id, seen.replid, seen.replid2, seen.offset, seen.second_offset)


def intent_of(facts: Mapping[str, str]) -> Intent | None:
    """The intent that the journal holds, None where none is open."""
    if facts.get("intent.open") != "true":
        return None
    return Intent(facts["intent.replid"], facts["intent.source_run_id"], facts["intent.target_run_id"])


@dataclass(frozen=True)
class _Hands:
    """The two connections of the critical section."""

    source: Critical
    target: Critical


class NotNow(StepAborted):
    """Nothing was changed, or it was let go of within the pause, and what stood in the way passes by itself: worth another try."""


class HandOver(Step):
    """Move the write authority from source to target."""

    id = "switchover-locked.hand-over"
    title = "the write authority"

    def observe(self, world: World) -> Seen:
        """Already so where the target is master, the source follows it, and both pointers say so."""
        if not world.conf.redis:
            return Seen(Pointers(world).matches(desired(world, world.rotation.target)), "the pointers name the target")
        source, target = (world.systems.redis(colour).observe() for colour in (world.rotation.source, world.rotation.target))
        roles = target.is_master and not source.is_master and source.link_up and source.replid == target.replid
        done = roles and Pointers(world).matches(desired(world, world.rotation.target))
        # Found done by a resume, the intent must be closed as the act would have: a reverse switchover would take it for its own.
        return Seen(done, "the target is master and the source follows it", {"intent.open": "false"})

    def act(self, world: World, pen: Pen) -> Effect:
        """Hand over, or resume what an earlier holder began."""
        if not world.conf.redis:
            return _pointer_alone(world, pen)
        last: Exception | None = None
        # What this holder announced outlives a lost connection: the world's facts are those of the act's begin.
        figures: dict[str, str] = {}
        for attempt in range(world.policy.switchover_tries):
            try:
                with _connected(world) as hands:
                    return _Section(world, pen, hands, figures).run(resume=attempt > 0 or intent_of(world.facts) is not None)
            except NotNow as late:
                # A burst of writes or a save passes; a link that is too slow does not.
                if attempt + 1 == world.policy.switchover_tries:
                    raise
                distance = world.policy.retry_s * 2**attempt
                pen.tell(f"{late}; trying again in {distance:.0f} s")
                world.systems.clock.wait(distance)
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


@contextmanager
def _connected(world: World) -> Iterator[_Hands]:
    name = f"bennu-{world.rotation.id}-{world.epoch}"
    with ExitStack() as stack:
        source = stack.enter_context(world.systems.redis(world.rotation.source).critical(name))
        target = stack.enter_context(world.systems.redis(world.rotation.target).critical(name))
        yield _Hands(source, target)


class _Section:
    """One pass over one pair of connections."""

    def __init__(self, world: World, pen: Pen, hands: _Hands, figures: dict[str, str]) -> None:
        self._world, self._pen, self._hands, self._figures = world, pen, hands, figures
        self._pointers = Pointers(world)
        # Computed here, since editing text takes longer than the whole pause.
        self._at_target, self._at_source = (desired(world, colour) for colour in (world.rotation.target, world.rotation.source))
        self._clock = world.systems.clock
        self._began = 0.0
        self._flipped = 0.0

    def run(self, *, resume: bool) -> Effect:
        """The whole section; the journal's figures."""
        if not resume:
            self._announce()
            return self._from_pause()
        # Take-over and every resume: this swap proves the lock while both connections are open; then own the pointers, cut older connections, and only then read.
        self._pen.intend({"resumed.epoch": str(self._world.epoch)})
        self._pointers.claim()
        for colour in (self._world.rotation.source, self._world.rotation.target):
            self._world.systems.redis(colour).kill_named(str(self._world.rotation.id), self._world.epoch)
        decision = self._decided()
        self._pen.tell(f"resume: {decision.todo} ({decision.why})")
        return self._resumed(decision)

    def _decided(self) -> Decision:
        source, target = server(self._hands.source.observe()), server(self._hands.target.observe())
        facts = {**self._world.facts, **self._figures}
        return decide(source, target, intent_of(facts), self._pointers.names(self._world.rotation.target))

    def _resumed(self, decision: Decision) -> Effect:
        todo = decision.todo
        if todo is Todo.RETRY:
            self._announce()
            return self._from_pause()
        if todo is Todo.UNFENCE:
            self._back_to_source()
            raise StepAborted(decision.why)
        if todo is Todo.PROMOTE:
            self._began = self._clock.boot()
            return self._from_promotion()
        if todo is Todo.FENCE_SOURCE:
            self._hands.source.fence(PARKING)
            self._refuse_stray()
        if todo in (Todo.FINISH, Todo.FENCE_SOURCE):
            self._began = self._clock.boot()
            return self._from_flip()
        raise _refusal(decision)

    # The passes

    def _announce(self) -> None:
        """Read the roles over these connections, and push the intent: the last Git round trip before the pause."""
        source, target = self._hands.source.observe(), self._hands.target.observe()
        if not source.is_master or target.is_master or not target.link_up or target.replid != source.replid:
            raise StepAborted("source and target are not one master and its connected replica any more")
        if not (source.read_only_replica and target.read_only_replica):
            raise StepAborted("replica-read-only is 'no': a fenced server would accept writes")
        if source.saving_or_loading or target.saving_or_loading:
            # The pre-check is some seconds old; a full synchronisation since then would show here, and a kill during its rewrite would lose the replica's data.
            raise NotNow("a save, a rewrite or a load has begun since the pre-check")
        try:
            lag_threshold(source.offset - target.offset, self._world.policy.max_lag_bytes)
        except ReplicationLagError as error:
            raise NotNow(error.message) from error
        facts = {"intent.open": "true", "intent.replid": source.replid, "intent.source_run_id": source.run_id, "intent.target_run_id": target.run_id}
        self._pen.intend(facts)
        self._figures.clear()
        self._figures |= facts
        self._pointers.claim()
        if sets_maintenance(self._world):
            self._pointers.flip(desired(self._world, self._world.rotation.source, maintenance=True))

    def _from_pause(self) -> Effect:
        self._began = self._clock.boot()
        # The dead-man's switch ends the pause by itself: never later than the group's budget.
        paused_at = self._hands.source.pause(min(self._world.policy.pause_ms, self._world.policy.pause_budget_ms))
        if not self._reaches(paused_at):
            self._hands.source.unpause()
            self._pointers.flip(self._at_source)
            raise NotNow("the target did not catch up within its share of the pause")
        fenced = self._hands.source.fence(PARKING)
        if not fenced.persisted:
            self._back_to_source()
            raise StepAborted("the fence could not be written to the source's configuration: a restart would have come back writable")
        if not self._reaches(fenced.offset):
            self._back_to_source()
            raise StepAborted(f"the target did not reach the offset proved inside the fence ({fenced.offset})")
        self._figures["fence.offset"] = str(fenced.offset)
        return self._from_promotion()

    def _from_promotion(self) -> Effect:
        # From here it only goes forward.
        self._figures["promoted.replid"] = self._hands.target.make_master()
        return self._from_flip()

    def _from_flip(self) -> Effect:
        self._pointers.flip(self._at_target)
        self._flipped = self._clock.boot()
        return self._released()

    def _released(self) -> Effect:
        """Attach the old master as a replica, unpause it, cut who is still connected to it, verify."""
        source, target = self._hands.source.observe(), self._hands.target.observe()
        restarted = source.run_id != ({**self._world.facts, **self._figures}).get("intent.source_run_id", source.run_id)
        if not may_attach(server(source), server(target), source_restarted=restarted):
            stray = stray_bytes(server(source), server(target))
            raise OperatorNeeded(
                f"the old master may hold writes that the new one does not ({'unknown' if stray is None else stray} bytes): it was not attached",
                changed="the target is master and the pointers name it; the source stays fenced",
                next_step="dump both sides before anything else; 'bennu rotate status --why' shows their histories",
            )
        self._hands.source.attach(mirror_address(self._world, self._world.rotation.source, self._world.rotation.target))
        self._hands.source.unpause()
        cut = self._hands.source.cut_clients()
        self._verify()
        pause = (self._flipped - self._began) * 1000
        self._pen.tell(f"writes were paused for {pause:.1f} ms; {cut} connections to the old master were cut")
        return Effect(self._figures | {"intent.open": "false", "pause.ms": f"{pause:.1f}", "clients.cut": str(cut)})

    def _verify(self) -> None:
        """A write on the new master must be read on the old one: the reverse link lives, and a rollback would lose nothing."""
        key, value = f"bennu:probe:{self._world.rotation.id}", secrets.token_hex(8)
        self._hands.target.write_probe(key, value)
        deadline = self._clock.boot() + self._world.policy.switchover_timeout_s / 4
        while self._hands.source.read_probe(key) != value:
            if self._clock.boot() > deadline:
                self._pen.tell("the old master does not follow the new one yet: until it does, a rollback would not be lossless")
                return
            self._clock.wait(0.02)

    # The way back, before the promotion

    def _reaches(self, offset: int) -> bool:
        """Poll the target's own offset (its ACKs come once a second) for this step's share of the pause."""
        deadline = self._clock.boot() + self._world.policy.pause_ms / 1000 * self._world.policy.catch_up_share
        while True:
            is_master, reached = self._hands.target.offset()
            if not is_master and fence_suffices(reached, offset):
                return True
            if is_master or self._clock.boot() > deadline:
                return False

    def _back_to_source(self) -> None:
        self._hands.source.make_master()
        self._hands.source.unpause()
        self._pointers.flip(self._at_source)

    def _refuse_stray(self) -> None:
        source, target = server(self._hands.source.observe()), server(self._hands.target.observe())
        stray = stray_bytes(source, target)
        if stray != 0:
            raise SplitBrainError(
                f"both servers were masters and the old one holds {'an unknown number of' if stray is None else stray} bytes that the new one lacks",
                changed="the source was fenced; nothing was attached",
                next_step="dump both sides, decide which writes to keep, then 'bennu rotate resume'",
            )


def _refusal(decision: Decision) -> BennuError:
    if decision.todo is Todo.DIVERGENT:
        return DurableStateError(decision.why, next_step="bennu rotate status --why")
    if decision.todo is Todo.UNREACHABLE:
        return DependencyDown(decision.why, next_step="make both Redis servers reachable, then 'bennu rotate resume'")
    return OperatorNeeded(decision.why, next_step="bennu rotate status --why")


def _pointer_alone(world: World, pen: Pen) -> Effect:
    """State lives outside the clusters: the authority is the pointer alone. Taken from the source before it is given to the target."""
    pen.intend({"intent.pointer": "true"})
    pointers = Pointers(world)
    pointers.claim()
    wanted = desired(world, world.rotation.target)
    source = world.rotation.source
    pointers.flip({source: wanted[source]})
    pointers.flip({world.rotation.target: wanted[world.rotation.target]})
    return Effect({"pause.ms": "0"})
