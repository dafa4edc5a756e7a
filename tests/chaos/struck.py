"""``bennu rotate start``, ``resume`` or ``rollback`` as a process that kills itself: ``python -m tests.chaos.struck``, what it shall do in its environment as an ``Orders``.

The session, its adapters, and the driving with its signals and screen are the product's; taps stand around the ports' writing methods (``tests.sim.effects``) alone. The process dies just before, or
just after, the first writing call at which none died before it. No signal from outside could strike between two commands that are a millisecond apart.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bennu import wiring
from bennu.cli import driving, streams
from bennu.cli.output import Format
from bennu.cli.talk import told
from bennu.core.clusters import Colour
from bennu.engine.run import Engine
from bennu.engine.turns import StopFlag
from bennu.errors import BennuError
from bennu.wiring.systems import Built
from tests.sim.effects import EFFECTS
from tests.sim.points import COPY, JOURNAL, Call, Steps, call_of


@dataclass(frozen=True)
class Orders:
    """``rotation`` is the number of the one that is begun, or gone on with; ``back``: rolled back. ``met``: a file with the places where somebody died already, a line each; empty = nobody
    dies. ``log`` gets each writing call as JSON. ``phases``: those of whose steps every place counts, empty for all; of the others one counts, and it is the ``spread``-th.
    """

    rotation: int
    source: str
    target: str
    met: str = ""
    log: str = ""
    back: bool = False
    phases: tuple[str, ...] = ()
    spread: int = 3

    def environ(self) -> dict[str, str]:
        """As the process gets them."""
        return {"STRUCK": json.dumps(asdict(self))}

    @classmethod
    def read(cls) -> Orders:
        """By the process."""
        found = json.loads(os.environ["STRUCK"])
        return cls(**{**found, "phases": tuple(found["phases"])})


class Taps:
    """Around every writing call of one process: counted, written down, and at one of them the end."""

    def __init__(self, orders: Orders) -> None:
        self.steps, self._orders = Steps(), orders
        self._met = Path(orders.met).read_text(encoding="utf-8").splitlines() if orders.met else []
        self._guard, self._counts, self._passed = threading.Lock(), Counter[str](), Counter[str]()
        self._pushed = Call("", "", (), False, 0, 0)

    def around(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """*real*, tapped."""

        def called(*args: Any, **options: Any) -> Any:
            with self._guard:
                call = self._call(name, args)
                self._counts[str(call)] += 1
                nth = self._counts[str(call)]
                if name != COPY:  # the same instant as after the push
                    self._reached(call, f"before {call} #{nth}", nth)
            found = real(*args, **options)
            with self._guard:
                if self._orders.log:
                    with Path(self._orders.log).open("a", encoding="utf-8") as log:
                        log.write(json.dumps({**asdict(call), "nth": nth}) + "\n")
                self._reached(call, f"after {call} #{nth}", nth)
            return found

        return called

    def _call(self, name: str, args: tuple[Any, ...]) -> Call:
        call = call_of(name, args, self.steps)
        if name == JOURNAL:
            # A record of no step is told by its state.
            self._pushed = call = call if call.step else replace(call, step=f"({args[2][-1].state})")
        return replace(self._pushed, name=name, commits=False) if name == COPY else replace(call, name=self._by_role(name))

    def _by_role(self, name: str) -> str:
        roles = {self._orders.source: "source", self._orders.target: "target"}
        return ".".join(roles.get(part, part) for part in name.split("."))

    def _reached(self, call: Call, place: str, nth: int) -> None:
        orders = self._orders
        phase, _, noun = call.step.partition(".")
        # What belongs to no step, every process does again and again.
        if not orders.met or place in self._met or (nth > 1 and not noun):
            return
        if orders.phases and call.name == COPY:
            return  # the journal has it, and the copy is nobody's only word
        if orders.phases and phase not in orders.phases:
            self._passed[phase] += 1
            if not noun or self._passed[phase] != orders.spread or any(f" {phase}." in line for line in self._met):
                return
        with Path(orders.met).open("a", encoding="utf-8") as met:
            met.write(place + "\n")
        os.kill(os.getpid(), signal.SIGKILL)


class Tapped:
    """One system, or one connection to it."""

    def __init__(self, real: Any, name: str, taps: Taps) -> None:
        self._real, self._name, self._taps = real, name, taps

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "critical":
            return self._critical
        found = getattr(self._real, attribute)
        return self._taps.around(f"{self._name}.{attribute}", found) if attribute in EFFECTS else found

    @contextmanager
    def _critical(self, *args: Any, **options: Any) -> Iterator[Any]:
        with self._real.critical(*args, **options) as connection:
            yield Tapped(connection, self._name, self._taps)


class StruckSession(wiring.Session):
    """A session whose systems are tapped."""

    def __init__(self, real: wiring.Session, taps: Taps) -> None:
        super().__init__(real.options, real.config, real.settings, real.group)
        found, systems = real._built, real.systems

        def one(name: str) -> Any:
            return Tapped(getattr(systems, name), name, taps)

        def each(name: str) -> Callable[[Colour], Any]:
            return lambda colour: Tapped(getattr(systems, name)(colour), f"{'kubernetes' if name == 'cluster' else name}.{colour}", taps)

        tapped = replace(
            systems, cluster=each("cluster"), redis=each("redis"), repository=one("repository"), provisioner=one("provisioner"), checkpoint=one("checkpoint")
        )
        self._tapped = Built(tapped, Tapped(found.box, "box", taps))

    @property
    def _built(self) -> Built:
        return self._tapped


def opened(here: StruckSession, orders: Orders, stop: StopFlag) -> AbstractContextManager[Engine]:
    """``start`` where nothing was begun, else ``resume``; a lock that another laptop's dead process holds is taken over."""
    standing, wishes = here.standing(), wiring.wishes(auto_promote=True)
    if standing.number < orders.rotation:
        rotation = here.proposed("", (), only_fresh=True)
        here.preflight(rotation)
        return wiring.started(here, rotation, wishes, stop)
    lock, me = standing.lock, here.journal.holder
    over = lock.id if lock is not None and (lock.holder, lock.machine) != (me.name, me.machine) else ""
    return wiring.resumed(here, wishes, stop, over=wiring.Over(over, force=True))  # the test has seen it die


def main() -> int:
    """Drive until struck; the exit code."""
    streams.guard()
    orders = Orders.read()
    taps = Taps(orders)
    try:
        here = StruckSession(wiring.session(wiring.Options(repo=Path.cwd(), no_input=True)), taps)
        standing = here.standing()
        if standing.number >= orders.rotation and standing.ended:
            return 6 if orders.back else 0  # the last record was written
        driving.driven(here, lambda stop: taps.steps.opening(opened(here, orders, stop)), Format.JSON, way=driving.back if orders.back else driving.forward)
    except BennuError as error:
        streams.settle()
        sys.stderr.write(told(error))
        return error.code
    finally:
        streams.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
