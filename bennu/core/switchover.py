"""The decisions of the switchover (S6): whether an offset suffices, and what a resume must do. Pure; whether it may begin is ``core.precheck``'s to say.

The order of the steps is in ``phases/switchover_locked.py``; what is here is why each may be taken. The resume table is that of the fault catalogue; the
exhaustive model of the procedure agrees with it. Offsets are bytes of the replication stream. "Parked" = a replica of an address where nothing listens.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """One Redis as far as decisions need it. ``replid2`` is empty where there is none, ``second_offset`` -1."""

    is_master: bool
    link_up: bool
    run_id: str
    replid: str
    replid2: str
    offset: int
    second_offset: int


@dataclass(frozen=True)
class Intent:
    """What was true when the critical section was announced, read over its own connections. ``withdrawn`` is the source's replid since its fence was taken back before any promotion was
    sent, empty where none was.
    """

    replid: str
    source_run_id: str
    target_run_id: str
    withdrawn: str = ""


class Todo(enum.StrEnum):
    """What a resume does."""

    RETRY = "retry"  # source is open master, nothing was promoted: back to S5, or once more
    UNFENCE = "unfence"  # make the source master again
    PROMOTE = "promote"
    FINISH = "finish"  # the target is master: flip, attach, verify
    FENCE_SOURCE = "fence-source"  # both are masters: fence the source at once, then look again
    OPERATOR = "operator"  # exit 7
    DIVERGENT = "divergent"  # exit 9
    UNREACHABLE = "unreachable"  # exit 8, nothing is decided


class Row(enum.StrEnum):
    """The rows of the table, by what is seen: the words that ``rotate status --why`` shows. "Possible" = a pointer names the target, it has a replid of its own, or it restarted."""

    UNANNOUNCED_SOURCE_SILENT = "no hand-over announced; the source cannot be read"
    UNANNOUNCED_SOURCE_MASTER = "no hand-over announced; the source is master"
    UNANNOUNCED_TARGET_SILENT = "no hand-over announced; the source is no master, or a pointer names the target, which cannot be read"
    UNANNOUNCED_FOREIGN = "no hand-over announced; the roles are not source master, target replica"
    BOTH_SILENT = "neither server can be read"
    TARGET_SILENT_SOURCE_MASTER = "source master in the announced history; target cannot be read"
    TARGET_SILENT = "source fenced, or of another history; target cannot be read"
    SOURCE_SILENT_TARGET_MASTER = "source cannot be read; target master"
    SOURCE_SILENT_TARGET_REPLICA = "source cannot be read; target no master"
    SOURCE_RESTARTED_OPEN = "source master, restarted since it was announced; target its replica in the announced history"
    UNRELATED = "histories not related to the announced one"
    TWO_MASTERS = "source master; target master"
    TARGET_MASTER = "source fenced; target master"
    SOURCE_MASTER_PROMOTION_POSSIBLE = "source master; target a replica that may have been promoted"
    SOURCE_MASTER = "source master; target a replica, never promoted"
    REACHED = "source fenced, its offset known; target a replica, never promoted, that has reached it"
    BEHIND = "source fenced, its offset known; target a replica, never promoted, that has not reached it"
    RESTARTED_SOURCE_AHEAD = "source fenced and restarted; target a replica, never promoted, that holds no more"
    RESTARTED_TARGET_AHEAD = "source fenced and restarted; target a replica, never promoted, that holds more"
    RESTARTED_INCOMPARABLE = "source fenced and restarted; target a replica, never promoted, in another history"
    OWN_HISTORY_UNTOLD = "source fenced and restarted; target a replica with a history of its own that the source does not know"
    OWN_HISTORY_WHOLE = "source fenced; target a replica with a history of its own, whole"
    OWN_HISTORY_LOST = "source fenced; target a replica with a history of its own, of which it lost some"
    POSSIBLE_REACHED = "source fenced, its offset known; target the announced process, a replica that has reached it; promotion possible"
    POSSIBLE_RESTARTED = "source fenced; target a replica that may have been promoted and restarted since"


@dataclass(frozen=True)
class Decision:
    """What to do, why in words for ``rotate status --why``, and the row of the table that says so."""

    todo: Todo
    why: str
    row: Row


# What the journal holds true while a hand-over is under way: between two servers, by the pointer alone, past a broken link, without a source.
BY_POINTER, PAST_LINK, ALONE = "intent.pointer", "reverse.open", "alone.open"
OPEN = ("intent.open", BY_POINTER, PAST_LINK, ALONE)

# The step that moves the authority, and the one by which Git says the same.
HAND_OVER, FLIP_COMMIT = "switchover-locked.hand-over", "switchover-locked.commit"

# When the authority had moved and writes went on, by the clock of who moved it: a run that goes on elsewhere watches as long as that one would have.
RELEASED = "released.at"


def announced(facts: Mapping[str, str]) -> bool:
    """Whether a hand-over was announced that nobody has ended since: some holder's connections, dead or frozen, may still have a say."""
    return any(facts.get(key) == "true" for key in OPEN)


def closed(facts: Mapping[str, str], *more: str) -> dict[str, str]:
    """The facts that end whatever was announced by *facts*, and what was since (*more*)."""
    return {key: "false" for key in OPEN if key in more or facts.get(key) == "true"}


def fence_suffices(target_offset: int, proved: int) -> bool:
    """Whether the target holds all that the source ever acknowledged: its own offset has reached the one proved inside the fence.

    Never equality: after a pause the source's stream still grows by PINGs (facts.md), so the target may only be compared as "at least".
    """
    return target_offset >= proved


def may_attach(source: Server, target: Server, *, source_restarted: bool) -> bool:
    """Whether the old master may become the new one's replica without losing bytes (design §7.9). *source_restarted*: the armed source came back as a replica."""
    same = source.replid == target.replid
    descends = bool(target.replid2) and source.replid == target.replid2 and source.offset < target.second_offset
    return same or descends or (source_restarted and not source.is_master)


def holds_all_first(todo: Todo, *, named: bool, restarted: bool) -> bool:
    """Whether a target that is master must be seen to hold all that the source has before anybody is sent there: beside a second master, and where it may be master by somebody else's hand."""
    return todo is Todo.FENCE_SOURCE or (todo is Todo.FINISH and not (named or restarted))


def stray_bytes(source: Server, target: Server) -> int | None:
    """Bytes of the replication stream that only *source* holds: exact, or None where the histories are not related (facts.md, "Divergence after promotion").

    Asked of the old master after a promotion, and (with the roles swapped) of the present master by whoever wants to go back past a broken reverse link.
    """
    if source.replid == target.replid:
        return max(0, source.offset - target.offset)
    if target.replid2 and source.replid == target.replid2:
        return max(0, source.offset - (target.second_offset - 1))
    if source.replid2 and source.replid2 in (target.replid, target.replid2):
        # The source left their common history at its own promotion, or the target did before: what it wrote since is its own.
        forked = target.offset if source.replid2 == target.replid else target.second_offset - 1
        return max(0, source.offset - min(source.second_offset - 1, forked))
    return None


@dataclass(frozen=True)
class _Facts:
    """What can be said of whether the promotion happened."""

    named: bool
    own_replid: bool
    target_restarted: bool
    source_restarted: bool

    @property
    def may_have_happened(self) -> bool:
        return self.named or self.own_replid or self.target_restarted


def decide(source: Server | None, target: Server | None, intent: Intent | None, pointer_names_target: bool) -> Decision:
    """The resume table. None for a server that cannot be read; *intent* None = none was ever announced."""
    if intent is None:
        return _without_intent(source, target, pointer_names_target)
    if source is None or target is None:
        return _one_sided(source, target, intent, pointer_names_target)
    facts = _Facts(
        named=pointer_names_target,
        # A target that merely followed the source's new replid (after an un-park) has none of its own.
        own_replid=target.replid != intent.replid and target.replid2 == intent.replid and target.replid != source.replid,
        target_restarted=target.run_id != intent.target_run_id,
        source_restarted=source.run_id != intent.source_run_id,
    )
    certainly_not = target.replid == intent.replid and not facts.target_restarted and not facts.named
    if certainly_not and not target.is_master and facts.source_restarted and source.is_master:
        return Decision(
            Todo.RETRY,
            "the source restarted as open master and nothing was promoted; Redis makes the target follow it again by itself",
            Row.SOURCE_RESTARTED_OPEN,
        )
    if not _related(source, target, intent) and not facts.source_restarted:
        return Decision(Todo.DIVERGENT, "the two servers' histories are not related to the announced one: no offset of theirs can be compared", Row.UNRELATED)
    if target.is_master:
        return _both_or_target(source, target)
    if source.is_master:
        if facts.may_have_happened and (facts.named or facts.own_replid) and not (target.replid == source.replid and target.link_up):
            return Decision(
                Todo.OPERATOR,
                "the source is master, yet the target may have been promoted before and acknowledged writes that only it holds",
                Row.SOURCE_MASTER_PROMOTION_POSSIBLE,
            )
        return Decision(Todo.RETRY, "the source is still the only master and nothing was promoted", Row.SOURCE_MASTER)
    if not facts.may_have_happened:
        return _fenced_before_promotion(source, target, intent, facts)
    return _fenced_promotion_possible(source, target, intent, facts)


def _without_intent(source: Server | None, target: Server | None, named: bool) -> Decision:
    if source is None:
        return Decision(Todo.UNREACHABLE, "the source cannot be read", Row.UNANNOUNCED_SOURCE_SILENT)
    if source.is_master and not (target and target.is_master) and not named:
        return Decision(Todo.RETRY, "no critical section was announced; the source is master", Row.UNANNOUNCED_SOURCE_MASTER)
    if target is None:
        return Decision(Todo.UNREACHABLE, "the target cannot be read", Row.UNANNOUNCED_TARGET_SILENT)
    return Decision(Todo.OPERATOR, "roles differ from what an unannounced switchover can explain: somebody else changed them", Row.UNANNOUNCED_FOREIGN)


def _one_sided(source: Server | None, target: Server | None, intent: Intent, named: bool) -> Decision:
    if source is None and target is None:
        return Decision(Todo.UNREACHABLE, "neither server can be read", Row.BOTH_SILENT)
    if target is None and source is not None:
        # The target's state decides whether the promotion happened; only a source that is still master, and never passed on its history, may go on alone.
        if source.is_master and not named and source.replid in (intent.replid, intent.withdrawn):
            return Decision(Todo.RETRY, "the target cannot be read; the source is master, and nothing was promoted", Row.TARGET_SILENT_SOURCE_MASTER)
        return Decision(Todo.UNREACHABLE, "the target cannot be read, and it may hold acknowledged writes", Row.TARGET_SILENT)
    if target is not None and target.is_master:
        return Decision(Todo.FINISH, "the target is master; the source cannot be read and stays fenced for its return", Row.SOURCE_SILENT_TARGET_MASTER)
    return Decision(Todo.OPERATOR, "the source cannot be read and the target is no master: loss cannot be excluded", Row.SOURCE_SILENT_TARGET_REPLICA)


def _related(source: Server, target: Server, intent: Intent) -> bool:
    if intent.replid in (source.replid, source.replid2):
        return True
    return source.replid in (target.replid, target.replid2)


def _both_or_target(source: Server, target: Server) -> Decision:
    if source.is_master:
        return Decision(Todo.FENCE_SOURCE, "both servers are masters: the source is fenced at once, then the divergence is measured", Row.TWO_MASTERS)
    return Decision(Todo.FINISH, "the target is master and the source is fenced", Row.TARGET_MASTER)


def _fenced_before_promotion(source: Server, target: Server, intent: Intent, facts: _Facts) -> Decision:
    offset_known = not facts.source_restarted and source.replid == intent.replid
    if offset_known:
        if target.replid == source.replid and fence_suffices(target.offset, source.offset):
            return Decision(Todo.PROMOTE, f"the source is fenced at {source.offset} and the target has reached it", Row.REACHED)
        return Decision(
            Todo.UNFENCE, f"the source is fenced at {source.offset} and the target stands at {target.offset}: the source is made master again", Row.BEHIND
        )
    if source.replid == target.replid:
        if source.offset >= target.offset:
            return Decision(Todo.UNFENCE, "the source restarted while fenced and holds at least what the target does", Row.RESTARTED_SOURCE_AHEAD)
        return Decision(Todo.PROMOTE, "the source restarted while fenced and the target holds more", Row.RESTARTED_TARGET_AHEAD)
    return Decision(Todo.OPERATOR, "the source restarted while fenced and its history can't be compared any more", Row.RESTARTED_INCOMPARABLE)


def _fenced_promotion_possible(source: Server, target: Server, intent: Intent, facts: _Facts) -> Decision:
    if facts.own_replid:
        if facts.source_restarted and source.replid not in (target.replid, target.replid2):
            # Taken back, a fence gives the source a new replid, which the target inherits; after an append-only restart the source knows it no more.
            return Decision(
                Todo.OPERATOR,
                "the target's own history may be its promotion's, or the source's own from after a fence that was taken back: the source restarted and cannot tell",
                Row.OWN_HISTORY_UNTOLD,
            )
        if target.offset >= target.second_offset - 1:
            return Decision(Todo.PROMOTE, "the target was promoted before (it has a replid of its own) and still holds what it had then", Row.OWN_HISTORY_WHOLE)
        return Decision(Todo.OPERATOR, "the target was promoted before and has lost some of what it had then", Row.OWN_HISTORY_LOST)
    offset_known = not facts.source_restarted and source.replid == intent.replid
    if offset_known and target.replid == source.replid and fence_suffices(target.offset, source.offset) and not facts.target_restarted:
        return Decision(
            Todo.PROMOTE, f"the source is fenced at {source.offset} and the target, the same process as announced, has reached it", Row.POSSIBLE_REACHED
        )
    return Decision(
        Todo.OPERATOR, "the target may have been promoted and restarted since: it may have acknowledged writes that it no longer holds", Row.POSSIBLE_RESTARTED
    )
