"""The way back past a broken reverse link: how far the present master is ahead, what going back would lose, and the hand-back itself.

While the old master follows, the reverse switchover loses nothing and none of this is done. One that came back parked from a restart, as its manifest says, is made to follow again first.
Where it does not follow any more, the divergence is exact
(``core.switchover.stray_bytes``): none → the authority goes back; some → refused, both sides kept in files, and only ``--accept-loss`` goes on. Nothing is ever merged.
"""

from __future__ import annotations

from contextlib import ExitStack

from bennu.core.export import difference
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.switchover import HAND_OVER, PAST_LINK, announced, closed, stray_bytes
from bennu.core.verdict import Verdict, opened
from bennu.errors import DependencyDown, GateRefused, OperatorNeeded, StoppedSafe
from bennu.phases.base import Effect, Pen, Seen, Step, StepAborted, World
from bennu.phases.critical_servers import PARKING, Hands, server
from bennu.phases.data_syncing import mirror_address
from bennu.phases.pointer import Pointers, desired
from bennu.phases.redis_pod import by_manifest
from bennu.phases.section_errors import only_forward
from bennu.phases.stray_writes import accepted, bytes_in_words, kept
from bennu.phases.take_over import connection_name, take_over
from bennu.ports.redis import Observation

LINK, STRAY = "reverse.link", "reverse.stray"
REFUSED = "rollback.refused"  # the words for whoever asked; empty where the way back is open
BROKEN = "broken"
# A replica dials once a second, and a master that sends its data without a disk waits 5 s for more replicas (repl-diskless-sync-delay).
_BEGINS_S = 10.0
_GO_ON = "mend the reverse link ('bennu clusters health') and go back without loss, or give these writes up: 'bennu rotate rollback --accept-loss'"


def is_broken(world: World) -> bool:
    """Whether the way back was judged to lead past a broken link."""
    return world.facts.get(LINK) == BROKEN


class Rejoin(Step):
    """A fence by manifest brings the old master back parked from a restart, and nobody else gives it the present master's address: the rollback does, so that it stays one without loss."""

    id = "rollback.rejoin"
    title = "the old master follows again"

    def observe(self, world: World) -> Seen:
        """Nothing to do unless it is parked and the restart explains that. What stands otherwise is the judgement's."""
        if not by_manifest(world):
            return Seen(True, "a restart comes back as a replica of the present master")
        old, present = (world.systems.redis(colour).observe() for colour in (world.rotation.source, world.rotation.target))
        # Attached at the switch and no master since, it holds nothing that the present one lacks: its restart, and no hand, took it off. That is true of the process that was promoted alone:
        # one that restarted may have lost what the old master still has, and a full resync would take the last copy.
        restarted = old.run_id != world.facts.get("intent.source_run_id", old.run_id) and world.facts.get(SPLIT_BRAIN) != "true"
        restarted = restarted and present.run_id == world.facts.get("intent.target_run_id")
        return Seen(not (restarted and present.is_master and _parked(world, old)), "it did not come back parked from a restart")

    def act(self, world: World, pen: Pen) -> Effect:
        """REPLICAOF the mirror, and see it through; where it does not come, the judgement says what that means."""
        clock, policy, old = world.systems.clock, world.policy, world.systems.redis(world.rotation.source)
        # Safe to repeat: REPLICAOF to the master that it follows already changes nothing.
        old.replicate(mirror_address(world, world.rotation.source, world.rotation.target))
        pen.tell(f"{world.rotation.source.cluster}'s Redis came back parked from a restart; it follows {world.rotation.target.cluster} again")
        begun = last = clock.boot()
        while clock.boot() - last < _BEGINS_S and clock.boot() - begun < policy.syncing_timeout_s:
            seen = old.observe()
            if follows(seen, world.systems.redis(world.rotation.target).observe()):
                break
            last = clock.boot() if seen.sync_in_progress else last
            clock.wait(policy.poll_s)
        return Effect()


def _parked(world: World, old: Observation) -> bool:
    """Whether it is a replica of something else than the present master, which could be reached. False where no mirror leads there: then nothing can be mended from here."""
    try:
        mirror = mirror_address(world, world.rotation.source, world.rotation.target)
    except GateRefused:
        return False
    return not old.is_master and not old.link_up and old.master != mirror


class Judge(Step):
    """Whether going back would lose anything. Before the state changes: a refusal leaves the rotation as it was. It is noted, for whoever asked, and made by ``BothSides``."""

    id = "rollback.divergence"
    title = "what going back would lose"
    answers = REFUSED

    def observe(self, world: World) -> Seen:
        """Nothing where the old master follows the present one."""
        if not world.conf.redis:
            return Seen(True, "no Redis in the clusters", {REFUSED: ""})
        if on_its_way(world):
            return Seen(True, "the authority is on its way back already", {REFUSED: ""})
        return Seen(follows(*_both(world)), "nothing: the old master follows", {LINK: "up", REFUSED: ""})

    def act(self, world: World, pen: Pen) -> Effect:
        """Look a few times more, since a link may be down for a moment; then the divergence, and no unless there is none or its loss was accepted."""
        for _ in range(world.policy.link_failures):
            world.systems.clock.wait(world.policy.poll_s)
            old, present = _both(world)
            if follows(old, present):
                return Effect({LINK: "up", REFUSED: ""})
        stray = stray_bytes(server(present), server(old))
        found = {LINK: BROKEN, STRAY: "unknown" if stray is None else str(stray), REFUSED: ""}
        if stray == 0:
            pen.tell("the reverse link is broken, and the old master holds all that the present one does")
        elif not accepted(world.facts):
            found[REFUSED] = f"{_would(world, stray)}; both sides are being kept in files; {_GO_ON}"
        return Effect(found)


class BothSides(Step):
    """Both sides in files before anything is given up; without an accepted loss that is how it ends."""

    id = "rollback.both-sides"
    title = "both sides kept"

    def observe(self, world: World) -> Seen:
        """Nothing where nothing would be lost."""
        nothing = not world.conf.redis or not is_broken(world) or world.facts.get(STRAY) == "0"
        return Seen(nothing or on_its_way(world), "nothing would be lost")

    def act(self, world: World, pen: Pen) -> Effect:
        """Two files, and what going back would lose. Raises OperatorNeeded."""
        (here, ours), (there, theirs) = kept(world, world.rotation.target, "present"), kept(world, world.rotation.source, "old")
        old, present = _both(world)
        found_out = difference(ours, theirs)
        would = f"{_would(world, stray_bytes(server(present), server(old)))}: {found_out.counts()}"
        # Names of keys may be names of people: on the operator's screen and in the files, not in the journal that an error goes into.
        pen.tell(f"{would}{found_out.some()}; kept in {here} and {there}")
        if accepted(world.facts):
            return Effect()
        raise OperatorNeeded(
            would,
            changed=f"nothing, {world.rotation.target.cluster} goes on as the master; both sides are kept in {here} and {there}",
            next_step=_GO_ON,
        )


def _both(world: World) -> tuple[Observation, Observation]:
    old, present = (world.systems.redis(colour).observe() for colour in (world.rotation.source, world.rotation.target))
    return old, present


def on_its_way(world: World) -> bool:
    """Whether the present master was fenced, or the old one promoted: ``HandBack`` decides from there."""
    old, present = _both(world)
    return not present.is_master or old.is_master


def _would(world: World, stray: int | None) -> str:
    return f"the reverse link is broken, and going back would lose {bytes_in_words(stray)} that only {world.rotation.target.cluster} has"


def follows(old: Observation, present: Observation) -> bool:
    """Whether the old master is the present one's connected replica, in one history."""
    return not old.is_master and old.link_up and old.replid == present.replid


class HandBack(Step):
    """The hand-over past a broken link, in the swapped world: fence the present master, prove the divergence again inside the fence, make the old one master.

    The present master is never attached afterwards: it stays fenced, with what only it has, until it is taken down.
    """

    id = HAND_OVER
    title = "the write authority, past the broken link"

    def observe(self, world: World) -> Seen:
        """Already so where the roles and the pointers say so, and nothing is open that an older holder might still do."""
        if announced(world.facts):
            return Seen(False)
        source, target = (world.systems.redis(colour).observe() for colour in (world.rotation.source, world.rotation.target))
        done = target.is_master and not source.is_master and Pointers(world).matches(desired(world, world.rotation.target))
        return Seen(done, "the old master has it again")

    def act(self, world: World, pen: Pen) -> Effect:
        """Safe to repeat from wherever it stopped: the roles are read first, and every command leaves a server in a state that it finds done."""
        try:
            with ExitStack() as stack:
                source, target = (
                    stack.enter_context(world.systems.redis(colour).critical(connection_name(world)))
                    for colour in (world.rotation.source, world.rotation.target)
                )
                pointers = Pointers(world)
                take_over(world, pen, pointers, world.rotation.source, world.rotation.target, announces=PAST_LINK)
                return self._moved(world, pen, Hands(source, target), pointers)
        except ConnectionError as error:
            raise DependencyDown(
                f"a connection was lost while the authority was handed back: {error}",
                changed="possibly the present master is fenced: nobody accepts writes then, and none is lost",
                next_step="bennu rotate resume",
            ) from error

    def gate(self, world: World) -> Verdict:
        """The act has verified what it did."""
        return opened(f"{world.rotation.target.cluster} has it")

    def _moved(self, world: World, pen: Pen, hands: Hands, pointers: Pointers) -> Effect:
        clock, begun = world.systems.clock, world.systems.clock.boot()
        self._fence(world, hands)
        stray = self._stray(world, hands)
        with only_forward():
            self._promote(hands)
            pointers.flip(desired(world, world.rotation.target))
            paused = (clock.boot() - begun) * 1000
            hands.source.unpause()
            cut = hands.source.cut_clients()
        pen.tell(
            f"writes were paused for {paused:.1f} ms; {world.rotation.source.cluster} stays fenced; {bytes_in_words(stray)} are given up; {cut} connections were cut"
        )
        return Effect({STRAY: "unknown" if stray is None else str(stray), "pause.ms": f"{paused:.1f}"} | closed(world.facts, PAST_LINK))

    def _fence(self, world: World, hands: Hands) -> None:
        """The present master, so that it stays parked over a restart too; else it is made master again, and nothing was changed."""
        try:
            fenced = hands.source.fence(PARKING)
        except (GateRefused, StoppedSafe) as refused:
            raise StepAborted(refused.message) from refused
        if not (fenced.persisted or by_manifest(world)):
            hands.source.make_master()
            raise StepAborted("the fence could not be written to the present master's configuration: a restart would have come back writable")

    def _promote(self, hands: Hands) -> None:
        try:
            hands.target.make_master()
        except GateRefused as refused:
            if hands.target.position().is_master:
                return
            # Over a connection that still lives: it never was a master, and the pointers were not touched yet.
            hands.source.make_master()
            raise StepAborted(refused.message) from refused

    def _stray(self, world: World, hands: Hands) -> int | None:
        """What only the fenced server has: exact, since it writes no more. Un-fences it and refuses where that is more than was agreed to."""
        old = hands.target.observe()
        stray = stray_bytes(server(hands.source.observe()), server(old))
        if stray == 0 or accepted(world.facts) or old.is_master:
            return stray
        hands.source.make_master()
        why = f"{world.rotation.source.cluster} has {bytes_in_words(stray)} that {world.rotation.target.cluster} lacks: going back would lose them"
        raise StepAborted(why, OperatorNeeded(why, changed=f"nothing stays changed, {world.rotation.source.cluster} goes on as the master", next_step=_GO_ON))


class Keep(Step):
    """The given-up side's last state in a file, before anything of it is taken down. It is fenced: the file is exact."""

    id = "rollback.keep"
    title = "what is given up is kept"

    def observe(self, world: World) -> Seen:
        """Nothing where nothing is given up."""
        nothing = not world.conf.redis or not is_broken(world) or world.facts.get(STRAY) == "0"
        return Seen(nothing, "nothing is given up")

    def act(self, world: World, pen: Pen) -> Effect:
        """One file more."""
        words, _ = kept(world, world.rotation.target, "given-up")
        pen.tell(f"kept: {words}")
        return Effect({"reverse.kept": words})
