"""What happens after a death: who goes on, by which command, and whether the end is that of a run that nobody killed, with nothing done twice."""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.journal import Holder
from tests.sim.failpoints import Recording, left_behind, recorded
from tests.sim.pilot import ANN, BOB, Outcome, Pilot, until
from tests.sim.points import JOURNAL, At, Failpoint
from tests.sim.seams import Killed, Taps
from tests.sim.universe import Universe

Command = Callable[[Pilot], Outcome]


class How(enum.StrEnum):
    """Who goes on."""

    SAME_HOME = "the same home"
    FRESH_CLONE = "another laptop"
    KILLED_AGAIN = "killed once more"


@dataclass(frozen=True)
class Leg:
    """A part of a run that is recorded: from the world that ``begun`` makes, by ``command``, which is also what goes on with it, until the state ``end`` is entered (None: to the end)."""

    name: str
    begun: Callable[[], Universe]
    command: Command
    end: State | None = None
    code: int = 0  # by which it ends
    gone: tuple[str, ...] = ()  # writes that were given up by name
    anew: bool = False  # once the attempt was given up, going on is another one, with commits of its own

    def __str__(self) -> str:
        return self.name

    def ended(self, outcome: Outcome) -> str:
        """What is wrong with how a run ended; empty for nothing."""
        fine = isinstance(outcome.error, Killed) if self.end is not None else outcome.code == self.code
        return "" if fine else str(outcome)


@dataclass
class Undisturbed:
    """A leg as it goes when nothing happens."""

    recording: Recording
    world: Universe

    @property
    def end(self) -> dict[str, object]:
        """What it leads to."""
        return shape(self.world)


@lru_cache(maxsize=2)  # its worlds take a few hundred megabytes
def undisturbed(leg: Leg) -> Undisturbed:
    """Recorded once."""
    world = leg.begun()
    recording, outcome = recorded(world, leg.command, until(leg.end) if leg.end else None)
    assert not leg.ended(outcome), outcome
    assert world.violations == []
    return Undisturbed(recording, world)


# Judging


def shape(world: Universe) -> dict[str, object]:
    """All that a rotation leaves, and what decides how it goes on."""
    up = [colour for colour, cluster in world.clusters.items() if cluster.up]
    standing = Pilot(world).session.standing()
    return {
        "files": dict(world.tree),
        "up": up,
        "provisioned": sorted(world.provisioner.clusters),
        "masters": world.writable(),
        "replicas": [colour for colour, server in world.servers.items() if server.knobs.up and server.state.synced],
        "pointers": [world.pointer(colour) for colour in up],
        "weights": [world.weights(colour, app) for colour in up for app in world.kit.apps],
        "record": world.answer(),
        "cut": set(world.net._cut),
        "state": (standing.state, standing.status, standing.direction),
        "done": standing.done,
        "held": standing.lock is not None,
        "intent": standing.facts.get("intent.open"),
        # Without what a CronJob makes: that comes and goes by the clock.
        "objects": {f"{colour}: {ref}" for colour in up for ref in world.clusters[colour]._objects if not ref.name.startswith("settlement-")},
        "history": standing.facts.get("source.replid") == world.servers[Colour.BLUE].state.replid if world.servers else None,
    }


def deeds(world: Universe) -> dict[str, object]:
    """What may be done once only: clusters made and destroyed, the promotion, full copies of the data, commits."""
    return {
        "provisioner": world.provisioner.deeds,
        "promotions": {c.value: server.promotions for c, server in world.servers.items()},
        "full syncs": {c.value: server.state.sync_full for c, server in world.servers.items()},
        "commits": sorted(Counter(one.commit.subject for one in world.remote.history).items()),
    }


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    return [_difference(key, found[key], wanted[key]) for key in wanted if found[key] != wanted[key]]


def _difference(key: str, found: Any, wanted: Any) -> str:
    if isinstance(wanted, set):
        return f"{key}: too much {sorted(map(str, found - wanted))}, too little {sorted(map(str, wanted - found))}"
    if isinstance(wanted, dict):
        return f"{key}: " + "; ".join(
            _difference(name, found.get(name), wanted.get(name)) for name in found.keys() | wanted if found.get(name) != wanted.get(name)
        )
    return f"{key}: {found!r:.300} instead of {wanted!r:.300}"


def wrong(world: Universe, leg: Leg) -> list[str]:
    """How a world differs from the one that nobody disturbed."""
    reference = undisturbed(leg)
    found = [f"seen: {words}" for words in world.violations]
    found += [f"lost: {key}" for key in world.lost() if key not in leg.gone][:5] if world.kit.redis else []
    found += differences(shape(world), reference.end)
    done = deeds(world)
    return found + differences(done | ({"commits": deeds(reference.world)["commits"]} if leg.anew else {}), deeds(reference.world))


# Going on


def carried_on(world: Universe, leg: Leg, holder: Holder, taps: Taps | None = None) -> list[str]:
    """One more process, to the leg's end; what is wrong with how it ended."""
    pilot = Pilot(world, holder, taps=taps)
    if leg.end is not None:
        pilot.watch = until(leg.end)
    outcome = leg.command(pilot)
    problem = leg.ended(outcome)
    return [f"ended: {problem}"] if problem else []


def over(world: Universe, leg: Leg) -> bool:
    """Whether nothing is left to be done of it."""
    return shape(world) == undisturbed(leg).end


def second_death(world: Universe, leg: Leg, at: At, holder: Holder) -> Universe:
    """*holder* goes on, and dies at the first point of this kind that it comes by; or does not, and the end is reached."""
    found: list[Universe] = []

    def dies(taps: Taps, name: str, *, after: bool) -> None:
        if not found and _is_at(at, taps, name, after=after):
            found.append(left_behind(world))
            raise Killed(at)

    taps = Taps()
    taps.before = lambda name: dies(taps, name, after=False)
    taps.after = lambda name: dies(taps, name, after=True)
    with suppress(Killed):  # by what looks around before the lock is taken
        carried_on(world, leg, holder, taps)
    return found[0] if found else world


def _is_at(at: At, taps: Taps, name: str, *, after: bool) -> bool:
    kinds = {one.kind for one in taps.args[2]} if name == JOURNAL else set()
    commits = name == JOURNAL and len(taps.args) > 3 and taps.args[3] is not None
    if at in (At.BEFORE_INTENT, At.AFTER_INTENT):
        return Kind.INTENT in kinds and after is (at is At.AFTER_INTENT)
    if not after:
        return False
    return Kind.DONE in kinds if at is At.AFTER_DONE else commits or name.split(".", maxsplit=1)[0] not in ("repository", "checkpoint")


def judged(world: Universe, leg: Leg, point: Failpoint, how: How, number: int) -> list[str]:
    """Go on from *world*, where somebody died at *point*; what is wrong in the end."""
    world = world.copy()
    first, second = (ANN, BOB) if number % 2 else (BOB, ANN)
    if how is How.SAME_HOME:
        first = ANN
        _sockets_closed(world)
    elif how is How.FRESH_CLONE:
        first = BOB
    elif not over(world, leg):
        world, first = second_death(world, leg, point.at, first), second
    found = ([] if over(world, leg) else carried_on(world, leg, first)) + wrong(world, leg)
    return found or (_to_the_end(world, second) if leg.end is not None and number % 8 == 0 else [])


def _to_the_end(world: Universe, holder: Holder) -> list[str]:
    """Where all is as it would have been, the rest of the rotation goes as it would have gone; now and then that is seen."""
    disk = world.disk(holder.name)
    disk.locks.clear()
    pilot = Pilot(world, holder)
    lock = pilot.session.standing().lock
    outcome = pilot.resume(take_over=lock.id if lock and lock.holder != holder.name else "")
    ended = [] if outcome.error is None else [f"later: {outcome}"]
    return ended + [f"later: {words}" for words in world.violations] + ([f"later lost: {key}" for key in world.lost()[:5]] if world.kit.redis else [])


def _sockets_closed(world: Universe) -> None:
    """A kernel that lives closes what its dead process had open; a laptop that lost its network does not."""
    for connection in itertools.chain.from_iterable(server.connections for server in world.servers.values()):
        connection.alive = connection.alive and not connection.name.startswith("bennu-")
