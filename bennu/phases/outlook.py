"""What a resume would do now, read for ``status`` and for whoever is about to resume: the steps that are left, the servers' roles, and, on request, the gates. Changes nothing.

What a resume decides by is asked here in the same words: ``core.switchover.decide`` for the hand-over, the phases' own lists, monitors and gates elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from bennu.core.clusters import Colour
from bennu.core.consent import SAID, awaited
from bennu.core.disaster import BESIDE, BY
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.outlook import Looked, Outlook, Scene, of_hand_over
from bennu.core.standing import Standing
from bennu.core.states import Direction, State
from bennu.core.switchover import announced
from bennu.core.verdict import Verdict, unknown
from bennu.errors import BennuError, GateRefused, OperatorNeeded
from bennu.phases import rollback
from bennu.phases.aftermath import writes_astray
from bennu.phases.base import GateStep, Phase, Step, World
from bennu.phases.critical_servers import handed_over, intent_of, server
from bennu.phases.disaster import Alone
from bennu.phases.divergence import is_broken
from bennu.phases.hand_over import HandOver
from bennu.phases.only_read import NotAsked, only_read
from bennu.phases.order import PHASES
from bennu.phases.pointer import Pointers, answering, desired
from bennu.phases.redis_pod import came_back_armed
from bennu.phases.section_errors import restarted_armed, roles
from bennu.phases.stray_writes import explained
from bennu.ports.kubernetes import Conflict
from bennu.ports.redis import Observation

_STOPS = "decides nothing and stops"


def outlook(world: World, standing: Standing, *, gates: bool) -> Outlook | None:
    """What a resume would do with the rotation of *standing*; None where there is nothing to resume. *world* has the journal's facts. *gates*: ask those of the step at hand, and the monitors."""
    world = only_read(world)
    if not standing.open:
        cut_short = standing.rotation and standing.begun and not standing.ended and BESIDE in world.rotation.options
        return Outlook("asks for the words that a disaster needs", "a 'start --dr' died at its very beginning", OperatorNeeded.exit_code) if cut_short else None
    astray = writes_astray(world, standing.state, standing.direction) if world.facts.get(SPLIT_BRAIN) == "true" else None
    if astray is not None:
        return Outlook(_STOPS, astray.message, astray.code)
    try:
        left = _left(world, standing)
    except BennuError as error:
        return Outlook("cannot be said", error.message, error.code)
    found = _hand_over(world, standing) if any(step.id in (HandOver.id, Alone.id) for step in left) else _going_on(world, standing, left)
    return replace(found, gates=_gates(world, standing, left)) if gates else found


def _phase(standing: Standing) -> Phase:
    return next(phase for phase in PHASES if phase.state is standing.state)


def _left(world: World, standing: Standing) -> tuple[Step, ...]:
    """The steps that are not recorded as done, in their order."""
    if standing.direction is Direction.ROLLBACK:
        steps = rollback.steps(world, standing.state)
    elif standing.direction is Direction.REVERSE:
        steps = rollback.reverse(world)
    else:
        steps = _phase(standing).steps(world)
    # A way back out of S7 does the forward list's own steps again.
    again = standing.direction is Direction.REVERSE and standing.state is State.PROMOTED
    return steps if again else tuple(step for step in steps if step.id not in standing.done)


def _going_on(world: World, standing: Standing, left: tuple[Step, ...]) -> Outlook:
    way = {Direction.FORWARD: "", Direction.ROLLBACK: " on its way back", Direction.REVERSE: " of the reverse switchover"}[standing.direction]
    if left:
        try:
            left[0].observe(world)
        except NotAsked:
            pass
        except BennuError as error:
            return Outlook(f"stops at '{left[0].title}' ({left[0].id}){way}", error.message, error.code)
        return Outlook(
            f"goes on with '{left[0].title}' ({left[0].id}){way}", f"it is the first of {len(left)} steps of {standing.state} that are not recorded as done"
        )
    verb = _phase(standing).confirm(world) if standing.direction is Direction.FORWARD else ""
    if verb and not standing.facts.get(SAID[verb]):
        words = awaited(verb, world.rotation.started_by, world.settings.repository.require.second_person)
        return Outlook(f"{words}, and watches meanwhile", f"every step of {standing.state} is recorded as done")
    return Outlook(f"leaves {standing.state}", f"every step of it is recorded as done{way}")


# The hand-over


def _hand_over(world: World, standing: Standing) -> Outlook:
    if standing.direction is Direction.REVERSE:
        if is_broken(world):
            return Outlook("hands the authority back past the broken link", "what going back loses was judged; it is proved again behind the fence")
        swapped = world.swapped()
        found = _hand_over_of(swapped)
        return replace(found, before=(f"on the way back the roles are swapped: 'the source' is {swapped.rotation.source.cluster}", *found.before))
    return _without_source(world) if world.facts.get(BY) else _hand_over_of(world)


def _hand_over_of(world: World) -> Outlook:
    if not world.conf.redis:
        return Outlook("takes the pointer from the source, then gives it to the target", "state lies outside the clusters: the pointer alone is the authority")
    source, target = _asked(world, world.rotation.source), _asked(world, world.rotation.target)
    refused = next((one for one in (source, target) if isinstance(one, GateRefused)), None)
    if refused is not None:
        return Outlook(_STOPS, refused.message, refused.code)
    here, there = (one if isinstance(one, Observation) else None for one in (source, target))
    # As a resume reads them: without the target's Redis its pointer counts only where its API answers.
    named, matches, pointer = _pointers(world, source_alone=there is None)
    scene = Scene(
        source=None if here is None else server(here),
        target=None if there is None else server(there),
        intent=intent_of(world.facts),
        named=named,
        announced=announced(world.facts),
        pointer=pointer,
        restarted=here is not None and explained(world.facts, here),
        done=here is not None and there is not None and handed_over(here, there) and matches,
    )
    found = _said(of_hand_over(scene), source, target, named)
    if here is not None and there is not None and came_back_armed(world, world.facts, here, there):
        error = restarted_armed(here, there)
        found = replace(found, does=_STOPS, why=error.message, code=error.code)
    if scene.announced:
        found = replace(found, before=("cuts off what older holders left on both servers, and only then reads the roles anew", *found.before))
    return found


def _said(found: Outlook, source: Observation | BennuError, target: Observation | BennuError, named: bool | None) -> Outlook:
    there = target if isinstance(target, Observation) else None
    if isinstance(source, Observation):
        words = roles(source, there, named=bool(named))
    else:
        words = f"the source cannot be read; the target {'cannot, either' if there is None else 'is master' if there.is_master else 'is no master'}"
    problems = [one.message for one in (source, target) if isinstance(one, BennuError)]
    if named is None:
        problems.append("a pointer cannot be read")
    return replace(found, roles="; ".join([words.removesuffix("; no pointer names the target") if named is None else words, *problems]))


def _without_source(world: World) -> Outlook:
    """The source was declared dead: what is left is to make the target master, or it is already."""
    if not world.conf.redis:
        return Outlook("asks for the proof that the source is dead once more", "only a human can say so", OperatorNeeded.exit_code)
    source, target = _asked(world, world.rotation.source), _asked(world, world.rotation.target)
    if isinstance(target, BennuError):
        return Outlook(_STOPS, target.message, target.code)
    if target.is_master:
        return Outlook("flips every pointer that answers, and goes on without the source", "the target is master already", roles="the target is master")
    if isinstance(source, Observation):
        return Outlook("ends the disaster: back to TRAFFIC_CANARY", "the source's Redis answers again", 5, roles="the source answers; the target is no master")
    why = "a loss is accepted, and a cluster said to be dead, for one command alone: 'bennu rotate promote --dr' says what it asks for"
    return Outlook(
        "asks for the words that a disaster needs once more", why, OperatorNeeded.exit_code, roles="the source cannot be read; the target is no master"
    )


def _asked(world: World, colour: Colour) -> Observation | BennuError:
    try:
        return world.systems.redis(colour).observe()
    except BennuError as error:
        return error


def _pointers(world: World, *, source_alone: bool) -> tuple[bool | None, bool, bool]:
    """Whether one of them names the target (None: it cannot be read), whether both say all that they would say then, and whether the source's own can be read."""
    try:
        pointers = answering(world) if source_alone else Pointers(world)
        return pointers.names(world.rotation.target), pointers.matches(desired(world, world.rotation.target)), True
    except BennuError:
        pass
    try:
        Pointers(world, world.rotation.source).says_master(world.rotation.source)
    except BennuError:
        return None, False, False
    return None, False, True


# The gates


def _gates(world: World, standing: Standing, left: tuple[Step, ...]) -> tuple[Looked, ...]:
    found: list[Looked] = []
    if standing.direction is Direction.FORWARD:
        phase = _phase(standing)
        for monitor in phase.monitors:
            found.append(_looked(monitor.name, _answer(partial(monitor.check, world))))
        vigil = phase.vigil(world) if not left else None
        if vigil is not None:
            found.append(_looked(vigil.title, _answer(partial(vigil.glance, world))))
    if left:
        found.append(_looked(left[0].title, _answer(partial(_at_hand, world, standing, left[0]))))
    return tuple(found)


def _at_hand(world: World, standing: Standing, step: Step) -> Verdict:
    """The gate of the first step that is left. Before it has acted there is nothing to look at."""
    if not isinstance(step, GateStep) and standing.intent != step.id:
        seen = step.observe(world)
        if not seen.already:
            return unknown(f"not done yet: {seen.detail}" if seen.detail else "not done yet")
    return step.glance(world)


def _answer(ask: Callable[[], Verdict]) -> Verdict:
    try:
        return ask()
    except (BennuError, Conflict) as error:
        return unknown(str(error))


def _looked(name: str, verdict: Verdict) -> Looked:
    return Looked(name, verdict.answer, verdict.reason, verdict.failed)
