"""Bennu's own hand-over step (S6) between two Redis servers and a pointer file: what the benchmark and the fault tests run, nothing of it copied.

Real are the step, its decisions and the Redis adapter. Around them stand small ports over files in a state directory: the pointer objects of both clusters, the journal with
its swap, the two clusters' files. Where what runs is judged from, and how the two servers are found, is the environment contract of ``Place``.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bennu.adapters.clock import SystemClock
from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.policy import SPEC, Policy
from bennu.errors import LockLost
from bennu.phases.base import Effect, Rotation, Systems, World
from bennu.phases.hand_over import HandOver
from bennu.ports.kubernetes import Conflict, Json, Kubernetes, Ref
from bennu.ports.redis import Address, RedisServer
from bennu.settings import Settings

GROUP = Group("bench", "loopback")
_SETTINGS: dict[str, Any] = {
    "version": 1,
    "repository": {"remote": "https://git.test/fleet.git"},
    "groups": {
        str(GROUP): {
            "clusters": {"blue": {"context": "blue"}, "green": {"context": "green"}},
            "provisioner": {"kind": "command", "up": ["true"], "down": ["true"], "outputs": ["true"]},
            "pointer": {"configmap": {"namespace": "payments", "name": "global-traffic-state"}},
            "redis": [
                {"name": "ledger", "service": {"namespace": "database", "name": "redis", "port": 6379}, "reach": "direct", "replicate_via": "endpoint"},
            ],
            "apps": [
                {
                    "name": "writer",
                    "route": {"namespace": "payments", "name": "writer"},
                    "service": {"namespace": "payments", "name": "writer", "port": 80},
                    "reads_pointer": "watch",
                }
            ],
            "metrics": {"prometheus": {"url": "http://127.0.0.1:1"}},
        }
    },
}
_STATE = """apiVersion: v1
kind: ConfigMap
metadata: {{name: global-traffic-state, namespace: payments}}
data:
  REDIS_READ_HOST: "redis.database.svc.cluster.local"
  REDIS_WRITE_HOST: "{write}"
  IS_WRITE_MASTER: "{master}"
  MAINTENANCE_MODE: "false"
"""


@dataclass(frozen=True)
class Place:
    """Where a hand-over happens. ``tool`` is how Bennu reaches a server, ``peer`` how the other server does, ``shown`` what apps read in the pointer file; keys are ``SRC``, ``DST``."""

    tool: Mapping[str, Address]
    peer: Mapping[str, Address]
    shown: Mapping[str, Address]
    pointer: Path
    state: Path
    password: str = ""

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Place:
        """From ``SRC_HOST SRC_PORT SRC_REPL_HOST SRC_REPL_PORT PTR_SRC_HOST PTR_SRC_PORT``, the same of ``DST``, ``POINTER STATE_DIR`` and, where needed, ``REDIS_PASSWORD``."""

        def both(pattern: str) -> dict[str, Address]:
            return {end: Address(env[pattern.format(end) + "_HOST"], int(env[pattern.format(end) + "_PORT"])) for end in ("SRC", "DST")}

        shown = both("PTR_{}") if "PTR_SRC_HOST" in env else both("{}")
        return cls(both("{}"), both("{}_REPL"), shown, Path(env["POINTER"]), Path(env["STATE_DIR"]), env.get("REDIS_PASSWORD", ""))

    def reversed(self) -> Place:
        """The way back."""
        swapped = [{"SRC": one["DST"], "DST": one["SRC"]} for one in (self.tool, self.peer, self.shown)]
        return Place(swapped[0], swapped[1], swapped[2], self.pointer, self.state, self.password)


class Ledger:
    """The journal: facts appended by compare-and-swap under a file lock, and the epoch of who holds it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal.json"
        self._lock = folder / "journal.lock"
        self.epoch = 0

    def take(self) -> dict[str, str]:
        """Raise the epoch and hold it; the facts so far."""
        with self._held() as found:
            self.epoch = int(found["epoch"]) + 1
            self._write({**found, "epoch": self.epoch})
            return dict(found["facts"])

    def note(self, facts: Mapping[str, str]) -> None:
        """Append *facts*. Raises LockLost where somebody else has taken it since."""
        with self._held() as found:
            if found["epoch"] != self.epoch:
                raise LockLost(f"epoch {found['epoch']} holds the journal, ours is {self.epoch}")
            self._write({**found, "facts": {**found["facts"], **facts}})

    @contextmanager
    def _held(self) -> Iterator[dict[str, Any]]:
        with self._lock.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield json.loads(self._file.read_text()) if self._file.exists() else {"epoch": 0, "facts": {}}

    def _write(self, found: Mapping[str, Any]) -> None:
        replaced(self._file, json.dumps(found))


class PointerObjects:
    """The pointer ConfigMap of one cluster as a file with a resourceVersion. Who is named the write master is what all apps read in the one pointer file."""

    def __init__(self, place: Place, ends: Mapping[str, Colour], colour: Colour, texts: Mapping[Colour, str]) -> None:
        self._place, self._ends, self._colour, self._texts = place, ends, colour, texts
        self._file = place.state / f"pointer-{colour}.json"

    @property
    def context(self) -> str:
        """See the port."""
        return str(self._colour)

    def get(self, ref: Ref) -> Json | None:
        """The pointer, or the mirror's endpoints."""
        if ref.kind.kind == "ConfigMap":
            return self._live()
        if ref.kind.kind == "Endpoints":
            other = next(end for end, colour in self._ends.items() if colour is not self._colour)
            at = self._place.peer[other]
            return {"subsets": [{"addresses": [{"ip": at.host}], "ports": [{"port": at.port}]}]}
        return None

    def apply(self, obj: Json, *, force: bool = False) -> Json:
        """Compare-and-swap on the resourceVersion, then tell the apps."""
        with (self._place.state / f"pointer-{self._colour}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            live = self._live()
            if obj["metadata"].get("resourceVersion") not in ("", None, live["metadata"]["resourceVersion"]):
                raise Conflict(f"the pointer of {self._colour} has resourceVersion {live['metadata']['resourceVersion']}")
            version = str(int(live["metadata"]["resourceVersion"]) + 1)
            written = {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
            replaced(self._file, json.dumps(written))
            if obj["data"]["IS_WRITE_MASTER"] == "true":
                end = next(end for end, colour in self._ends.items() if colour is self._colour)
                shown, maintenance = self._place.shown[end], int(obj["data"]["MAINTENANCE_MODE"] == "true")
                replaced(self._place.pointer, f"{shown.host} {shown.port} {maintenance}")
            return written

    def _live(self) -> dict[str, Any]:
        if self._file.exists():
            found: dict[str, Any] = json.loads(self._file.read_text())
            return found
        from bennu.manifests import traffic_state

        return {
            "metadata": {"name": "global-traffic-state", "resourceVersion": "1"},
            "data": traffic_state.data(self._texts[self._colour], "traffic-state.yaml"),
        }


class Files:
    """The two clusters' traffic-state.yaml, as Git has them before the flip is committed."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def read(self, path: str, at: str = "") -> str | None:
        """See the port."""
        return self._texts.get(path)


@dataclass
class Pen:
    """What the step says and intends; intents go to the ledger."""

    ledger: Ledger
    lines: list[str] = field(default_factory=list)

    def tell(self, line: str) -> None:
        """See the port."""
        self.lines.append(line)

    def intend(self, facts: Mapping[str, str]) -> None:
        """See the port."""
        self.ledger.note(facts)


@dataclass(frozen=True)
class Section:
    """One run of the step. The callables let a test stand between the step and what it touches."""

    place: Place
    policy: Policy = SPEC
    redis: Callable[[str, RedisServer], RedisServer] = lambda end, server: server
    pointers: Callable[[Colour, Kubernetes], Kubernetes] = lambda colour, cluster: cluster
    pen: Callable[[Pen], Pen] = lambda pen: pen

    def run(self) -> Effect:
        """Hand over from SRC to DST, or resume; the step's figures. Raises what the step raises."""
        self.place.state.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(self.place.state)
        facts = ledger.take()
        ends = self._ends(ledger, facts)
        pen = self.pen(Pen(ledger))
        world = self._world(ends, ledger.epoch, {name: text for name, text in facts.items() if not name.startswith("colour.")})
        step = HandOver()
        seen = step.observe(world)
        effect = Effect(seen.facts) if seen.already else step.act(world, pen)
        ledger.note(effect.facts)
        return effect

    def _ends(self, ledger: Ledger, facts: Mapping[str, str]) -> dict[str, Colour]:
        """Colours belong to servers, not to directions: the way back swaps SRC and DST."""
        known = {name.removeprefix("colour."): Colour(text) for name, text in facts.items() if name.startswith("colour.")}
        if not known:
            known = {str(self.place.shown["SRC"]): Colour.BLUE, str(self.place.shown["DST"]): Colour.GREEN}
            ledger.note({f"colour.{name}": colour.value for name, colour in known.items()})
        return {end: known[str(address)] for end, address in self.place.shown.items()}

    def _world(self, ends: Mapping[str, Colour], epoch: int, facts: Mapping[str, str]) -> World:
        settings = Settings.model_validate(_SETTINGS)
        rotation = Rotation(RotationId(GROUP, 1), ends["SRC"], ends["DST"])
        texts = {
            colour: _STATE.format(
                master=str(end == "SRC").lower(),
                write="redis.database.svc.cluster.local" if end == "SRC" else f"redis-{ends['SRC'].cluster}.database.svc.cluster.local",
            )
            for end, colour in ends.items()
        }
        paths = {f"clusters/{GROUP}/{colour.cluster}/traffic-state.yaml": text for colour, text in texts.items()}
        servers = {colour: self.redis(end, self._server(end)) for end, colour in ends.items()}
        clusters = {colour: self.pointers(colour, cast("Kubernetes", PointerObjects(self.place, ends, colour, texts))) for colour in ends.values()}
        nothing = cast("Any", None)  # the step asks none of these
        systems = Systems(cast("Any", Files(paths)), clusters.__getitem__, servers.__getitem__, nothing, nothing, nothing, nothing, nothing, SystemClock())
        return World(rotation, settings, self.policy, systems, epoch, facts)

    def _server(self, end: str) -> RedisServer:
        where = self.place.tool[end]
        return RedisOverSocket(RedisEndpoint(f"redis {end}", lambda: where, lambda: self.place.password))


def replaced(path: Path, text: str) -> None:
    """Write *path* atomically: readers see the old text or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    Path(name).replace(path)
