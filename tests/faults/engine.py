"""Bennu's engine, its whole S6, over two real servers: turns, retreats, signals and take-overs meet real connections.

Real are both servers, the connections to them and the users; Git, Kubernetes, Flux and time are those of ``tests/sim``. A process is a ``Pilot`` in this one: killed, it ends at a call
without another word; frozen, it sleeps in a call with its connections open while somebody else goes on. What a kernel does to a killed process is in ``test_points``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from threading import RLock
from typing import Any

from bennu.adapters.redis import RedisOverSocket
from bennu.core.clusters import Colour
from bennu.core.policy import overridden
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine import lock
from bennu.engine.journal import Entry, Holder
from bennu.engine.run import Engine
from bennu.ports.redis import Address, Observation
from bennu.wiring import Over, resumed
from tests.faults.stage import POLICY as NUMBERS
from tests.faults.stage import Case, Server
from tests.sim.pilot import ANN, AUTO, POLICY, Outcome, Pilot, WatchedClock, entered, until
from tests.sim.seams import Killed, Seam, Taps
from tests.sim.universe import PORT, Kit, Universe

_WAIT_S = 0.02  # of real time for each wait of virtual time: replication is not virtual
_PACE = threading.Event()


class Paced(WatchedClock):
    """The world's clock, behind which real servers get a moment, too."""

    def __init__(self, watched: WatchedClock) -> None:
        super().__init__(watched._clock)
        self._watched = watched

    def wait(self, seconds: float) -> bool:
        _PACE.wait(min(seconds, _WAIT_S))
        return self._watched.wait(seconds)


class Reached:
    """A real server as its cluster would show it: its configuration file on the pod's data volume, its peer by the mirror's name."""

    def __init__(self, server: Server, peer: Server, mirror: Address) -> None:
        self._real, self._peer, self._mirror = RedisOverSocket(server.endpoint()), peer, mirror

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    def observe(self) -> Observation:
        seen = self._real.observe()
        master = self._mirror if seen.master == self._peer.way.address else seen.master
        return replace(seen, config_file="/data/redis.conf", data_dir="/data", master=master)

    @contextmanager
    def critical(self, name: str, member: str = "") -> Iterator[Any]:
        with self._real.critical(name, member) as connection:
            yield Named(connection, self._peer.way.address)


class Named:
    """A connection of the critical section, whose server knows its peer under another name."""

    def __init__(self, real: Any, peer: Address) -> None:
        self._real, self._peer = real, peer

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    def attach(self, master: Address) -> None:
        assert ".svc." in master.host, master
        self._real.attach(self._peer)


class RealSeam(Seam):
    """A seam behind which answers take the time that they take."""

    @contextmanager
    def _following(self, every_s: float) -> Iterator[Any]:
        with self._system.following(every_s) as real:
            yield real

    @contextmanager
    def _critical(self, name: str, member: str = "") -> Iterator[Any]:
        with self._system.critical(name, member) as connection:
            yield RealSeam(connection, self._name, self._universe, self._taps, self._lock)


@dataclass
class Whole:
    """A rotation that has just entered S6, its servers those of *case*: blue is the source."""

    case: Case
    world: Universe

    @classmethod
    def begun(cls, case: Case, kit: Kit) -> Whole:
        """The history that S4 noted is the real source's."""
        whole = cls(case, entered(State.SWITCHOVER_LOCKED, kit))
        journal = Pilot(whole.world).session.journal
        lock.take(journal)
        journal.append(Entry(Kind.FACT, data={"source.replid": case.source.server.observe().replid}))
        return whole

    def process(self, holder: Holder = ANN, at: str = "", then: Callable[[Engine], None] = lambda engine: None, *, stopped: bool = False) -> Outcome:
        """One process on *holder*'s machine, to the end of S6; at its first call *at* something happens *then*. A colleague takes over; *stopped*: it gets a signal before it begins."""
        self.world.disk(ANN.name).locks.clear()
        taps, engines, happened = Taps(after=self._told), list[Engine](), list[str]()

        def before(call: str) -> None:
            if call == at and not happened:
                happened.append(call)
                then(engines[0])

        taps.before = before
        pilot = self._pilot(holder, taps)
        pilot.watch = until(State.PROMOTED)
        held = pilot.session.standing().lock

        @contextmanager
        def opening() -> Iterator[Engine]:
            with resumed(pilot.session, AUTO, over=Over(held.id if held and held.holder != holder.name else "", force=True)) as engine:
                engines.append(engine)
                if stopped:
                    engine.lookout.stop.set(2)
                yield engine

        outcome = pilot._driven(opening())
        assert not at or happened, outcome
        return outcome

    def goes_on(self) -> None:
        """Ann resumes until S6 is over."""
        outcome = self.process()
        assert isinstance(outcome.error, Killed), outcome
        assert outcome.standing.state is State.PROMOTED

    def _pilot(self, holder: Holder, taps: Taps) -> Pilot:
        pilot, guard, case = Pilot(self.world, holder, policy=overridden(POLICY, NUMBERS), taps=taps), RLock(), self.case
        built = pilot.session._simulated
        pairs = {Colour.BLUE: (case.source, case.target), Colour.GREEN: (case.target, case.source)}

        @cache
        def redis(colour: Colour) -> Any:
            other = Colour.GREEN if colour is Colour.BLUE else Colour.BLUE
            mirror = Address(f"redis-{other.cluster}.database.svc.cluster.local", PORT)
            return RealSeam(Reached(*pairs[colour], mirror), f"redis.{colour}", self.world, taps, guard)

        pilot.session._simulated = replace(built, systems=replace(built.systems, redis=redis, clock=Paced(pilot.session._clock)))
        return pilot

    def _told(self, call: str) -> None:
        """The users hear of the pointer when it was written."""
        if not call.startswith("kubernetes."):
            return
        moved = self.world.pointer(Colour.GREEN).get("IS_WRITE_MASTER") == "true"
        address = (self.case.target if moved else self.case.source).address
        text, fresh = f"{address.host} {address.port} 0", self.case.pointer.with_suffix(".fresh")
        if self.case.pointer.read_text(encoding="utf-8") != text:
            fresh.write_text(text, encoding="utf-8")
            os.replace(fresh, self.case.pointer)
