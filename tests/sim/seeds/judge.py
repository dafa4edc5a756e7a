"""What must hold of every story, while it lasts (the world's own eyes), after each process, and at its end."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.record import Kind, Record, parse_all, rendered
from bennu.core.standing import folded
from bennu.core.states import State
from bennu.errors import BennuError
from bennu.manifests import profile_sync, tree
from bennu.phases import warm_directory
from tests.sim import fleet
from tests.sim.memory_repository import records_in
from tests.sim.pilot import Outcome
from tests.sim.replays import destroyed
from tests.sim.seams import Killed
from tests.sim.universe import Universe, masters_of

CODES = {0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 129, 130, 143}


def records_of(world: Universe) -> tuple[Record, ...]:
    """The journal as the host has it."""
    swaps = world.remote.journals.get(str(fleet.GROUP), [])
    return tuple(record for swap in swaps for record in records_in(swap.lines))


def of_ending(outcome: Outcome) -> list[str]:
    """How a process ended: by a kill, by nothing left to do, or by an error of the table that says all three things."""
    error = outcome.error
    if error is None or isinstance(error, Killed):
        return []
    if not isinstance(error, BennuError):
        return [f"a traceback: {type(error).__name__}: {error}"]
    found = [] if error.code in CODES else [f"exit code {error.code}: {error}"]
    lacking = [
        name
        for name, text in (("what happened", error.message), ("what was changed", error.changed), ("what next", error.next_step or error.usually))
        if not text.strip()
    ]
    return found + [f"an error ({error.code}) does not say {', '.join(lacking)}: {error}" for _ in lacking[:1]]


def of_world(world: Universe) -> list[str]:
    """What holds at any time."""
    return [*world.violations, *(f"an acknowledged write is gone from everywhere: {key}" for key in destroyed(world)[:1] if world.kit.redis)]


def of_history(world: Universe, begun: int) -> list[str]:
    """Every commit since *begun*: one write master, no catalog touched, nothing committed twice."""
    found, before = [], world.remote.history[begun - 1].files
    for one in world.remote.history[begun:]:
        masters = masters_of(one.files, world.kit.keys)
        if len(masters) != 1:
            found.append(f"commit '{one.commit.subject}' has {len(masters)} write masters")
        if any(path.startswith("catalogs/") for path in one.touched):
            found.append(f"commit '{one.commit.subject}' writes a catalog")
        if "Bennu-Step" in one.commit.trailers and one.files == before:
            found.append(f"commit '{one.commit.subject}' changes nothing: an effect was doubled")
        before = one.files
    return found


# Ways back, which whoever goes on begins anew: each of their steps finds its work done.
_BEGUN_ANEW = ("rollback.", "switchover-locked.give-up", "switchover-locked.disarm")


def of_journal(records: tuple[Record, ...]) -> list[str]:
    """It reads back, nobody writes under an epoch that was taken over, and no step is done twice."""
    found = []
    try:
        if parse_all(rendered(records)) != records:
            found.append("the journal does not read back as it was written")
        folded(records)
    except BennuError as error:
        return [f"the journal cannot be read: {error}"]
    if len({record.nonce for record in records}) != len(records):
        found.append("a record stands in the journal twice")
    epoch, done = 0, set[str]()
    for record in records:
        if record.epoch < epoch:
            found.append(f"{record.holder} wrote '{record.kind} {record.step}' under epoch {record.epoch} after {epoch} had begun")
        epoch = max(epoch, record.epoch)
        done = _done(record, done, found)
    return found


def _done(record: Record, done: set[str], found: list[str]) -> set[str]:
    if record.kind is Kind.BEGIN:
        return set()
    if record.kind is Kind.ABORTED:
        prefix = record.step.removesuffix("*")
        return {step for step in done if not (step.startswith(prefix) if record.step.endswith("*") else step == record.step)}
    if record.kind is Kind.DONE:
        if record.step in done and not record.step.startswith(_BEGUN_ANEW):
            found.append(f"step {record.step} was done twice")
        return done | {record.step}
    return done


def intended(world: Universe) -> bool:
    """Whether the journal says, at this moment, that something is being done."""
    for swap in reversed(world.remote.journals.get(str(fleet.GROUP), [])):
        for record in reversed(records_in(swap.lines)):
            if record.kind is Kind.INTENT:
                return True
            if record.kind in (Kind.DONE, Kind.ABORTED, Kind.STATE, Kind.BEGIN):
                return False
    return False


def of_requests(world: Universe) -> list[str]:
    """Each request is decided once."""
    accepted = [record.data["id"] for record in records_of(world) if record.kind is Kind.REQUEST and record.data.get("accepted") == "true"]
    return [f"request {one} was taken up {accepted.count(one)} times" for one in dict.fromkeys(accepted) if accepted.count(one) > 1]


def of_pause(world: Universe) -> list[str]:
    """What holds wherever a process ended outside S6: the write master's next start is a master's."""
    active, standing = world.master_in_git(), folded(records_of(world))
    if standing.state is State.SWITCHOVER_LOCKED or active is None or not world.kit.redis:
        return []
    path = f"{fleet.HOME}/{active.cluster}/{tree.PROFILE_SYNC}"
    variant = profile_sync.variant(world.tree[path], path)
    return [] if variant == warm_directory.HOT else [f"in {standing.state} {active} is the write master, and would come back from a restart as {variant}"]


def of_rest(world: Universe) -> list[str]:
    """IDLE_STABLE: one cluster has authority, traffic and every acknowledged write, and Git, the pointers and Redis say so."""
    standing = folded(records_of(world))
    found = [] if (standing.state, standing.lock) == (State.IDLE_STABLE, None) else [f"not at rest: {standing.state} ({standing.status}), lock {standing.lock}"]
    active = world.master_in_git()
    if active is None:
        return [*found, "Git names no write master"]
    there = {colour for colour, cluster in world.clusters.items() if cluster.up}
    if active not in there:
        return [*found, f"{active}, the write master by Git, is not there"]
    if world.kit.redis:
        if world.writable() != [active.value]:
            found.append(f"Git says {active}, and these accept writes: {world.writable()}")
        elif world.lost():
            found.append(f"{len(world.lost())} acknowledged writes are lost, {world.lost()[0]} the first")
    found += [
        f"the pointer of {colour} says {says} at rest"
        for colour in there
        if (says := world.pointer(colour)["IS_WRITE_MASTER"]) != str(colour is active).lower()
    ]
    for app in world.kit.apps:
        served = {name for name, weight in world.weights(active, app).items() if weight}
        if served != {app}:
            found.append(f"at rest {active} sends {app} to {sorted(served)}")
    return found + _alone(world, there, active)


def _alone(world: Universe, there: set[Colour], active: Colour) -> list[str]:
    left = sorted(there - {active})
    return [f"at rest {', '.join(left)} is still there"] if left else []
