"""Waiting for a gate while everything else stays in sight: monitors, requests, signals, the heartbeat.

A poll never decides by time alone: the deadline ends a wait, an observation opens it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bennu.core.invariants import split_brain_protection
from bennu.core.states import State
from bennu.core.switchover import HAND_OVER, announced
from bennu.core.verdict import Answer, Verdict, failed, opened, unknown
from bennu.engine.heartbeat import beat
from bennu.engine.lookout import Lookout
from bennu.engine.progress import Mark, Progress
from bennu.engine.requests import taken_up
from bennu.engine.silence import until_heard
from bennu.engine.turns import Counters, GateFailed, Inconclusive, OutOfTime, StopFlag
from bennu.errors import DependencyDown, Interrupted
from bennu.phases.base import Monitor, Phase, Step, World
from bennu.ports.kubernetes import Conflict


def asked(step: Step, world: World) -> Verdict:
    """The gate's verdict; a system that doesn't answer is *unknown*, never an end by itself: the deadline is."""
    try:
        return step.gate(world)
    except (DependencyDown, Conflict) as error:
        return unknown(str(error))


def until_open(step: Step, world: World, phase: Phase, lookout: Lookout, *, timeout_s: float) -> Iterator[Progress]:
    """Poll the gate until it opens. Raises GateFailed, Inconclusive, OutOfTime, RollbackAsked, StopAsked, Interrupted, Slept."""
    clock = world.systems.clock
    begin = clock.boot()
    while True:
        # Before the deadline is looked at: nobody was there to see the gate open.
        lookout.wake.check()
        verdict = asked(step, world)
        if verdict.is_open:
            yield Progress(
                Mark.WAIT, phase.state, step=step.id, title=step.title, text=verdict.reason, figures=dict(verdict.figures), elapsed_s=clock.boot() - begin
            )
            return
        if verdict.failed:
            raise GateFailed(verdict.reason)
        elapsed = clock.boot() - begin
        if elapsed > timeout_s:
            waited = f"waited {elapsed:.0f} s for {step.awaits or step.title}: {verdict.reason}"
            if verdict.answer is Answer.UNKNOWN and phase.state is State.TRAFFIC_CANARY:
                raise Inconclusive(waited)
            raise OutOfTime(waited)
        yield Progress(
            Mark.WAIT, phase.state, step=step.id, title=step.title, text=verdict.reason, elapsed_s=elapsed, deadline_s=timeout_s, figures=dict(verdict.figures)
        )
        look_around(world, phase, lookout, awaiting=f"{step.awaits or step.title}: {verdict.reason}")
        clock.wait(world.policy.poll_s)


def look_around(world: World, phase: Phase, lookout: Lookout, *, awaiting: str, waiting: str = "") -> bool:
    """Once between two polls: the alarm, monitors, signals, requests, heartbeat. True if the word that is *waiting* to be said (promote, drain) was taken up. May raise any Turn, Interrupted, Slept, or what the alarm says."""
    lookout.wake.check()
    keep_watch(world, phase, lookout)

    def meanwhile() -> None:
        keep_watch(world, phase, lookout)

    said = taken_up(world, phase, lookout, waiting=waiting, meanwhile=meanwhile)
    beat(world, phase, lookout, awaiting, meanwhile=meanwhile)
    return said


def keep_watch(world: World, phase: Phase, lookout: Lookout) -> None:
    """What goes on whatever Git does: the alarm, the monitors, signals. Raises GateFailed, Interrupted, or what the alarm says."""
    lookout.alarm.answer()
    for monitor in phase.monitors:
        _watch(monitor, world, lookout.counters)
    at_safe_point(phase, lookout.stop)


def at_safe_point(phase: Phase, stop: StopFlag) -> None:
    """Raise Interrupted if a signal asked for a stop, unless the phase is one that must be ended first."""
    if stop.number and not phase.atomic:
        raise Interrupted(
            stop.number, f"stopped by signal {stop.number} in {phase.state}", changed="the journal has every step", next_step="bennu rotate resume"
        )


def woken(world: World, phase: Phase, lookout: Lookout) -> None:
    """After a sleep: read the lock again. A laptop that wakes up finds its network some seconds later, so that a silent remote is waited for in any state. Raises LockLost, Interrupted,
    DependencyDown past the limit, and OutOfTime where a switchover that was not announced slept for too long: what it was begun on is old.
    """

    def meanwhile() -> None:
        lookout.alarm.answer()
        at_safe_point(phase, lookout.stop)

    slept = until_heard(lookout, world, lambda: lookout.wake.answered(lookout.journal), meanwhile=meanwhile)
    lookout.counters.silence.tell(
        f"{slept:.0f} s went by unseen (sleep, a stopped process, or a clock that was set): the lock is still ours, and what holds is read again"
    )
    # What the monitors missed right after the wake was this machine's own network.
    lookout.counters.missed.clear()
    standing, limit = lookout.journal.standing, world.policy.switchover_timeout_s
    if phase.state is State.SWITCHOVER_LOCKED and phase.turnable and slept > limit and not (announced(standing.facts) or HAND_OVER in standing.done):
        raise OutOfTime(
            f"{slept:.0f} s passed unseen before the switchover was announced, which may take {limit:.0f}: what the canary and the pre-check found is too old"
        )


def _watch(monitor: Monitor, world: World, counters: Counters) -> None:
    try:
        verdict = monitor.check(world)
    except DependencyDown as error:
        verdict = unknown(str(error))
    if verdict.is_open:
        counters.missed[monitor.name] = 0
        return
    missed = counters.missed[monitor.name] = counters.missed.get(monitor.name, 0) + 1
    judged = split_brain_protection(monitor.name, verdict, missed, world.policy.link_failures)
    if judged.failed:
        raise GateFailed(judged.reason)


def monitors_hold(world: World, phase: Phase) -> Verdict:
    """All monitors, asked once (what a resume does first)."""
    for monitor in phase.monitors:
        verdict = monitor.check(world)
        if verdict.failed:
            return failed(f"{monitor.name}: {verdict.reason}")
    return opened("all monitors hold")
