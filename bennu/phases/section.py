"""One pass of the critical section over one pair of connections: announce, pause, catch up, fence with proof, promote, release, verify.

The intent is pushed while both named connections are open (the swap proves the lock); the short ``CLIENT PAUSE`` is the dead-man's switch; the fence's transaction answers
the source's last offset O and writes its configuration, so that a restart comes back parked; only a target that has reached O is promoted. No timer decides, and no Git
round trip lies between pause and release. Three things overlap, none of which the order forbids: the target's position is asked ahead of the answers; promotion and pointers go out
together once the proof is there (a pointer that names a target which was not promoted after all is in the resume table); and the source's clients are let go as soon as the pointers
say where to go, since by then the fence holds them back, not the pause (docs/decisions has the argument for each).

Every exception is treated by the rule of where it strikes. Before the fence the source is let go at once and stays master. A fence that was refused, or a promotion that was, goes back the
same way, over the connection that was told so. A proof that is missed is un-fenced and tried again under a new intent. From the promotion on it only goes forward: a pointer that cannot be
written is tried again after the epoch on it was read again, and what still fails then says that the target is master. A lost connection ends the pass, and the next one reads the servers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import wait
from contextlib import ExitStack

from bennu.core.invariants import SPLIT_BRAIN, lag_threshold
from bennu.core.pause import RoundTrips, dead_mans_switch_ms, measured, predicted
from bennu.core.record import instant
from bennu.core.switchover import Decision, Todo, decide, holds_all_first, may_attach, stray_bytes
from bennu.errors import BennuError, DependencyDown, GateRefused, OperatorNeeded, ReplicationLagError, SplitBrainError, StoppedSafe
from bennu.phases import stray_writes
from bennu.phases.app_pointer import slowest_reading
from bennu.phases.base import Effect, Pen, StepAborted, World
from bennu.phases.critical_servers import PARKING, Hands, handed_over, intent_of, server
from bennu.phases.data_syncing import mirror_address
from bennu.phases.fence_manifest import carries_alone, is_armed
from bennu.phases.pointer import OBJECTS, Pointers, desired, sets_maintenance
from bennu.phases.redis_pod import by_manifest, came_back_armed
from bennu.phases.section_errors import NotNow, nothing_held_back, only_forward, refusal, restarted_armed, roles
from bennu.phases.take_over import take_over
from bennu.phases.verification import verified
from bennu.ports.redis import Following, Observation

# The target is asked this many times in a round trip, but not so often that a server on loopback has no time for anything else.
_LOOKS = 16
_SHORTEST_S, _LONGEST_S = 0.0003, 0.005
_TELL_AGAIN_S = 0.2  # doubled each time


class Section:
    """One pass. *figures* is what this holder noted so far; it outlives a lost connection. *quiet* is closed where others may push again: behind the release."""

    def __init__(self, world: World, pen: Pen, hands: Hands, figures: dict[str, str], quiet: ExitStack) -> None:
        self._world, self._pen, self._hands, self._figures, self._quiet = world, pen, hands, figures, quiet
        # One for telling the apps, which waits for the others.
        self._threads = world.systems.crew(1 + OBJECTS)
        self._pointers = Pointers(world, threads=self._threads)
        # Computed here, since editing text takes longer than the whole pause.
        self._at_target, self._at_source = (desired(world, colour) for colour in (world.rotation.target, world.rotation.source))
        self._clock = world.systems.clock
        self._trips = RoundTrips(0.0, 0.0, 0.0)
        self._pause_ms, self._carried = 0, False  # carried by the manifest alone, where CONFIG REWRITE has no file
        self._began: float | None = None  # None: an earlier holder began the pause
        self._announced_at: float | None = None  # None: the apps are not told of the pause
        self._accepts = self._flipped = 0.0

    def run(self, *, resume: bool) -> Effect:
        """The whole section; the journal's figures."""
        with self._threads:
            return self._run(resume=resume)

    def _run(self, *, resume: bool) -> Effect:
        if not resume:
            self._announce()
            return self._from_pause()
        take_over(self._world, self._pen, self._pointers, self._world.rotation.source, self._world.rotation.target)
        if self._is_done():
            return self._ended()
        decision = self._decided()
        self._pen.tell(f"resume: {decision.todo} ({decision.why})")
        return self._resumed(decision)

    def _is_done(self) -> bool:
        """Whether an earlier pass got to its end, but for the record of it."""
        return handed_over(self._hands.source.observe(), self._hands.target.observe()) and self._pointers.matches(self._at_target)

    def _ended(self) -> Effect:
        """What that pass may have died before. How long writes had waited is not known any more."""
        with only_forward():
            self._hands.source.cut_clients()
            verified(self._world, self._pen, self._hands)
        self._pen.tell("the target is master and the source follows it: an earlier run had done it")
        return Effect(self._figures | {"intent.open": "false", SPLIT_BRAIN: "false"})

    def _decided(self) -> Decision:
        source, target = server(self._hands.source.observe()), server(self._hands.target.observe())
        return decide(source, target, intent_of(self._facts), self._pointers.names(self._world.rotation.target))

    @property
    def _facts(self) -> dict[str, str]:
        """The journal's, and what this holder noted since it began."""
        return {**self._world.facts, **self._figures}

    def _resumed(self, decision: Decision) -> Effect:
        todo = decision.todo
        if todo is Todo.RETRY:
            self._announce()
            return self._from_pause()
        if todo is Todo.UNFENCE:
            self._back_to_source()
            raise StepAborted(decision.why)
        if todo is Todo.PROMOTE:
            self._written(decision)
            return self._from_promotion()
        if todo is Todo.FENCE_SOURCE:
            self._fence_a_second_master()
        finish = todo is Todo.FINISH
        if holds_all_first(todo, named=finish and self._pointers.names(self._world.rotation.target), restarted=finish and self._restarted()):
            self._refuse_stray()
        if todo in (Todo.FINISH, Todo.FENCE_SOURCE):
            with only_forward():
                self._tell_apps()
                return self._released()
        source, target = self._hands.source.observe(), self._hands.target.observe()
        if came_back_armed(self._world, self._facts, source, target):
            raise restarted_armed(source, target)
        raise refusal(decision, roles(source, target, named=self._pointers.names(self._world.rotation.target)))

    def _written(self, decision: Decision) -> None:
        """A holder that died between a fence that could not be written and its taking back left a source that a restart would open: it is written now, or taken back where nothing was promoted."""
        if by_manifest(self._world):
            return
        # A source that restarted came back parked: its fence was on the disk, and it may have lost what the target has.
        restarted = self._restarted()
        # Safe to repeat: a parked server stays parked.
        fenced, target = self._hands.source.fence(PARKING), self._hands.target.position()
        if fenced.persisted:
            return
        words = "the fence can not be written to the source's configuration: a restart would come back writable"
        promoted = target.is_master or target.replid != self._facts["intent.replid"] or self._pointers.names(self._world.rotation.target)
        if not (promoted or restarted or target.offset > fenced.offset):
            self._back_to_source()
            raise StepAborted(words)
        self._pen.tell(f"{words}; {decision.why}: it only goes forward")

    # The passes

    def _announce(self) -> None:
        """Read the roles over these connections, and push the intent: the last Git round trip before the pause."""
        source, target = self._hands.source.observe(), self._hands.target.observe()
        if not source.is_master and not target.is_master and by_manifest(self._world):
            raise restarted_armed(source, target)
        if not source.is_master or target.is_master:
            raise StepAborted("source and target are not one master and its replica any more")
        if not target.link_up or target.replid != source.replid:
            raise NotNow("the target is not connected to the source")
        if not (source.read_only_replica and target.read_only_replica):
            raise StepAborted("replica-read-only is 'no': a fenced server would accept writes")
        if source.saving_or_loading or target.saving_or_loading:
            # The pre-check is some seconds old; a full synchronisation since then would show here, and a kill during its rewrite would lose the replica's data.
            raise NotNow("a save, a rewrite or a load has begun since the pre-check")
        try:
            lag_threshold(source.offset - target.offset, self._world.policy.max_lag_bytes)
        except ReplicationLagError as error:
            raise NotNow(error.message) from error
        self._armed()
        facts = {
            "intent.open": "true",
            "intent.withdrawn": "",
            "intent.replid": source.replid,
            "intent.source_run_id": source.run_id,
            "intent.target_run_id": target.run_id,
            "intent.at": self._clock.wall().isoformat(timespec="milliseconds"),
        } | stray_writes.NONE
        if self._facts.get("source.replid") in (source.replid, source.replid2):
            # Each fence that was taken back gave the source another one; the next would hide the first, and look like a source that lost its data.
            facts["source.replid"] = source.replid
        self._pen.intend(facts)
        self._figures.clear()
        self._figures |= facts
        with nothing_held_back():
            self._pointers.claim()
            self._promise()
            self._maintenance()

    def _maintenance(self) -> None:
        """Say so in both pointers, where every app sees it in time."""
        if sets_maintenance(self._world):
            self._announced_at = self._clock.boot()
            self._pointers.flip(desired(self._world, self._world.rotation.source, maintenance=True))
        elif self._world.conf.pointer.maintenance_mode == "auto":
            late = ", ".join(f"{app.name} ({app.reads_pointer})" for app in self._world.conf.apps if app.reads_pointer in ("file", "env"))
            self._pen.tell(f"{self._world.conf.pointer.keys.maintenance} is left alone: {late} would still see it after the pause")

    def _armed(self) -> None:
        """Read again just before the intent: somebody may have put the manifest back since the step that armed it."""
        if by_manifest(self._world):
            if not is_armed(self._world):
                raise StepAborted("the source's manifest is not armed any more: a restart of the fenced source would have come back writable")
            self._carried = carries_alone(self._world)

    def _promise(self) -> None:
        """Say how long writes will be held back, and stop here if that is more than was promised."""
        source, target, policy = self._hands.source.round_trip(), self._hands.target.round_trip(), self._world.policy
        self._trips = RoundTrips(source * 1000, target * 1000, self._pointers.took_s * 1000)
        last = slowest_reading(self._world)
        apps, slowest = (last.follows_ms, last.app) if last is not None else (0.0, "")
        found = predicted(self._trips, apps=apps, slowest=slowest, announces=sets_maintenance(self._world))
        self._every_s = min(max(target / _LOOKS, _SHORTEST_S), _LONGEST_S)
        self._figures["pause.predicted_ms"] = f"{found.total:.1f}"
        self._pen.tell(f"writes will be paused for about {found.words()}")
        if found.total > policy.pause_budget_ms:
            raise StepAborted(f"writes would be paused for {found.words()}, and at most {policy.pause_budget_ms} ms are promised (switchover.pause_budget)")
        self._pause_ms = dead_mans_switch_ms(found, policy.pause_ms, policy.pause_budget_ms)
        self._threads.gather()

    def _from_pause(self) -> Effect:
        with self._hands.target.following(self._every_s) as target:
            self._began = self._clock.boot()
            self._caught_up(target)
            self._fenced(target)
        return self._from_promotion()

    def _caught_up(self, target: Following) -> None:
        """Pause, and see the target hold what the source then held."""
        try:
            paused_at = self._hands.source.pause(self._pause_ms)
        except GateRefused as refused:
            self._let_go()
            raise StepAborted(refused.message) from refused
        except ConnectionError:
            # Fenced it is not, whether it is paused or not: what was said in advance is taken back.
            self._say_source()
            raise
        if not self._reaches(target, paused_at, self._let_go):
            self._let_go()
            raise NotNow("the target did not catch up within its share of the pause")

    def _fenced(self, target: Following) -> None:
        """Fence, and see the target hold all that the source ever acknowledged."""
        # The offset proved may be the one that the target had reached before: said by a target that froze since, it would be promoted without an answer.
        target.anew()
        try:
            fenced = self._hands.source.fence(PARKING)
        except (GateRefused, StoppedSafe) as refused:
            # Nothing of the transaction ran, or it was taken back: the source is master.
            self._let_go()
            raise StepAborted(refused.message) from refused
        if not (fenced.persisted or self._carried):
            self._back_to_source()
            raise StepAborted("the fence could not be written to the source's configuration: a restart would have come back writable")
        if not self._reaches(target, fenced.offset, self._withdraw):
            # The source has a new replid after this, so the next try begins with a new intent; where it finds the target gone, this one says that nothing was promoted.
            self._withdraw()
            raise NotNow(f"the target did not reach the offset proved inside the fence ({fenced.offset})")
        self._figures["fence.offset"] = str(fenced.offset)

    def _from_promotion(self) -> Effect:
        # From here it only goes forward, unless the target itself refuses.
        with only_forward():
            telling = self._threads.submit(self._tell_apps)
            try:
                self._figures["promoted.replid"] = self._hands.target.make_master()
            except GateRefused as refused:
                wait((telling,))
                self._not_promoted(refused)
            self._accepts = self._clock.boot()
            telling.result()
            return self._released()

    def _not_promoted(self, refused: GateRefused) -> None:
        """The target refused, over a connection that still lives: seen as a replica on it, it never was a master, and the pointers may go back."""
        if self._hands.target.position().is_master:
            return
        # The pointers first: none names a server that refuses while another accepts.
        try:
            self._pointers.flip(self._at_source)
        except BennuError as error:
            error.changed = "the source is fenced and the target refuses to be master: nobody accepts writes, and none is lost"
            error.next_step = "bennu rotate resume, once the pointers can be written"
            raise
        self._hands.source.make_master()
        self._hands.source.unpause()
        raise StepAborted(refused.message) from refused

    def _tell_apps(self) -> None:
        """Both pointers, then whoever waits at the source: fenced, it answers READONLY, and the pointer says where to go."""
        for attempt in range(self._world.policy.switchover_tries):
            try:
                if attempt:
                    # Whether the lost write arrived is not known: what stands there, and whose epoch, is read again. Raises LockLost where it is another's.
                    self._pointers.claim()
                self._pointers.flip(self._at_target)
                break
            except DependencyDown:
                if attempt + 1 == self._world.policy.switchover_tries:
                    raise
                self._clock.wait(_TELL_AGAIN_S * 2**attempt)
        self._hands.source.unpause()
        self._flipped = self._clock.boot()

    def _released(self) -> Effect:
        """Attach the old master as a replica, cut who is still connected to it, verify."""
        self._quiet.close()
        pause, given_up = self._paused_ms(), {}
        source, target = self._hands.source.observe(), self._hands.target.observe()
        if not may_attach(server(source), server(target), source_restarted=self._restarted(source)):
            self._settled(source, target, stray_writes.not_attached)
            given_up = stray_writes.given_up(self._world, self._pen)
            # Keeping it took its time, in which somebody may have opened the old master again.
            self._settled(self._hands.source.observe(), self._hands.target.observe(), stray_writes.not_attached)
        self._hold_pointers()
        self._hands.source.attach(mirror_address(self._world, self._world.rotation.source, self._world.rotation.target))
        cut = self._hands.source.cut_clients()
        verified(self._world, self._pen, self._hands)
        self._pen.tell(f"writes were paused for {pause:.1f} ms; {cut} connections to the old master were cut")
        return Effect(self._figures | given_up | {"intent.open": "false", SPLIT_BRAIN: "false", "pause.ms": f"{pause:.1f}", "clients.cut": str(cut)})

    def _restarted(self, source: Observation | None = None) -> bool:
        return stray_writes.explained(self._facts, source or self._hands.source.observe())

    def _hold_pointers(self) -> None:
        """A reconciliation of Flux that had begun before it was held off may end now, and with Git's content, which names the old master until the next commit."""
        if not self._pointers.matches(self._at_target):
            self._pen.tell("somebody else wrote a pointer meanwhile; it is written again")
            self._pointers.claim()
            self._pointers.flip(self._at_target)

    def _paused_ms(self) -> float:
        """What this holder measured; where an earlier one began, the time since its intent: never less than the truth. No decision rests on it."""
        if self._began is not None:
            return measured(self._trips, began=self._began, accepts=self._accepts, told=self._flipped, announced=self._announced_at)
        begun = instant(self._facts.get("intent.at", "")) or self._clock.wall()
        return max(0.0, (self._clock.wall() - begun).total_seconds() * 1000)

    # The way back

    def _reaches(self, target: Following, offset: int, undo: Callable[[], None]) -> bool:
        """The target's own offset (its ACKs come once a second), in the announced history, within this step's share of the pause. A target that is lost is undone at once.

        Safe behind the fence too: the promotion was not sent, and a take-over cuts the connection to the source before it reads any role, so that while it answers nobody else decides.
        """
        # A round trip on top: on a long way the first answer takes that long to come, whatever it says.
        seconds = (self._pause_ms * self._world.policy.catch_up_share + self._trips.target) / 1000
        try:
            return target.reaches(offset, self._facts["intent.replid"], seconds)
        except ConnectionError as lost:
            undo()
            raise StepAborted(f"the target was lost before its promotion: {lost}") from lost

    def _let_go(self) -> None:
        """A source that is master: nobody waits any more. Who cannot be told now is told by the retreat (``StepAborted``)."""
        try:
            self._hands.source.unpause()
        except ConnectionError:
            self._say_source()  # the pause runs out by itself
            raise
        self._say_source()

    def _say_source(self) -> None:
        with nothing_held_back():
            self._pointers.flip(self._at_source)

    def _back_to_source(self) -> None:
        self._hands.source.make_master()
        self._let_go()

    def _withdraw(self) -> None:
        """Un-fence without a look at the target, and keep in the journal that this history of the source's began before any promotion: nobody could tell that from a target that is gone."""
        withdrawn = {"intent.withdrawn": self._hands.source.make_master()}
        self._figures |= withdrawn
        try:
            self._let_go()
        except (ConnectionError, StepAborted):
            self._pen.intend(withdrawn)
            raise
        self._pen.intend(withdrawn)

    def _fence_a_second_master(self) -> None:
        try:
            self._hands.source.fence(PARKING)
        except (GateRefused, StoppedSafe) as refused:
            raise SplitBrainError(
                f"both servers are masters, and the source cannot be fenced: {refused.message}",
                changed="nothing: both accept writes",
                next_step="take the writers off one of them at once, then 'bennu rotate resume'",
            ) from refused
        self._pen.intend({SPLIT_BRAIN: "true"})
        self._figures[SPLIT_BRAIN] = "true"

    def _refuse_stray(self) -> None:
        source, target = self._hands.source.observe(), self._hands.target.observe()
        if stray_bytes(server(source), server(target)) != 0:
            self._settled(source, target, stray_writes.two_masters)

    def _settled(self, source: Observation, target: Observation, refusal: Callable[[str, str], OperatorNeeded]) -> None:
        stray = stray_writes.Stray(source, target, stray_bytes(server(source), server(target)))
        stray_writes.settled(self._world, self._pen, self._facts, stray, refusal)
