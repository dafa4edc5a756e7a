"""One process of Bennu's in a simulated world: the real wiring's beginnings and endings, around a session whose systems are simulated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from bennu.core.clusters import Colour
from bennu.core.policy import LAB, Policy
from bennu.core.standing import Standing
from bennu.core.states import State
from bennu.engine.endings import left_alone
from bennu.engine.heartbeat import beat_beside
from bennu.engine.journal import Holder, Journal
from bennu.engine.lookout import Aside, at_once
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import BennuError, LockLost
from bennu.phases.base import Rotation, Systems
from bennu.phases.single_master import MasterWatch
from bennu.ports.checkpoint import Checkpoint
from bennu.ports.repository import Request
from bennu.wiring import Options, Over, Session, cleaning, resumed, started
from bennu.wiring.systems import Built
from bennu.wiring.watching import looks, raised, staying
from tests.sim import fleet
from tests.sim.memory_requests import MemoryRequestBox
from tests.sim.seams import Killed, Taps, systems
from tests.sim.universe import Kit, Universe
from tests.sim.virtual_clock import VirtualClock

# Few polls: virtual time costs nothing, looking around does.
POLICY = replace(
    LAB, name="sim", poll_s=1.0, canary_window_s=3.0, canary_max_window_s=8.0, promote_recheck_s=2.0, lag_soak_s=3.0, heartbeat_s=10.0, min_requests=20,
    request_poll_s=1.0, git_silence_s=20.0, drain_window_s=2.0, max_sample_age_s=60.0,
)  # fmt: skip
AUTO = Wishes(auto_promote=True)
Watch = Callable[[Engine, Progress], None]
ANN, BOB = Holder("ann@one", 1), Holder("bob@two", 2)


@cache
def _begun(kit: Kit) -> Universe:
    return Universe(kit)


def universe(kit: Kit | None = None) -> Universe:
    """A world with one active cluster, at rest."""
    return _begun(kit or Kit()).copy()


@cache
def _entered(kit: Kit, state: State) -> Universe:
    world = universe(kit) if state is State.PROVISIONING else entered(list(State)[state.number - 1], kit)
    pilot = Pilot(world)
    pilot.watch = until(state)
    if state is State.PROVISIONING:
        pilot.start()
    else:
        pilot.resume()
    assert pilot.session.standing().state is state
    return world


def entered(state: State, kit: Kit | None = None) -> Universe:
    """A world whose rotation has just entered *state*; its holder (ann) is dead, and has the lock still."""
    return _entered(kit or Kit(), state).copy()


def until(state: State) -> Watch:
    """A watch that kills the process when it enters *state*."""

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.mark is Mark.STATE and progress.state is state:
            raise Killed(f"entered {state}")

    return watch


class WatchedClock:
    """The world's clock as one process has it: who watches, or writes a heartbeat, beside the run does it whenever time passes, instead of in a thread."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.looks: list[Callable[[], None]] = []

    def wall(self) -> datetime:
        return self._clock.wall()

    def boot(self) -> float:
        return self._clock.boot()

    def lapsed(self) -> float:
        return self._clock.lapsed()

    def wake(self) -> None:
        self._clock.wake()

    def wait(self, seconds: float) -> bool:
        woken = self._clock.wait(seconds)
        for look in self.looks:
            look()
        return woken


@dataclass(frozen=True)
class Plant:
    """Where a bug may be planted: in what the systems answer, in how the journal is kept, in what the engine runs."""

    systems: Callable[[Systems], Systems] = lambda found: found
    journal: type[Journal] = Journal
    engine: Callable[[Engine], None] = lambda engine: None


class SimSession(Session):
    """A session whose adapters are the simulated ones."""

    def __init__(self, world: Universe, holder: Holder, policy: Policy, taps: Taps, plant: Plant = Plant(), checkpoint: Checkpoint | None = None) -> None:
        super().__init__(Options(environ={}), Path("bennu.yaml"), world.settings, fleet.GROUP)
        found, box = systems(world, taps, holder.name, checkpoint)
        found = plant.systems(found)
        self._clock = WatchedClock(world.clock)
        self._simulated = Built(replace(found, clock=self._clock), box)
        self.looks: list[Callable[[], None]] = []  # how to have the watch look between two waits
        self._pen = plant.journal(found.repository, found.checkpoint, found.clock, fleet.GROUP, holder)
        self._numbers = policy

    @property
    def _built(self) -> Built:
        return self._simulated

    @property
    def aside(self) -> Aside:
        return at_once  # virtual time knows no second thread

    @property
    def policy(self) -> Policy:
        return self._numbers

    @property
    def journal(self) -> Journal:
        return self._pen

    @contextmanager
    def watched(self, engine: Engine) -> Iterator[Engine]:
        watch = MasterWatch()

        def look() -> None:
            for one in looks(engine, watch):
                raised(engine, one())

        self._clock.looks.append(look)
        self.looks.append(look)
        with staying(engine):
            yield engine

    @contextmanager
    def beating(self, engine: Engine) -> Iterator[Engine]:
        due = [0.0]

        def beat() -> None:
            # As the thread does: now and then, and no more once it lost the lock.
            if (now := self._clock.boot()) < due[0]:
                return
            due[0] = now + engine.world.policy.heartbeat_s / 8
            try:
                beat_beside(engine.world, engine.lookout)
            except LockLost as lost:
                due[0] = float("inf")
                raised(engine, lost)

        self._clock.looks.append(beat)
        yield engine


@dataclass
class Outcome:
    """How a process ended: by *error*, or (None) by having nothing left to do."""

    error: BaseException | None
    standing: Standing
    progress: list[Progress] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The exit code."""
        return 0 if self.error is None else self.error.code if isinstance(self.error, BennuError) else -1

    def __str__(self) -> str:
        return f"{type(self.error).__name__ if self.error else 'done'}: {self.error} in {self.standing.state} ({self.standing.status})"


class Pilot:
    """A process on *holder*'s machine. ``watch`` sees each progress; what it raises ends the process like a kill."""

    def __init__(
        self,
        world: Universe,
        holder: Holder = ANN,
        *,
        policy: Policy = POLICY,
        taps: Taps | None = None,
        plant: Plant = Plant(),  # frozen
        checkpoint: Checkpoint | None = None,
    ) -> None:
        self.world, self.holder, self.taps = world, holder, taps or Taps()
        self.plant = plant
        self.session = SimSession(world, holder, policy, self.taps, plant, checkpoint)
        self.watch: Watch = lambda engine, progress: None

    def start(self, wishes: Wishes = AUTO, *, to: str = "", options: tuple[str, ...] = (), ticket: str = "") -> Outcome:
        """``rotate start``."""
        rotation = self.session.proposed(to, options, ticket=ticket)
        self.session.preflight(rotation)
        return self._driven(started(self.session, rotation, wishes))

    def resume(self, wishes: Wishes = AUTO, *, take_over: str = "", force: bool = True) -> Outcome:
        """``rotate resume``; also what ``promote`` does where no holder lives (``Wishes(promote=True)``). By force unless a test waits: a holder that is taken over in mid-step is the harder case."""
        return self._driven(resumed(self.session, wishes, over=Over(take_over, force)))

    def rollback(self, *, take_over: str = "", accept_loss: bool = False) -> Outcome:
        """``rotate rollback`` where no holder lives."""
        self.session.refuse_rollback(self.session.standing())
        return self._driven(resumed(self.session, Wishes(accept_loss=accept_loss), over=Over(take_over, force=True)), way=Engine.roll_back)

    def abort(self, *, take_over: str) -> Outcome:
        """``rotate abort --take-over``, its holder known to be dead."""
        self.session.refuse_request("abort", self.session.standing())
        return self._driven(resumed(self.session, AUTO, over=Over(take_over, force=True)), way=Engine.abort)

    def begun(self, rotation: Rotation, wishes: Wishes) -> Outcome:
        """``rotate start`` of a rotation that was judged otherwise than by the preflight."""
        return self._driven(started(self.session, rotation, wishes))

    def cleanup(self, colour: str = "", *, gone: str = "") -> Outcome:
        """``rotate cleanup``."""
        return self._driven(cleaning(self.session, self.session.cleanup_of(colour, gone=gone), Wishes()))

    def _driven(self, opening: AbstractContextManager[Engine], *, way: Callable[[Engine], Iterator[Progress]] = Engine.drive) -> Outcome:
        seen: list[Progress] = []
        error: BaseException | None = None
        try:
            with opening as engine:
                engine.talk = seen.append
                self.plant.engine(engine)
                try:
                    for progress in way(engine):
                        seen.append(progress)
                        self.watch(engine, progress)
                except LockLost:
                    raise
                except BennuError as ended:
                    left_alone(engine.lookout.journal, ended)
                    raise
        except (BennuError, Killed) as ended:
            error = ended
        # The frames of a process that is gone hold its generator, and with it everything.
        if error is not None:
            error.__traceback__ = None
        return Outcome(error, self.session.journal.standing, seen)


def fresh_take(world: Universe, holder: Holder, wishes: Wishes = AUTO, **more: Any) -> Outcome:
    """A colleague takes the open rotation over with a journal of their own, as the journal's lock says."""
    pilot = Pilot(world, holder, **more)
    lock = pilot.session.standing().lock
    return pilot.resume(wishes, take_over=lock.id if lock else "")


def asked(world: Universe, verb: str, by: str = "carol@three", data: Mapping[str, str] | None = None, rotation: str | None = None) -> Request:
    """A request typed elsewhere, of the present rotation unless another one is given (empty: as an older Bennu left it)."""
    rotation = Pilot(world).session.standing().rotation if rotation is None else rotation
    request = Request(f"r{len(world.remote.requests.get(str(fleet.GROUP), []))}", verb, by, world.clock.wall().isoformat(), data or {}, rotation)
    MemoryRequestBox(world.remote).post(fleet.GROUP, request)
    return request


def at_rest(world: Universe, active: Colour, *others: Colour) -> None:
    """The group is IDLE_STABLE at *active* and nothing that must never be was seen."""
    standing = Pilot(world).session.standing()
    assert (standing.state, standing.lock) == (State.IDLE_STABLE, None), standing
    assert world.violations == []
    assert world.remote.claims == {}
    assert world.master_in_git() is active
    there = {colour for colour, cluster in world.clusters.items() if cluster.up}
    assert there == {active, *others}
    for commit in world.remote.history:
        world.master_in_git(commit.files)
    if world.kit.redis:
        assert world.lost() == []
        assert world.writable() == [active.value]
    assert world.pointer(active)["IS_WRITE_MASTER"] == "true"
    for app in world.kit.apps:
        assert {name for name, weight in world.weights(active, app).items() if weight} == {app}


def during(step: str, act: Callable[[Engine], None], polls: int = 1) -> Watch:
    """Have *act* happen once, at the given poll of a step's gate."""
    seen = [0]

    def watch(engine: Engine, progress: Progress) -> None:
        if progress.step == step and progress.mark is Mark.WAIT:
            seen[0] += 1
            if seen[0] == polls:
                act(engine)

    return watch


def gone_on(world: Universe, watch: Watch | None = None, wishes: Wishes = AUTO, *, policy: Policy = POLICY) -> Outcome:
    """Resume on ann's machine."""
    pilot = Pilot(world, policy=policy)
    if watch is not None:
        pilot.watch = watch
    return pilot.resume(wishes)
