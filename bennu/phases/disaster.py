"""The source is dead: its replica becomes master by a human's word, and never otherwise.

What was acknowledged and did not arrive is lost to the group, and nobody can count it. So everything that can be said of it is said first; the loss is accepted by name; and it is proved,
or the operator says by the cluster's name, that the source accepts no write any more: a server that is silent here may serve everybody else. The dead source is never joined again by Bennu:
its volumes may hold the only copy of what is missing, so the rotation ends with it kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from bennu.core.clusters import Colour
from bennu.core.disaster import BESIDE, BY, GONE, REPLID, Evidence, Exposure, Replica, exposed, fenced, promotable, promoted_here, sampled, usable
from bennu.core.invariants import SPLIT_BRAIN
from bennu.core.states import State
from bennu.core.switchover import ALONE, BY_POINTER, announced, closed
from bennu.core.verdict import Verdict, opened
from bennu.errors import BennuError, DependencyDown, GateRefused, OperatorNeeded
from bennu.phases.base import Effect, Pen, Seen, Step, StepAborted, World
from bennu.phases.critical_servers import PARKING
from bennu.phases.gone import answers
from bennu.phases.kinds import DEPLOYMENT, NODE, POD, SERVICE, STATEFULSET, labels_of, wanted
from bennu.phases.pointer import Pointers, desired, released
from bennu.phases.redis_pod import by_manifest, came_back_armed
from bennu.phases.section_errors import only_forward, promoted_and_parked, restarted_armed
from bennu.phases.stray_writes import FOUND, KEPT, accepted
from bennu.phases.take_over import connection_name, take_over
from bennu.ports.kubernetes import Json, Ref
from bennu.ports.redis import Critical, Observation

T = TypeVar("T")
PROMOTED_RUN = "alone.run_id"  # the journal's fact: the target's process that was about to be promoted


class Judge(Step):
    """Whether it is a disaster, what it may cost, and whether both were agreed to. Before anything is changed."""

    id = "disaster.judge"
    title = "what going on without the source may cost"

    def __init__(self, state: State) -> None:
        self._state = state

    def observe(self, world: World) -> Seen:
        """Never already: what was seen a minute ago is not so any more."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """Say it, or refuse."""
        words = agreed(world, self._state)
        for line in words:
            pen.tell(line)
        return Effect({"disaster.found": "; ".join(words)} | _history(world))


def _history(world: World) -> dict[str, str]:
    """What the target holds while it is a replica still: by it a run that was killed behind the promotion is told from somebody else's."""
    if not world.conf.redis:
        return {}
    target = world.systems.redis(world.rotation.target).observe()
    return {} if target.is_master else {REPLID: target.replid}


def agreed(world: World, state: State) -> tuple[str, ...]:
    """As ``judged``, where the target was not promoted before. Raises what both raise."""
    refuse_restarted(world)
    return judged(world, state)


def judged(world: World, state: State = State.SWITCHOVER_LOCKED) -> tuple[str, ...]:
    """What is so, in an operator's lines. Raises GateRefused (3) where this is no disaster, or the target cannot be promoted; OperatorNeeded (7) without a proof or a word for the loss."""
    if not world.conf.redis:
        return (_proof(world).reason,)
    seen = _evidence(world)
    if seen.redis_answers:
        _refuse_the_other_way(world, state)
        on = "'bennu rotate start' begins an ordinary rotation" if state is State.IDLE_STABLE else "'bennu rotate promote' hands over without loss"
        if _or_none(world.systems.redis(world.rotation.source).observe) is None:
            on = "it refuses Bennu: check redis[].auth and redis[].tls, or cut it off from everybody ('bennu doctor' asks it again)"
        raise GateRefused(fenced(seen).reason, next_step=f"'bennu rotate status' shows where the rotation stands; {on}")
    target = world.systems.redis(world.rotation.target).observe()
    if target.is_master:
        return _master_already(world, target, fenced(seen), state)
    whole = promotable(_replica(target), world.facts.get("source.replid", ""))
    if not whole.is_open:
        raise GateRefused(whole.reason, next_step="restore the source, or the target from a snapshot; 'bennu rotate status --why' shows both histories")
    return _agreed(world, _exposure(world, target).words(), fenced(seen))


def never_given_up(colour: Colour, before: Mapping[str, str]) -> Colour:
    """*colour*, where no earlier rotation went on without it (*before*: by colour, which one): such a cluster is nobody's next master. Raises GateRefused."""
    if colour.value in before:
        raise GateRefused(
            f"{colour.cluster} was given up as dead by rotation {before[colour.value]}: it has nothing of what the group wrote since",
            next_step="restore from a snapshot; docs/disaster.md says what can be done by hand with what a cluster that was given up still holds",
        )
    return colour


def _agreed(world: World, cost: str, proof: Verdict, *, loss: bool = True) -> tuple[str, ...]:
    """Both words, or what is lacking: that nothing writes at the source any more, and (*loss*) that what it had alone is given up."""
    if not proof.is_open or (loss and not accepted(world.facts)):
        raise OperatorNeeded(f"{cost}; {proof.reason}", next_step=_ask(world, proof, loss=loss))
    return cost, proof.reason


def _master_already(world: World, target: Observation, proof: Verdict, state: State) -> tuple[str, ...]:
    """Nothing more is lost where this rotation made it the master, short of what the source's volumes hold alone; of any other master somebody has to say that it is the right one."""
    rotation, finished = world.rotation, state.number >= State.PROMOTED.number
    if not promoted_here(target.replid, target.replid2, target.run_id, world.facts, finished=finished):
        whole = usable(_replica(target), world.facts.get("source.replid", ""), finished=finished)
        if not whole.is_open:
            raise GateRefused(
                f"{rotation.target.cluster}: {whole.reason}",
                next_step="find out who made it a master and what it holds; docs/disaster.md says what can be done by hand",
            )
        how = "has restarted since its promotion" if finished else "was made a master by somebody else's hand"
        return _agreed(world, f"{rotation.target.cluster} {how}; {_exposure(world, target).words()}", proof)
    plain = f"{rotation.target.cluster} is the master already: nothing more is lost by going on without {rotation.source.cluster}"
    if state is not State.DRAINING:
        return (plain,)
    # What follows takes the source's volumes away.
    stray = world.facts.get(SPLIT_BRAIN) == "true" or bool(world.facts.get(KEPT))
    if not stray:
        return _agreed(world, plain, proof, loss=False)
    held = (
        " and ".join(words for words in (world.facts.get(FOUND, ""), world.facts.get(KEPT, "")) if words) or "nobody has counted which, and they are in no file"
    )
    return _agreed(
        world, f"{rotation.source.cluster} may hold writes that {rotation.target.cluster} lacks, and is about to be destroyed with them ({held})", proof
    )


def _refuse_the_other_way(world: World, state: State) -> None:
    """The source lives and the new master is silent: the data are on the side that was left, and Bennu does not guess how many. Raises OperatorNeeded."""
    rotation = world.rotation
    if state.number < State.PROMOTED.number or _or_none(world.systems.redis(rotation.target).observe) is not None:
        return
    raise OperatorNeeded(
        f"Redis of {rotation.target.cluster}, the write master, does not answer, and that of {rotation.source.cluster}, the old one, does: --dr goes on without the old one only",
        next_step=f"bring {rotation.target.cluster} back, then 'bennu rotate resume'; where it is lost for good, docs/disaster.md ('When the new master dies') says what to do by hand",
    )


def _proof(world: World) -> Verdict:
    """Where the state lies outside the clusters nothing of it is lost; two clusters that both call themselves the master would still write to it."""
    proof = fenced(_evidence(world))
    if not proof.is_open:
        raise OperatorNeeded(proof.reason, next_step=_ask(world, proof, loss=False))
    return proof


def _ask(world: World, proof: Verdict, *, loss: bool) -> str:
    """The command that would go on, and what else would prove it."""
    gone = "" if proof.is_open else f" --gone {world.rotation.source.cluster}"
    given = " --accept-loss" if loss else ""
    other = (
        "" if proof.is_open else f"; --gone says that nothing can write there any more: cut it off first, scale its Redis to 0, or destroy it ({proof.reason})"
    )
    # Before its lock was taken (which gives it an epoch) the rotation that a disaster begins is none to go on with.
    begins = BESIDE in world.rotation.options and not world.epoch and not world.facts.get(BY)
    verb = f"start --dr --to {world.rotation.target}" if begins else "promote --dr"
    return f"'bennu rotate {verb}{given}{gone}' goes on{other}"


def _evidence(world: World) -> Evidence:
    source = world.rotation.source
    alive = answers(world, source)
    known = _or_none(lambda: world.systems.provisioner.knows(world.order(source)))
    pods = _or_none(lambda: _redis_pods(world)) if alive else None
    nodes = _or_none(lambda: len(world.source.list(NODE))) if alive else None
    return Evidence(source.cluster, bool(world.conf.redis) and _answering(world), alive, pods, nodes, known, world.facts.get(GONE, ""))


def _answering(world: World) -> bool:
    """Whether any Redis of the source answers, behind its Service or not; one that refuses Bennu may well serve everybody else."""
    return world.systems.redis(world.rotation.source).lives()


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except BennuError:
        return None


def _redis_pods(world: World) -> int | None:
    """Pods that Redis' Service selects, and those that its workloads would start; None where no workload is seen."""
    if not world.conf.redis:
        return None
    where = world.conf.redis[0].service
    service = world.source.get(Ref(SERVICE, where.name, where.namespace))
    selector: dict[str, str] = (service or {}).get("spec", {}).get("selector") or {}

    def selected(labels: dict[str, str]) -> bool:
        return bool(selector) and selector.items() <= labels.items()

    workloads = [one for kind in (STATEFULSET, DEPLOYMENT) for one in world.source.list(kind, namespace=where.namespace) if selected(_pod_labels(one))]
    pods = [pod for pod in world.source.list(POD, namespace=where.namespace) if selected(labels_of(pod))]
    return max(len(pods), sum(wanted(one) for one in workloads)) if workloads else None


def _pod_labels(workload: Json) -> dict[str, str]:
    return dict(workload.get("spec", {}).get("template", {}).get("metadata", {}).get("labels") or {})


def _replica(seen: Observation) -> Replica:
    return Replica(
        offset=seen.offset,
        keys=seen.keys,
        replid=seen.replid,
        replid2=seen.replid2,
        link_down_s=seen.link_down_s if seen.link_down_s >= 0 else None,
        link_up=seen.link_up,
        syncing=seen.sync_in_progress or (seen.saving_or_loading and not seen.keys),
        persistent=seen.aof or seen.rdb_save,
        follows=seen.master not in (None, PARKING),
    )


def _exposure(world: World, target: Observation) -> Exposure:
    return exposed(_replica(target), sampled(world.facts), world.systems.clock.wall())


def refuse_restarted(world: World, seen: Observation | None = None) -> None:
    """Where the manifest says how a server starts, a target that was promoted and restarted since is a replica again, and may have acknowledged writes: no judgement of a replica fits it, and no
    source that returns may have its place. Raises OperatorNeeded.
    """
    before = world.facts.get(PROMOTED_RUN, "")
    if not before or not by_manifest(world):
        return
    seen = seen or world.systems.redis(world.rotation.target).observe()
    if not seen.is_master and seen.run_id != before:
        raise promoted_and_parked(None, seen)


class Alone(Step):
    """The hand-over without a source: the target becomes master, and every pointer that can be written says so."""

    id = "switchover-locked.alone"
    title = "the write authority, without the source"

    def observe(self, world: World) -> Seen:
        """Already so where the target is master and the pointers say so, and nothing is open that an older holder might still do."""
        named = Pointers(world).matches(desired(world, world.rotation.target)) and not announced(world.facts)
        if not world.conf.redis:
            return Seen(named, "the pointer names the target")
        done = named and world.systems.redis(world.rotation.target).observe().is_master
        return Seen(done, "the target is master, and the pointers say so")

    def act(self, world: World, pen: Pen) -> Effect:
        """Safe to repeat: the role is read first, over a connection that no earlier holder shares."""
        if not world.conf.redis:
            return self._pointer_alone(world, pen)
        try:
            with world.systems.redis(world.rotation.target).critical(connection_name(world)) as hand:
                pointers = Pointers(world)
                take_over(world, pen, pointers, world.rotation.target, announces=ALONE)
                return self._promoted(world, pen, hand, pointers)
        except ConnectionError as error:
            raise DependencyDown(
                f"the connection to the target was lost: {error}",
                changed="possibly the target is master; the source is dead, and nothing else was changed",
                next_step="bennu rotate resume",
            ) from error

    def gate(self, world: World) -> Verdict:
        """The act has verified what it did."""
        return opened(f"{world.rotation.target.cluster} has it")

    def _promoted(self, world: World, pen: Pen, hand: Critical, pointers: Pointers) -> Effect:
        facts = closed(world.facts, ALONE)
        seen = hand.observe()
        if not seen.is_master:
            refuse_restarted(world, seen)
            self._refuse_the_living(world, pen, seen)
            judged(world)
            cost = _exposure(world, seen)
            # From here the group has a history without what only the source had. The replid stays known: a source that returns is told by it.
            facts |= {"source.replid": seen.replid, "disaster.offset": str(seen.offset), "disaster.cost": cost.words()}
            # Noted before: from the promotion on nobody else could tell a restarted master from a replica that never was one.
            pen.intend({PROMOTED_RUN: seen.run_id})
            facts["promoted.replid"] = hand.make_master()
        with only_forward():
            pointers.flip(desired(world, world.rotation.target))
            hand.write_probe(f"bennu:probe:{world.rotation.id}", "alone")
        pen.tell(f"{world.rotation.target.cluster} accepts writes; {world.rotation.source.cluster} is never joined again by Bennu")
        return Effect(facts | released(world))

    def _refuse_the_living(self, world: World, pen: Pen, target: Observation) -> None:
        """A source that came back meanwhile is handed over like any other, or goes on: the disaster is off."""
        if _answering(world):
            pen.intend({BY: "", PROMOTED_RUN: ""})
            source = _or_none(world.systems.redis(world.rotation.source).observe)
            if source is not None and came_back_armed(world, world.facts, source, target):
                raise restarted_armed(source, target)
            raise StepAborted(f"Redis of {world.rotation.source.cluster} answers again: this is no disaster")

    def _pointer_alone(self, world: World, pen: Pen) -> Effect:
        pointers = Pointers(world)
        take_over(world, pen, pointers, announces=BY_POINTER)
        judged(world)
        wanted, source, target = desired(world, world.rotation.target), world.rotation.source, world.rotation.target
        again = f"mend that, then 'bennu rotate promote --dr --gone {source.cluster}' goes on"
        # Taken from the source before the target gets it, as in any hand-over: one that answers and cannot be written keeps it. One that is silent is passed over.
        with _left(f"possibly the pointer of {source.cluster} no longer has the authority; {target.cluster} has not got it", again):
            pointers.flip({source: wanted[source]})
        with _left(f"the pointer of {source.cluster} has no authority any more, or is silent; possibly {target.cluster} has it", again):
            pointers.flip({target: wanted[target]})
        return Effect(closed(world.facts, BY_POINTER) | released(world))


@contextmanager
def _left(changed: str, next_step: str) -> Iterator[None]:
    """A pointer that cannot be written says how far it came."""
    try:
        yield
    except DependencyDown as down:
        down.changed, down.next_step = changed, next_step
        raise


def steps(world: World, state: State) -> tuple[Step, ...]:
    """What is asked in *state* before the source is given up."""
    return (Judge(state),)
