"""The loop that drives a rotation: which step next, do it, record it, go on.

It knows phases and steps only by their base, systems only by their ports, and no screen. ``drive`` is a generator: each happening is yielded, the end is a last
``Progress`` or one of the exceptions of ``bennu.errors``. Whatever kills the process between two lines, the journal says where it stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

from bennu.core import fsm
from bennu.core.consent import SAID, awaited
from bennu.core.disaster import BESIDE, BY, GONE
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.record import Kind
from bennu.core.requests import owed
from bennu.core.states import Direction, Event, State, Status
from bennu.core.status import rotation_view
from bennu.core.switchover import announced
from bennu.core.verdict import opened
from bennu.engine.consent import consent, said
from bennu.engine.endings import ending
from bennu.engine.journal import Entry, Uncopied
from bennu.engine.notes import Notes
from bennu.engine.progress import Mark, Progress
from bennu.engine.recorder import Recorder
from bennu.engine.requests import answer_recorded, verdict
from bennu.engine.runbook import Runbook, commit_message
from bennu.engine.turns import GateFailed, Inconclusive, OutOfTime, RollbackAsked, StopAsked, Turn, Unheard, Wishes
from bennu.engine.wait import asked, at_safe_point, look_around, until_open, woken
from bennu.engine.wake import Slept
from bennu.errors import BennuError, GateRefused, Interrupted, LockLost, Paused, RolledBack, StoppedSafe
from bennu.phases.base import Effect, GateStep, Phase, Step, StepAborted, World
from bennu.ports.repository import Change


@dataclass(kw_only=True)
class Engine(Recorder):
    """One run."""

    runbook: Runbook
    wishes: Wishes

    def drive(self) -> Iterator[Progress]:
        """Run to the end. Raises what ``bennu.errors`` says; RolledBack (6) is an end, too."""
        yield from self._alarmed(self._driven())

    def roll_back(self) -> Iterator[Progress]:
        """Leave the forward list and go back to the source, from wherever it stands."""
        yield from self._alarmed(self._answered(self._back()))

    def abort(self) -> Iterator[Progress]:
        """Bring the state that a dead holder left to safety, and end as it would have where it was asked to."""
        yield from self._alarmed(self._turned(self.runbook.phase(self.state), StopAsked("abort", self.lookout.journal.holder.name)))

    def _alarmed(self, run: Iterator[Progress]) -> Iterator[Progress]:
        """Whatever a run stumbles over once the alarm was rung is its consequence: the alarm is how it ends."""
        for line in self.lookout.journal.told:
            yield Progress(Mark.WARN, self.state, text=line)
        try:
            yield from run
        except LockLost as lost:
            raise self.lookout.journal.overtaken(lost) from lost
        except BennuError as error:
            if self.lookout.alarm.error not in (None, error):
                raise self.lookout.alarm.error from error
            raise

    def _driven(self) -> Iterator[Progress]:
        direction = self.lookout.journal.standing.direction
        self._accepted()
        self._sane()
        answer_recorded(self.world, self.lookout)
        try:
            yield from self._promised()
            if direction is Direction.ROLLBACK:
                yield from self._rollback()
            elif direction is Direction.REVERSE:
                yield from self._reverse()
            else:
                yield from self._forward()
        except RollbackAsked as asked_back:
            self.wishes = replace(self.wishes, accept_loss=asked_back.accept_loss)
            yield from self._answered(self._back())

    def _promised(self) -> Iterator[Progress]:
        """What a holder accepted and died before it began: said, and done. Who gives a source up as dead has a newer word."""
        found = None if self.wishes.dr else owed(self.lookout.journal.records)
        if found is None:
            return
        yield Progress(Mark.WARN, self.state, text=f"{found.verb}, asked by {found.by}, was taken up by {found.holder} and not begun: it is done now")
        if found.verb == "rollback":
            raise RollbackAsked(found.by, accept_loss=found.accept_loss)
        if found.verb in SAID:
            self._write(consent(found.verb, found.by))
        else:
            yield from self._turned(self.runbook.phase(self.state), StopAsked(found.verb, found.by))

    def _answered(self, back: Iterator[Progress]) -> Iterator[Progress]:
        """A way back that somebody asked for: what ends it before it was judged is the answer."""
        try:
            yield from back
        except LockLost:
            raise
        except BennuError as error:
            verdict(self.world, self.lookout, f"{error.message}; {error.next_step or error.usually}")
            raise

    def _accepted(self) -> None:
        """A loss is accepted, and a cluster said to be dead, for one command alone, and each time anew: what a killed one left in the journal is taken back."""
        words = {"loss.accepted": self.lookout.journal.holder.name if self.wishes.accept_loss else "", GONE: self.wishes.gone}
        facts = self.lookout.journal.standing.facts
        if any(facts.get(name, "") != word for name, word in words.items()):
            self._write(Entry(Kind.FACT, data=words))

    # The three lists

    def _forward(self) -> Iterator[Progress]:
        # Killed before it entered S6, a rotation that a disaster began is none for a resume to take for an ordinary one: the words are asked for again.
        beside = self.state is State.IDLE_STABLE and BESIDE in self.world.rotation.options
        if self.wishes.dr or beside:
            yield from self._without_source()
        elif self.state is State.IDLE_STABLE:
            yield self._enter(Event.START)
        while self.state is not State.IDLE_STABLE:
            phase = self.runbook.phase(self.state)
            try:
                yield from self._phase(phase)
            except (GateFailed, StepAborted, OutOfTime, Inconclusive, StopAsked, Unheard) as turn:
                yield from self._turned(phase, turn)
            except Uncopied as full:
                # A disk that takes no more stops the run, and the phase is left in safety with the journal in Git alone.
                yield from self._turned(phase, StepAborted(full.message))
            except Interrupted as signal:
                # A step of an atomic phase was begun and did not end: what it stopped must not stay stopped with nobody there.
                if phase.atomic and self.lookout.journal.standing.intent:
                    yield from self._retreat(phase, signal.message)
                raise
            event = Event.KEEP_SOURCE if phase.state is State.PROMOTED and (self.world.rotation.keeps_source or self._in_disaster()) else phase.leaves_by
            yield self._enter(event)
        yield self._finish()

    def _in_disaster(self) -> bool:
        return bool(self.lookout.journal.standing.facts.get(BY))

    def _without_source(self) -> Iterator[Progress]:
        """A human says that the source is dead, and what may be lost by that."""
        before = self.state.number < State.SWITCHOVER_LOCKED.number
        if before:
            fsm.advance(self.state, Event.DISASTER)  # raises, in words, where nothing can take over
        for step in self.runbook.disaster(self._now(), self.state):
            yield from self._stuck_ends(step, self._quiet(self.state))
        declared = Entry(Kind.FACT, data={BY: self.lookout.journal.holder.name})
        if before:
            # In one swap: a canary that goes on must never find a disaster declared.
            yield self._enter(Event.DISASTER, declared)
        else:
            self._write(declared)

    def _phase(self, phase: Phase) -> Iterator[Progress]:
        self._note(Status.RUNNING, "")
        for step in phase.steps(self._now()):
            if step.id not in self.lookout.journal.standing.done:
                yield from self._one(step, phase)
        if verb := phase.confirm(self._now()):
            yield from self._confirmed(phase, verb)
        if self.wishes.stop_after is phase.state:
            yield from self._pause(phase, f"stopped after {phase.state}, as asked")

    def _back(self) -> Iterator[Progress]:
        state, direction = self.state, self.lookout.journal.standing.direction
        if self._in_disaster():
            raise GateRefused(
                f"{self.world.rotation.source.cluster} was given up as dead: what it holds and what the group wrote since are two histories, and Bennu never joins them",
                next_step="'bennu rotate resume' ends this rotation; a new one, to a fresh cluster, is the way on",
            )
        self._accepted()
        self._sane()
        waiting = owed(self.lookout.journal.records)
        if waiting is not None and not waiting.answered:
            # Taken up by a holder that died under the judgement: this one's verdict is its answer.
            self.lookout.counters.unanswered = waiting.id
        if state is State.PROMOTED or (direction is Direction.REVERSE and state is State.SWITCHOVER_LOCKED):
            for step in self.runbook.judge(self._now()):
                yield from self._stuck_ends(step, replace(self._quiet(state), atomic=announced(self.lookout.journal.standing.facts)))
                if step.answers:
                    verdict(self.world, self.lookout, self.lookout.journal.standing.facts.get(step.answers, ""))
            self._note(Status.ABORTING, "reverse switchover", Direction.REVERSE)
            yield from self._reverse()
            return
        if direction is Direction.ROLLBACK:
            yield from self._rollback()
            return
        fsm.advance(state, Event.ROLLBACK)  # raises, in words, where there is no way back
        self._note(Status.ABORTING, "rollback", Direction.ROLLBACK)
        yield from self._rollback()

    def _rollback(self) -> Iterator[Progress]:
        phase = self._quiet(self.state)
        for step in self.runbook.rollback(self._now(), self.state):
            if step.id not in self.lookout.journal.standing.done:
                yield from self._stuck_ends(step, phase)
        yield self._enter(Event.ROLLBACK)
        yield self._finish()
        raise RolledBack(
            f"rotation {self.world.rotation.id} was rolled back: {self.world.rotation.source.cluster} has all traffic and the write authority",
            changed="the target was taken down; Git is as before but for its history"
            if self.world.rotation.made_target
            else "the target stays: this rotation did not make it",
            next_step="bennu status",
        )

    def _reverse(self) -> Iterator[Progress]:
        if self.state is State.PROMOTED:
            # The switchover's own steps were done once, forward: they are to be done again with the roles swapped.
            self._write(Entry(Kind.ABORTED, step="switchover-locked.*", data={"reason": "reverse switchover"}))
            yield self._enter(Event.REVERSE)
        if self.state is State.SWITCHOVER_LOCKED:
            yield from self._handed_back(replace(self._quiet(self.state), steps=self.runbook.reverse, atomic=True))
            yield self._enter(Event.ABORT)
        self._note(Status.ABORTING, "rollback after the reverse switchover", Direction.ROLLBACK)
        yield from self._rollback()

    def _handed_back(self, phase: Phase) -> Iterator[Progress]:
        """The switchover with the roles swapped. Where it cannot go on, the target (its source) gets everything back, and a resume begins with the pre-check."""
        for step in self.runbook.reverse(self._now()):
            if step.id in self.lookout.journal.standing.done:
                continue
            try:
                yield from self._one(step, phase)
            except (Turn, StepAborted) as turn:
                self.lookout.alarm.answer()
                try:
                    for undo in self.runbook.reverse_retreat(self._now()):
                        yield from self._stuck_ends(undo, phase)
                except StoppedSafe:
                    # Handed back already, or not to be undone now: what stopped the run is what counts.
                    raise self._stuck(step, turn) from turn
                self._write(Entry(Kind.ABORTED, step="switchover-locked.*", data={"reason": str(turn)[:300]}))
                raise (turn.ending if isinstance(turn, StepAborted) and turn.ending else self._stuck(step, turn)) from turn

    def _begun(self, phase: Phase) -> bool:
        """Whether anything of an atomic phase has been done: from then on it has no safe point before its end."""
        standing, steps = self.lookout.journal.standing, phase.steps(self._now())
        return phase.atomic and (not steps or announced(standing.facts) or any(step.id in standing.done for step in steps if not isinstance(step, GateStep)))

    # One step

    def _one(self, step: Step, phase: Phase) -> Iterator[Progress]:
        """From its beginning, as often as the machine sleeps meanwhile: a step that was caught in its middle remembers nothing."""
        pristine = deepcopy(step)
        while True:
            try:
                yield from self._through(step, replace(phase, atomic=self._begun(phase)))
                return
            except Slept:
                woken(self._now(), phase, self.lookout)
            except Unheard:
                # Announced, nothing is decided without the lock: what holds is for a resume to say, once Git answers.
                if not announced(self.lookout.journal.standing.facts):
                    raise
                self._until_heard(phase)
            step = deepcopy(pristine)

    def _through(self, step: Step, phase: Phase) -> Iterator[Progress]:
        self.lookout.alarm.answer()
        at_safe_point(phase, self.lookout.stop)
        world, clock = self._now(), self.world.systems.clock
        begin = clock.boot()
        seen = step.observe(world)
        commit = ""
        if not seen.already:
            yield Progress(Mark.BEGIN, phase.state, step=step.id, title=step.title, text=seen.detail)
            effect, commit = self._acted(step, world, phase)
            self.lookout.alarm.answer()
        timeout = self.wishes.timeout_s or step.timeout_s(world.policy)
        last = Progress(Mark.WAIT, phase.state)
        for last in until_open(step, self._now(), phase, self.lookout, timeout_s=timeout):
            yield last
        facts = dict(seen.facts if seen.already else effect.facts)
        self._write(Entry(Kind.DONE, step=step.id, data={**facts, **({"already": seen.detail} if seen.already else {})}), phase=phase)
        mark = Mark.SKIP if seen.already else Mark.DONE
        yield replace(
            last, mark=mark, step=step.id, title=step.title, text=seen.detail if seen.already else last.text, elapsed_s=clock.boot() - begin, commit=commit
        )

    def _acted(self, step: Step, world: World, phase: Phase) -> tuple[Effect, str]:
        if not isinstance(step, GateStep):
            self._write(Entry(Kind.INTENT, step=step.id), phase=phase)
        self.lookout.counters.awaiting = step.title
        effect = step.act(world, Notes(self.lookout, lambda line: self._said(step, line), step.id))
        if effect.commit is None:
            return effect, ""
        message = commit_message(world, step, effect.commit)
        change = Change(effect.commit.edits, message)
        return effect, self._write(Entry(Kind.FACT, step=step.id, data={"commit": effect.commit.subject}), change=change, clusters=effect.clusters, phase=phase)

    def _stuck_ends(self, step: Step, phase: Phase) -> Iterator[Progress]:
        """One step of a way back: where it can't go on, it stops resumable instead of turning again."""
        try:
            yield from self._one(step, phase)
        except (Turn, StepAborted) as turn:
            raise self._stuck(step, turn) from turn

    def _stuck(self, step: Step, turn: Exception) -> StoppedSafe:
        self._fail(str(turn))
        return StoppedSafe(f"stopped on the way back, at '{step.title}': {turn}", changed="the steps before it", next_step="bennu rotate resume")

    # Turns

    def _turned(self, phase: Phase, turn: Exception) -> Iterator[Progress]:
        """A gate failed, time ran out, or a human said stop: bring the phase to safety and end the run. What the alarm says comes first: a retreat would decide what is a human's."""
        self.lookout.alarm.answer()
        reason = str(turn)
        status = Status.PAUSED if isinstance(turn, StopAsked | Inconclusive) else Status.FAILED
        yield Progress(Mark.WARN, phase.state, status, text=reason)
        gentle = isinstance(turn, StopAsked) and turn.verb == "pause" and phase.state is not State.TRAFFIC_CANARY
        try:
            if not gentle:
                yield from self._retreat(phase, reason)
        except StoppedSafe as refused:
            self._note(Status.FAILED, f"{reason}; {refused.message}")
            raise StoppedSafe(f"stopped in {phase.state}: {reason}; {refused.message}", changed=refused.changed, next_step=refused.next_step) from turn
        self._note(status, reason)
        self._write(Entry(Kind.RELEASE))
        raise self._ending(phase, turn, reason)

    def _retreat(self, phase: Phase, reason: str) -> Iterator[Progress]:
        for step in phase.retreat(self._now()):
            yield from self._stuck_ends(step, replace(self._quiet(phase.state), atomic=True))
        if not phase.retreat(self._now()):
            return
        # What was measured and consented to held for the attempt that is given up.
        self._write(Entry(Kind.FACT, data={"canary.passed": "false", "promoted.by": ""}))
        prefix = phase.state.value.lower().replace("_", "-")
        self._write(Entry(Kind.ABORTED, step=f"{prefix}.*", data={"reason": reason[:300]}))
        if phase.retreat_event is not None:
            yield self._enter(phase.retreat_event)
            self._write(Entry(Kind.ABORTED, step="traffic-canary.*", data={"reason": reason[:300]}))

    def _ending(self, phase: Phase, turn: Exception, reason: str) -> BennuError:
        silent = phase.state.number >= State.PROMOTED.number and self.runbook.silent(self._now())
        return self._astray() or ending(phase, turn, reason, self.world.rotation.target, silent=silent, given_up=self._in_disaster())

    def _astray(self) -> BennuError | None:
        return self.runbook.astray(self._now(), self.state, self.lookout.journal.standing.direction)

    def _sane(self) -> None:
        """Two masters were seen: nothing goes on, forwards or back, before somebody has made one of them the only one."""
        if self.lookout.journal.standing.facts.get(SPLIT_BRAIN) == "true" and (wrong := self._astray()) is not None:
            raise wrong

    # A human's word

    def _confirmed(self, phase: Phase, verb: str) -> Iterator[Progress]:
        word = said(verb, self._now(), self.wishes, self.lookout.journal.holder.name)
        if word is not None:
            if word:
                self._write(*word)
            return
        words = awaited(verb, self.world.rotation.started_by, self.world.settings.repository.require.second_person)
        if self.wishes.no_wait or self.wishes.stop_after is phase.state:
            yield from self._pause(phase, words)
        reason = f"{words}; the monitors go on"
        self._note(Status.PAUSED, reason)
        clock, begin = self.world.systems.clock, self.world.systems.clock.boot()
        vigil = phase.vigil(self._now())
        while not self._looked_around(phase, reason, verb):
            seen = opened("") if vigil is None else asked(vigil, self._now())
            if seen.failed:
                raise GateFailed(seen.reason)
            yield Progress(Mark.PAUSED, phase.state, Status.PAUSED, text=reason, elapsed_s=clock.boot() - begin, figures=dict(seen.figures))
            clock.wait(self.world.policy.poll_s)

    def _looked_around(self, phase: Phase, reason: str, verb: str) -> bool:
        while True:
            try:
                return look_around(self._now(), phase, self.lookout, awaiting=reason, waiting=verb)
            except Slept:
                woken(self._now(), phase, self.lookout)

    def _pause(self, phase: Phase, reason: str) -> Iterator[Progress]:
        """End the process here; nobody watches afterwards, so traffic goes back first (design §5)."""
        if phase.state is State.TRAFFIC_CANARY:
            yield from self._retreat(phase, reason)
            self._write(Entry(Kind.FACT, data={"canary.passed": "true"}))
        self._note(Status.PAUSED, reason)
        self._write(Entry(Kind.RELEASE))
        yield Progress(Mark.PAUSED, phase.state, Status.PAUSED, text=reason)
        on = f"'bennu rotate {phase.confirm(self._now()) or 'resume'}' goes on"
        raise Paused(reason, changed="the steps so far", next_step=f"{on}, 'bennu rotate rollback' goes back")

    def _finish(self) -> Progress:
        pause = rotation_view(self.lookout.journal.standing).switchover.pause.words()
        return Progress(Mark.END, self.state, Status.DONE, text=f"rotation {self.world.rotation.id} is over" + (f"; write pause: {pause}" if pause else ""))
