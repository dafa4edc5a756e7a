"""What a resume would do now, and why: the verdict that ``status`` shows and ``rotate resume`` says before it goes on. Pure.

For the hand-over it is ``core.switchover.decide``'s own decision, the one that a resume acts on, put into an operator's words; nothing is decided here. What is read for it was read before older
holders were cut off, so a resume reads again: where they are alive still, it may find otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from bennu.core.switchover import Decision, Intent, Row, Server, Todo, decide, holds_all_first, may_attach, stray_bytes
from bennu.core.verdict import Answer

_AGAIN = "back to TRAFFIC_CANARY, all traffic at the source"
_KEEPS = "keeps both sides in files and stops: somebody must decide which writes count"
# What a resume does by each decision, and the exit code that it ends with where that is its end (0: it goes on).
DOES: dict[Todo, tuple[str, int]] = {
    Todo.RETRY: ("hands over anew, under a new intent", 0),
    Todo.UNFENCE: (f"makes the source master again: {_AGAIN}", 5),
    Todo.PROMOTE: ("promotes the target, flips the pointers, and goes on", 0),
    Todo.FINISH: ("flips the pointers, attaches the old master as a replica, and goes on", 0),
    Todo.FENCE_SOURCE: ("fences the source at once, attaches it as a replica, and goes on", 0),
    Todo.OPERATOR: ("decides nothing and stops: an operator is needed", 7),
    Todo.DIVERGENT: ("decides nothing and stops: the histories do not match the journal", 9),
    Todo.UNREACHABLE: ("decides nothing and stops: what cannot be read is not guessed", 8),
}


@dataclass(frozen=True)
class Looked:
    """A gate or a monitor as one look found it."""

    name: str
    answer: Answer
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class Outlook:
    """``does``: what a resume does, ``code`` the exit code that it would end with by that (0: it goes on), ``why`` the reason. ``before``: what comes first. In the hand-over ``todo`` and ``row``
    are those of the resume table, ``condition`` the row in words, ``roles`` what was read. ``gates``: what else was looked at, where it was asked for.
    """

    does: str
    why: str = ""
    code: int = 0
    before: tuple[str, ...] = ()
    todo: str = ""
    row: str = ""
    condition: str = ""
    roles: str = ""
    gates: tuple[Looked, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What was read of a hand-over: None for a server that cannot be read, ``named`` None where a pointer cannot be; ``pointer``: whether the source's own can. ``announced``: one is open in the
    journal. ``restarted``: a restart explains the source's state (``phases.section``). ``done``: the target is master, the source follows it, and the pointers say so.
    """

    source: Server | None
    target: Server | None
    intent: Intent | None
    named: bool | None
    announced: bool
    pointer: bool = True
    restarted: bool = False
    done: bool = False


def of_hand_over(scene: Scene) -> Outlook:
    """What a resume does whose hand-over is not recorded as done."""
    if scene.done:
        return Outlook("records that the target is master and the source follows it, verifies it, and goes on", "an earlier run had done it")
    decision = decide(scene.source, scene.target, scene.intent, bool(scene.named))
    does, code = _done_by(scene, decision)
    return Outlook(
        does, _reason(scene, decision), code, todo=decision.todo.value, row=decision.row.name.lower().replace("_", "-"), condition=decision.row.value
    )


def _reason(scene: Scene, decision: Decision) -> str:
    if scene.source is None and decision.todo is not Todo.UNREACHABLE:
        return f"{decision.why}; were the source dead, 'bennu rotate promote --dr' would go on without it"
    if (scene.named is None and scene.announced) or not scene.pointer:
        return "whom the pointers name cannot be read, and they tell whether the promotion may have happened"
    return decision.why


def _done_by(scene: Scene, decision: Decision) -> tuple[str, int]:
    todo, source, target = decision.todo, scene.source, scene.target
    if source is None or (scene.named is None and scene.announced) or not scene.pointer:
        return DOES[Todo.UNREACHABLE]
    if target is None and todo is Todo.RETRY:
        return f"leaves the source master: {_AGAIN}", 5
    if todo is Todo.RETRY and target is not None and not (target.link_up and target.replid == source.replid):
        return f"waits a little for the target to follow again, and hands over; where it does not, {_AGAIN}", 5
    if not scene.announced:
        return _unannounced(scene, decision)
    if target is None or todo not in (Todo.FINISH, Todo.FENCE_SOURCE):
        return DOES[todo]
    first = holds_all_first(todo, named=bool(scene.named), restarted=scene.restarted)
    stray = first and stray_bytes(source, target) != 0
    if stray or not may_attach(source, target, source_restarted=scene.restarted and todo is Todo.FINISH):
        return f"{'fences the source at once, ' if todo is Todo.FENCE_SOURCE else ''}{_KEEPS}", 7
    return DOES[todo]


def _unannounced(scene: Scene, decision: Decision) -> tuple[str, int]:
    if decision.row is Row.UNANNOUNCED_SOURCE_MASTER:
        return ("runs what is left of the pre-check, and hands over", 0) if scene.named is not None else (f"leaves the source master: {_AGAIN}", 5)
    return "stops: it neither hands over nor goes back while somebody else assigns roles", DOES[decision.todo][1]
