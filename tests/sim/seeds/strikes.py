"""What strikes a story, at a call of its process: each kind as a method, done by the hands that the simulated world has."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from bennu.core.clusters import Colour
from bennu.engine.progress import Mark, Progress
from bennu.engine.run import Engine
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from bennu.ports.metrics import Traffic
from tests.sim import fleet
from tests.sim.controllers_node import PARKED
from tests.sim.memory_kubernetes import copied
from tests.sim.pilot import POLICY, Pilot, asked
from tests.sim.seams import Killed, Lost, Taps
from tests.sim.seeds import judge
from tests.sim.seeds.draw import Strike
from tests.sim.seeds.inline import crew_of
from tests.sim.universe import HEALTHY, LATE, Universe

# What does not say by an error that the host is silent, and what a clone answers by itself.
_TELLS_NOTHING = ("repository.fetch", "repository.read", "repository.files", "repository.head", "repository.log", "box.pending")
# What moves a role, makes or destroys.
_MOVES = (".fence", ".make_master", ".attach", ".replicate", ".authenticate_as", "provisioner.up", "provisioner.down")
_MAY_BE_STALE = ("metrics", "dns")
_ENDLESS = 8000  # calls; a whole rotation makes about a thousand
POINTER = Ref(CONFIGMAP, "global-traffic-state", "payments")


@dataclass
class Life:
    """One process: its taps, and what is to strike it. ``met`` counts kinds that did strike."""

    world: Universe
    strikes: list[Strike]
    order: int
    met: list[str]
    colleague: Callable[[float], None] = lambda pick: None
    engine: Engine | None = None
    calls: int = 0
    anchors: dict[str, int] = field(default_factory=dict)  # → the number of the first such call, -1 before it
    silent: dict[str, float] = field(default_factory=dict)  # a system's name → until when (boot time)
    stale: dict[str, int] = field(default_factory=dict)  # a call's name → how often it is answered as before
    said: dict[str, Any] = field(default_factory=dict)
    after: list[Strike] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    dies_at: int = -1  # the second Ctrl-C
    measured: bool = True  # whether every app's traffic was told when it was last asked for
    found: list[str] = field(default_factory=list)  # violations that only this process could show

    def taps(self) -> Taps:
        """Those of this process."""
        self.anchors = {strike.since: -1 for strike in self.strikes if strike.since}
        return Taps(before=self._before, after=self._after, answer=self._answered, crew=crew_of(Random(self.order)), reads=True)

    def _before(self, call: str) -> None:
        self.trace.append(call)
        if call == "metrics.traffic":
            self.measured = False
        number, self.calls = self.calls, self.calls + 1
        if number > _ENDLESS:
            self.found.append(f"it does not end: {number} calls, the last {call}")
            raise Killed("it would not end")
        if number == self.dies_at:
            raise Killed(f"a second signal before {call}")
        for name in self.anchors:
            if self.anchors[name] < 0 and call.endswith(name):
                self.anchors[name] = number
        due = [
            one
            for one in self.strikes
            if (not one.since or self.anchors[one.since] >= 0) and one.call == number - (self.anchors[one.since] if one.since else 0)
        ]
        self.after = [strike for strike in due if strike.kind.endswith("-after")]
        for strike in due:
            if not strike.kind.endswith("-after"):
                self._strike(strike, call)
        if any(call.startswith(system) and self.world.clock.boot() < until for system, until in self.silent.items()):
            self._lost(call, "it is silent")

    def _after(self, call: str) -> None:
        # What was on its way when the machine fell asleep is done when it wakes, whoever leads by then: nobody can call it back.
        if call.endswith(_MOVES) and not {"frozen", "asleep"} & set(self.met) and not judge.intended(self.world):
            self.found.append(f"{call} without an intent in the journal")
        for strike in self.after:
            self._strike(strike, call)

    def _answered(self, call: str, result: Any) -> Any:
        if call == "metrics.traffic":
            self.measured = result.requests is not None and result.requests >= POLICY.min_requests
        before, self.said[call] = self.said.get(call), result
        if before is not None and self.stale.get(call.split(".", maxsplit=1)[0], 0):
            self.stale[call.split(".", maxsplit=1)[0]] -= 1
            return before
        return result

    def watch(self, engine: Engine, progress: Progress) -> None:
        """What the process says of itself, held against what it was told."""
        self.engine = engine
        if progress.mark is Mark.DONE and progress.step.startswith("traffic-canary.watch") and not self.measured:
            self.found.append(f"{progress.step} passed, and nothing had been measured")

    def _lost(self, call: str, why: str) -> None:
        if not call.startswith(_TELLS_NOTHING):
            raise Lost(why)

    def _strike(self, strike: Strike, call: str) -> None:
        self.met.append(strike.kind)
        self.trace.append(f"! {strike.kind}")
        getattr(self, f"_{strike.kind.replace('-', '_')}")(strike, call)

    def _later(self, strike: Strike, action: Callable[[], None], longest: float = 60.0) -> None:
        self.world.clock.after(0.05 + longest * strike.more**2, action)

    def _colour(self, strike: Strike) -> Colour:
        there = [colour for colour in (Colour.BLUE, Colour.GREEN) if colour in self.world.clusters]
        return there[int(strike.pick * len(there))]

    # The calls

    def _fails_before(self, strike: Strike, call: str) -> None:
        self._lost(call, "the connection was refused")

    def _fails_after(self, strike: Strike, call: str) -> None:
        self._lost(call, "the connection was lost")

    def _hangs_before(self, strike: Strike, call: str) -> None:
        self.world.clock.wait(5 + 25 * strike.more)
        self._lost(call, "no answer in time")

    def _hangs_after(self, strike: Strike, call: str) -> None:
        self._hangs_before(strike, call)

    def _silent(self, strike: Strike, call: str) -> None:
        systems = ("kubernetes.blue", "kubernetes.green", "redis.blue", "redis.green", "metrics", "dns", "provisioner", call.rpartition(".")[0])
        self.silent[systems[int(strike.pick * len(systems))]] = self.world.clock.boot() + 1 + 60 * strike.more**2

    def _stale(self, strike: Strike, call: str) -> None:
        self.stale[_MAY_BE_STALE[int(strike.pick * len(_MAY_BE_STALE))]] = 1 + int(5 * strike.more)

    # The process

    def _killed_before(self, strike: Strike, call: str) -> None:
        raise Killed(f"before {call}")

    def _killed_after(self, strike: Strike, call: str) -> None:
        raise Killed(f"after {call}")

    def _frozen(self, strike: Strike, call: str) -> None:
        self.colleague(strike.pick)

    def _asleep(self, strike: Strike, call: str) -> None:
        # The world's clockwork costs a tick a second: half a minute of it, the rest of the night as one.
        self.world.clock.wait(30 * strike.more)
        self.world.clock.sleep_laptop(3600 * strike.pick)

    def _clock(self, strike: Strike, call: str) -> None:
        self.world.clock.jump((strike.pick - 0.5) * 7200)

    def _interrupted(self, strike: Strike, call: str) -> None:
        if self.engine is not None:
            self.engine.lookout.stop.set((2, 15, 1)[int(strike.pick * 3)])
            if strike.more > 0.6:
                self.dies_at = self.calls + int(40 * (strike.more - 0.6))

    # Git

    def _git_down(self, strike: Strike, call: str) -> None:
        self.world.remote.down = True
        self._later(strike, lambda: setattr(self.world.remote, "down", False))

    def _git_moves(self, strike: Strike, call: str) -> None:
        edits = {"docs/notes.md": f"{strike.pick}\n"} if strike.pick < 0.7 else {f"{fleet.HOME}/cluster-blue/links/.gitkeep": f"# {strike.more}\n"}
        self.world.remote.before_push.append(lambda: (self.world.remote.commit("Tidy up", edits), None)[1])

    def _git_meddles(self, strike: Strike, call: str) -> None:
        path = f"{fleet.HOME}/cluster-blue/ingress-routing.yaml"
        if path in self.world.tree:
            self.world.remote.commit("Tidy up", {path: self.world.tree[path] + f"# {strike.more}\n"})

    def _push_unheard(self, strike: Strike, call: str) -> None:
        self.world.remote.lost_answers, self.world.remote.dies_then = 1, True
        self._later(strike, lambda: setattr(self.world.remote, "down", False))

    # Redis and the mesh

    def _redis_restarts(self, strike: Strike, call: str) -> None:
        colour = self._colour(strike)
        server = self.world.servers.get(colour)
        if server is None or not server.knobs.up:
            return
        config = self.world.clusters[colour].at(Ref(CONFIGMAP, "redis-config", "database"))
        if "manifest" in self.world.kit.ledger and strike.pick * 7 % 1 < 0.7 and config is not None:
            # A pod of its own: it reads the manifest.
            server.written_master = PARKED if "replicaof" in config["data"]["role.conf"] else None
        server.crash(history_kept=strike.more > 0.6)

    def _redis_silent(self, strike: Strike, call: str) -> None:
        server = self.world.servers.get(self._colour(strike))
        if server is not None:
            server.knobs.reachable = False
            self._later(strike, lambda: setattr(server.knobs, "reachable", True))

    def _link_cut(self, strike: Strike, call: str) -> None:
        colour = self._colour(strike)
        self.world.fate.down.add(colour)
        self.world.tick()
        self._later(strike, lambda: self.world.fate.down.discard(colour))

    def _flux_slow(self, strike: Strike, call: str) -> None:
        colour = self._colour(strike)
        self.world.fate.frozen_flux.add(colour)
        self._later(strike, lambda: self.world.fate.frozen_flux.discard(colour))

    def _flux_late(self, strike: Strike, call: str) -> None:
        """What Git says of the pointer's data, written once more over whatever stands there, by the manager that Flux writes as."""
        colour = self._colour(strike)
        cluster = self.world.clusters[colour]
        live = cluster.at(POINTER)
        if live is None or not cluster.up:
            return
        before = copied(dict(live.get("data") or {}))
        struck = [False]

        def write() -> None:
            now = cluster.at(POINTER)
            if now is not None and not struck[0]:
                struck[0] = True
                cluster.put({**copied(now), "data": before | {LATE: str(strike.more)}}, "kustomize-controller")

        self.world.clock.after(0.001 + 0.2 * strike.more, write)

    def _metrics_bad(self, strike: Strike, call: str) -> None:
        bad = (Traffic(5000, 400, 20.0, 1.0), Traffic(5000, 0, 900.0, 1.0), Traffic(None, None, None, None), Traffic(3, 0, 20.0, 1.0))
        self.world.fate.default_health = bad[int(strike.pick * len(bad))]
        self._later(strike, lambda: setattr(self.world.fate, "default_health", HEALTHY))

    # The machine, and others

    def _disk_full(self, strike: Strike, call: str) -> None:
        for disk in self.world.disks.values():
            disk.full = True
        self._later(strike, self._emptied)

    def _emptied(self) -> None:
        for disk in self.world.disks.values():
            disk.full = False

    def _asked(self, strike: Strike, call: str) -> None:
        if self.world.remote.down:
            return
        verb = ("promote", "rollback", "abort", "pause")[int(strike.pick * 4)]
        standing = Pilot(self.world).session.standing()
        if standing.open:
            asked(self.world, verb, data={"accept-loss": "true"} if strike.more > 0.8 and verb == "rollback" else None, rotation=standing.rotation)


def healed(world: Universe, strikes: list[Strike]) -> None:
    """Every fault is off."""
    world.remote.down = world.remote.dies_then = False
    world.remote.lost_answers = 0
    world.remote.before_push.clear()
    fate = world.fate
    fate.down.clear()
    fate.frozen_flux.clear()
    fate.default_health = HEALTHY
    for server in world.servers.values():
        server.knobs = replace(server.knobs, reachable=True)
    for disk in world.disks.values():
        disk.full = False
        disk.locks.clear()


def told(strikes: tuple[Strike, ...]) -> str:
    """Strikes as text."""
    return json.dumps([[one.life, f"{one.since}+{one.call}", one.kind, round(one.pick, 3), round(one.more, 3)] for one in strikes])
