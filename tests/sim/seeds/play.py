"""One story: processes that are struck, then calm, in which it must come to rest; judged all the way."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random

from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.run import Engine
from bennu.engine.turns import Wishes
from bennu.errors import BennuError
from tests.sim.pilot import ANN, AUTO, BOB, Outcome, Pilot, Plant, entered, universe
from tests.sim.replays import CAROL
from tests.sim.seams import Killed, Taps
from tests.sim.seeds import judge
from tests.sim.seeds.draw import Story, Strike
from tests.sim.seeds.inline import crew_of
from tests.sim.seeds.strikes import Life, healed

PEOPLE = (ANN, BOB)
_SETTLE_S = 5.0
_FLUX_S = 32.0  # its interval
_TRIES = 8
SOUND = Plant()


@dataclass
class Ending:
    """What became of a story."""

    story: Story
    violations: list[str]
    codes: list[int]
    met: Counter[str]
    promoted: bool
    rest: State | None
    trace: str
    log: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    by_hand: bool = False  # it ended with what an operator must decide


class Play:
    """*plant*: a bug that each of its processes has."""

    def __init__(self, story: Story, plant: Plant = SOUND) -> None:
        self.story, self.plant = story, plant
        self.world = universe(story.kit) if story.begins is State.IDLE_STABLE else entered(story.begins, story.kit)
        for server in self.world.servers.values():
            server.knobs.version = story.version
        self.world.net.version = story.version
        self.begun = len(self.world.remote.history)
        self.codes: list[int] = []
        self.met: list[str] = []
        self.log: list[str] = []
        self.violations: list[str] = []
        self.trace = hashlib.sha256()
        self.accepts = False  # the operator gives up, by word, what only one side has
        self.by_hand = False  # an operator is needed, and why is known

    def told(self) -> Ending:
        """From its beginning to its end."""
        begin = time.process_time()
        lives = max((strike.life for strike in self.story.strikes), default=0) + 1
        for number in range(lives):
            if number and self._at_rest():
                break
            self._life(number, [strike for strike in self.story.strikes if strike.life == number])
            if self.violations:
                break
        if not self.violations:
            self._calm(lives)
        records = judge.records_of(self.world)
        self.violations += [*judge.of_history(self.world, self.begun), *judge.of_journal(records), *judge.of_requests(self.world)]
        promoted = any(record.kind is Kind.STATE and record.state is State.PROMOTED for record in records)
        return Ending(
            self.story, list(dict.fromkeys(self.violations)), self.codes, Counter(self.met), promoted, records[-1].state if records else None,
            self.trace.hexdigest()[:16], self.log, time.process_time() - begin, self.by_hand,
        )  # fmt: skip

    def _at_rest(self) -> bool:
        records = judge.records_of(self.world)
        return bool(records) and records[-1].kind is Kind.RELEASE and records[-1].state is State.IDLE_STABLE

    def _life(self, number: int, strikes: list[Strike], *, calm: str = "") -> Outcome:
        word, pick = self.story.words[number]
        holder = PEOPLE[0 if number == 0 or pick < 0.5 else 1]
        life = Life(self.world, strikes, self.story.order + number, self.met)
        life.colleague = self._colleague
        pilot = Pilot(self.world, holder, taps=life.taps(), plant=self.plant)

        pilot.watch = life.watch
        word = calm or word
        self.log.append(f"{holder.name}: {word}" + (" (calm)" if calm else ""))
        outcome = self._driven(pilot, word)
        for disk in self.world.disks.values():
            disk.locks.clear()
        self.trace.update("\n".join(life.trace).encode())
        self.log += [f"    {line}" for line in life.trace if line.startswith("!")]
        self.log.append(f"  → {self.world.clock.boot():.0f} s: {outcome}")
        self.codes.append(outcome.code)
        if outcome.code in (7, 9):
            # The one thing drawn that may tell two histories apart for good.
            self.by_hand = self.accepts = "redis-restarts" in self.met
            if not self.by_hand:
                self.violations.append(f"needs an operator, and nothing that struck explains it: {outcome}")
        self.violations += [
            *life.found,
            *judge.of_ending(outcome),
            *judge.of_world(self.world),
            *([] if isinstance(outcome.error, Killed) else judge.of_pause(self.world)),
        ]
        return outcome

    def _colleague(self, where: float) -> None:
        """Carol takes the lock over, and goes on for a while or to the end, or wants to stop at once."""
        limit = int(300 * where)
        calls = [0]

        def before(call: str) -> None:
            calls[0] += 1
            if where < 0.7 and calls[0] > limit:
                raise Killed("the colleague has gone")

        def begun(engine: Engine) -> None:
            self.plant.engine(engine)
            if where * 10 % 1 < 0.4:
                engine.lookout.stop.set(2)

        carol = Pilot(self.world, CAROL, taps=Taps(before=before, crew=crew_of(Random(self.story.order)), reads=True), plant=replace(self.plant, engine=begun))
        try:
            outcome = self._driven(carol, "go")
        except (BennuError, Killed) as error:
            self.log.append(f"    {CAROL.name} could not begin: {error}")
            return
        self.log.append(f"    {CAROL.name} took over: {outcome}")
        self.violations += judge.of_ending(outcome)

    def _driven(self, pilot: Pilot, word: str) -> Outcome:
        try:
            return self._begun(pilot, word)
        except (BennuError, Killed) as error:
            # Refused before anything was begun.
            return Outcome(error, pilot.session.journal.standing)
        except Exception as error:
            error.__traceback__ = error.__traceback__ if self.keeps_tracebacks else None
            return Outcome(error, pilot.session.journal.standing)

    keeps_tracebacks = False

    def _begun(self, pilot: Pilot, word: str) -> Outcome:
        standing = pilot.session.standing()
        if not standing.open and not (standing.rotation and standing.begun and not standing.ended):
            return pilot.start(Wishes(no_wait=True) if word == "wait" else AUTO)
        lock = standing.lock
        over = lock.id if lock is not None and lock.holder != pilot.holder.name else ""
        if word == "rollback":
            return pilot.rollback(take_over=over, accept_loss=self.accepts)
        if word == "wait":
            return pilot.resume(Wishes(no_wait=True), take_over=over)
        return pilot.resume(Wishes(auto_promote=True, promote=word == "promote", accept_loss=self.accepts), take_over=over)

    def _calm(self, number: int) -> None:
        """Nothing strikes any more: it comes to rest."""
        healed(self.world, [])
        outcome: Outcome | None = None
        for attempt in range(_TRIES):
            self.world.clock.wait(_SETTLE_S)
            if not self._at_rest():
                # What goes on no more by itself, goes back.
                outcome = self._life(number + attempt, [], calm="rollback" if attempt in (4, 6) else "go")
            if self.violations:
                return
            if self._at_rest():
                self.world.clock.sleep_laptop(_FLUX_S)
                self.world.clock.wait(_SETTLE_S)
                self.by_hand = False
                self.violations += [*judge.of_world(self.world), *judge.of_rest(self.world)]
                return
        if outcome is None or outcome.code not in (7, 9):
            self.violations.append(f"does not come to rest: {outcome}")
