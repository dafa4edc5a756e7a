"""The parts of runs whose every failpoint is tried: the whole way forward, and every way back, aside and out."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.engine.turns import Wishes
from tests.sim.failpoints import following
from tests.sim.pilot import AUTO, Outcome, Pilot, asked, during, entered, universe, until
from tests.sim.resumes import Leg
from tests.sim.seams import Killed
from tests.sim.test_broken_way_back import broken
from tests.sim.test_disaster import canary
from tests.sim.universe import Kit, Universe

WHOLE = Kit(weights=(10, 90))
FAST = Kit(weights=(10,))
OUTSIDE = Kit(redis=False, weights=(10,))
BY_MANIFEST = Kit(weights=(10,), ledger="fence: {persists_by: manifest}")
HELD_ELSEWHERE = Kit(weights=(10,), ledger="auth: {password: 'env:REDIS_PASSWORD'}")
STATES = [state for state in State if state is not State.IDLE_STABLE]


def taking(pilot: Pilot) -> str:
    """The lock's id, where somebody else holds it."""
    lock = pilot.session.standing().lock
    return lock.id if lock and lock.holder != pilot.holder.name else ""


def went_on(pilot: Pilot) -> Outcome:
    """``start`` where nothing was begun, else ``resume``."""
    return pilot.resume(take_over=taking(pilot)) if pilot.session.standing().rotation else pilot.start()


def went_back(pilot: Pilot) -> Outcome:
    """``rollback``, as often as it takes."""
    return pilot.rollback(take_over=taking(pilot))


def cleaned(pilot: Pilot) -> Outcome:
    """``cleanup`` of blue, and ``resume`` where that was begun."""
    return pilot.cleanup("blue") if pilot.session.standing().ended else pilot.resume(take_over=taking(pilot))


def declared(pilot: Pilot) -> Outcome:
    """``promote --dr``, with both words each time, until nothing is asked any more."""
    given = Wishes(dr=True, accept_loss=True, gone="cluster-blue")
    return pilot.resume(given, take_over=taking(pilot))


def forward(state: State, kit: Kit = WHOLE) -> Leg:
    """From a state's entry (S1: from nothing) to the next one's."""
    after = following(state)
    return Leg(
        f"forward, {state}",
        (lambda: universe(kit)) if state is State.PROVISIONING else (lambda: entered(state, kit)),
        went_on,
        None if after is State.IDLE_STABLE else after,
    )


def _in_the_canary() -> Universe:
    world = entered(State.TRAFFIC_CANARY, FAST)
    pilot = Pilot(world)

    def dies(*_: object) -> None:
        raise Killed

    pilot.watch = during("traffic-canary.watch-10", dies)
    pilot.resume()
    return world


def _to_be_aborted() -> Universe:
    world = _in_the_canary()
    asked(world, "abort")
    return world


def _kept() -> Universe:
    world = universe(FAST)
    assert Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",)).error is None
    return world


def _with_a_snapshot() -> Universe:
    world = universe(FAST)
    pilot = Pilot(world)
    pilot.watch = until(State.SWITCHOVER_LOCKED)
    pilot.start(AUTO, options=("snapshot",))
    return world


def _by_manifest(state: State) -> Universe:
    world = entered(state, BY_MANIFEST)
    for server in world.servers.values():
        server.knobs.config_file = ""
    return world


def _refused(kit: Kit) -> Universe:
    """A source whose fence would not hold: S6 is given up."""
    world = entered(State.SWITCHOVER_LOCKED, kit)
    world.servers[Colour.BLUE].knobs.read_only_replica = False
    return world


LEGS = (
    *(forward(state) for state in STATES),
    Leg("forward, no Redis", lambda: entered(State.SWITCHOVER_LOCKED, OUTSIDE), went_on, State.PROMOTED),
    Leg("forward, with a snapshot", _with_a_snapshot, went_on, State.PROMOTED),
    Leg("forward, fence by manifest", lambda: _by_manifest(State.SWITCHOVER_LOCKED), went_on, State.PROMOTED),
    Leg("forward, password elsewhere", lambda: entered(State.DATA_SYNCING, HELD_ELSEWHERE), went_on, State.TRAFFIC_CANARY),
    Leg("S6 given up", lambda: _refused(FAST), went_on, code=5, anew=True),
    Leg("S6 given up, fence by manifest", lambda: _refused(BY_MANIFEST), went_on, code=5, anew=True),
    Leg("rollback in the canary", _in_the_canary, went_back, code=6),
    Leg("rollback in S4", lambda: entered(State.DATA_SYNCING, FAST), went_back, code=6),
    Leg("reverse", lambda: entered(State.PROMOTED, FAST), went_back, code=6),
    Leg("reverse, fence by manifest", lambda: _by_manifest(State.PROMOTED), went_back, code=6),
    Leg("reverse past a broken link", lambda: broken(quiet=True), went_back, code=6),
    Leg("abort in the canary", _to_be_aborted, went_on, code=10),
    Leg("cleanup", _kept, cleaned),
    Leg("disaster", canary, declared, gone=("last-words",)),
)
