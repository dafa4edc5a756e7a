"""Writes that only one side holds while the other has the authority: kept in files, said, and given up by name or not at all. Nothing is ever merged.

Two places ask: a hand-over whose old master cannot be attached without losing what only it has (``section``), and a way back past a broken link (``divergence``). An operator who
accepts a loss accepts what an earlier run has kept and shown, never what nobody has looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bennu.core.clusters import Colour
from bennu.core.export import Contents, difference, lines
from bennu.core.invariants import SPLIT_BRAIN
from bennu.errors import DependencyDown, OperatorNeeded, SplitBrainError, StoppedSafe
from bennu.phases.base import Pen, World
from bennu.ports.redis import Observation

ACCEPTED = "loss.accepted"
# What was found and kept, and of which state of the old master: fenced, it stays in that state.
FOUND, KEPT, OF = "stray.found", "stray.kept", "stray.of"
NONE = {FOUND: "", KEPT: "", OF: ""}
_FORWARD = "the target is master and the pointers name it; the source stays fenced"
_FENCED = "the source was fenced; nothing was attached"
_NEXT = (
    "take from the files what is to last; then 'bennu rotate resume --accept-loss' attaches the old master by a full resync, which gives its own writes up; "
    "or have it follow the new one by hand (REPLICAOF), and 'bennu rotate resume' finishes"
)


def accepted(facts: Mapping[str, str]) -> bool:
    """Whether an operator gave one side's own writes up, by name, in this command."""
    return bool(facts.get(ACCEPTED))


def explained(facts: Mapping[str, str], source: Observation) -> bool:
    """Whether the armed source came back as another process. After two masters were seen, or writes that it alone has, that explains nothing any more: what only it had may have been acknowledged."""
    return source.run_id != facts.get("intent.source_run_id", source.run_id) and facts.get(SPLIT_BRAIN) != "true" and not facts.get(KEPT)


def bytes_in_words(stray: int | None) -> str:
    """None = the histories are not related."""
    return "an unknown number of bytes" if stray is None else f"{stray} bytes of replication stream"


def kept(world: World, colour: Colour, when: str) -> tuple[str, Contents]:
    """All keys of a cluster's Redis in a file; (what was kept in words, its contents). Raises DependencyDown, StoppedSafe."""
    redis, contents = world.systems.redis(colour), Contents()
    seen = redis.observe()
    head = {
        "redis": redis.name,
        "version": f"{seen.flavour} {seen.version}",
        "replid": seen.replid,
        "offset": str(seen.offset),
        "role": "master" if seen.is_master else "replica",
    }
    name = f"{world.rotation.id}.{colour}.{when}.{world.systems.clock.wall():%Y%m%dT%H%M%SZ}.jsonl"
    found = world.systems.checkpoint.save_dump(name, lines(head, redis.export(), contents))
    return f"{found.path} ({len(contents.digests)} keys, sha256 {found.sha256[:12]}…)", contents


@dataclass(frozen=True)
class Stray:
    """What the old master has alone, as both servers say over the section's own connections. ``bytes`` is None where their histories are not related."""

    old: Observation
    new: Observation
    bytes: int | None

    @property
    def state(self) -> str:
        """The old master's, as far as its data go."""
        return f"{self.old.replid} {self.old.offset}"

    @property
    def loses(self) -> bool:
        """Whether anything, or nobody knows what, goes with the old master. One that holds no key has nothing to lose."""
        return self.bytes != 0 and self.old.keys > 0

    def shown(self, facts: Mapping[str, str]) -> bool:
        """Whether an earlier run kept what stands there now."""
        return bool(facts.get(KEPT)) and facts.get(OF) == self.state


def not_attached(found: str, both: str) -> OperatorNeeded:
    """The refusal after a promotion."""
    return OperatorNeeded(
        f"the old master may hold writes that the new one does not ({found}): it was not attached", changed=f"{_FORWARD}; {both}", next_step=_NEXT
    )


def two_masters(found: str, both: str) -> OperatorNeeded:
    """The refusal after two masters were seen, before anybody is sent to the target."""
    return SplitBrainError(f"both servers were masters and the old one holds {found} that the new one lacks", changed=f"{_FENCED}; {both}", next_step=_NEXT)


def settled(world: World, pen: Pen, facts: Mapping[str, str], stray: Stray, refusal: Callable[[str, str], OperatorNeeded]) -> None:
    """Return where an operator gave these writes up; else keep both sides, once, and raise *refusal*.

    Safe to go on from only where the target is the one master: a full resynchronisation takes what it has.
    """
    if stray.shown(facts) and accepted(facts) and stray.new.is_master and not stray.old.is_master:
        return
    if not stray.shown(facts):
        facts = {**facts, **_both_kept(world, pen, stray, refusal)}
    raise refusal(facts[FOUND], facts[KEPT])


def given_up(world: World, pen: Pen) -> dict[str, str]:
    """The old master's last state in one file more, exact since it is fenced, on the machine that is about to throw it away. The journal's facts."""
    try:
        words, _ = kept(world, world.rotation.source, "given-up")
    except (DependencyDown, StoppedSafe) as error:
        raise OperatorNeeded(
            f"what the old master has alone cannot be kept here ({error.message}): it was not attached",
            changed=_FORWARD,
            next_step="mend that, then 'bennu rotate resume --accept-loss'",
        ) from error
    pen.intend({"stray.given-up": words})
    pen.tell(f"the old master's own writes are given up; kept: {words}")
    return NONE | {"stray.given-up": words}


def _both_kept(world: World, pen: Pen, stray: Stray, refusal: Callable[[str, str], OperatorNeeded]) -> dict[str, str]:
    found = bytes_in_words(stray.bytes)
    try:
        (there, theirs), (here, ours) = kept(world, world.rotation.source, "old"), kept(world, world.rotation.target, "new")
    except (DependencyDown, StoppedSafe) as error:
        failed = refusal(found, f"nothing is kept yet ({error.message})")
        failed.next_step = "mend that, then 'bennu rotate resume', which keeps both sides in files"
        raise failed from error
    would = difference(theirs, ours)
    # Names of keys may be names of people: on the operator's screen and in the files, not in the journal.
    pen.tell(f"only the old master has {found}: {would.counts()}{would.some()}; kept in {there} and {here}")
    facts = {FOUND: f"{found}: {would.counts()}", KEPT: f"both sides are kept in {there} and {here}", OF: stray.state}
    pen.intend(facts)
    return facts
