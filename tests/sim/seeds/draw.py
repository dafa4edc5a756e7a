"""What one seed stands for: the group, where its story begins, who drives it, and everything that strikes. Drawn beforehand as plain data, so that a story can be told again with fewer strikes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from bennu.core.states import State
from tests.sim.universe import Kit

# Few enough that what they begin with is made once a process.
KITS = (
    Kit(weights=(10, 90)),
    Kit(weights=(10,), active_only=False, dns=False),
    Kit(weights=(50,), apps=("payment-service", "orders")),
    Kit(weights=(10,), via="externalname"),
    Kit(weights=(20,), via="tcproute", dns=False),
    Kit(weights=(10,), ledger="fence: {persists_by: manifest}"),
    Kit(weights=(10, 50), redis=False),
)
_SHARES = (5, 4, 2, 2, 2, 3, 3)
BEGINNINGS = {
    State.IDLE_STABLE: 8,  # from `start`
    State.MESH_LINKING: 4,
    State.DATA_SYNCING: 10,
    State.TRAFFIC_CANARY: 14,
    State.SWITCHOVER_LOCKED: 50,
    State.PROMOTED: 12,
    State.DRAINING: 4,
}
_ANCHORS = (".pause", ".fence", ".make_master", ".attach", ".kill_named", "provisioner.down")
VERSIONS = ("6.2.14", "7.2.5", "9.0.0")
# Kind → how often it is drawn.
KINDS = {
    "fails-before": 10,  # the call has no effect, and the caller hears of no answer
    "fails-after": 10,  # it has its effect
    "hangs-before": 4,  # the same, after a deadline that the world did not wait for
    "hangs-after": 4,
    "silent": 5,  # one system does not answer for a time
    "stale": 4,  # an answer as it was before
    "killed-before": 10,
    "killed-after": 10,
    "frozen": 8,  # the process stands still while a colleague takes the lock over and goes on; then it wakes up
    "asleep": 4,  # the lid is closed
    "clock": 3,  # the wall clock is set
    "git-down": 4,
    "git-moves": 3,  # a colleague's commit
    "git-meddles": 1,  # a colleague's commit to files that are Bennu's during a rotation
    "push-unheard": 6,
    "redis-restarts": 6,
    "redis-silent": 4,
    "link-cut": 5,
    "flux-slow": 3,
    "flux-late": 3,  # a reconciliation that began before it was held off ends now
    "metrics-bad": 3,
    "disk-full": 2,
    "asked": 6,  # a request typed elsewhere
    "interrupted": 6,
}


@dataclass(frozen=True)
class Strike:
    """What strikes at the *call*-th call of the *life*-th process, counted from the first call named *since* (empty: from its beginning). ``pick`` chooses among what there is (which
    cluster, how long), in 0…1.
    """

    life: int
    call: int
    kind: str
    pick: float
    more: float
    since: str = ""


@dataclass(frozen=True)
class Story:
    """One seed's."""

    seed: int
    kit: Kit
    begins: State
    version: str
    strikes: tuple[Strike, ...]
    words: tuple[tuple[str, float], ...]  # how each process is begun: verb, and what picks the machine
    order: int  # seed of the order in which threads come

    def only(self, numbers: tuple[int, ...]) -> Story:
        """The same with these strikes alone."""
        return replace(self, strikes=tuple(self.strikes[number] for number in numbers))


def story(seed: int) -> Story:
    """What *seed* stands for."""
    rng = Random(seed)
    kit = rng.choices(KITS, _SHARES)[0]
    begins = rng.choices(list(BEGINNINGS), list(BEGINNINGS.values()))[0]
    lives = rng.choice((1, 2, 2, 3, 4, 6))
    count = rng.choice((0, 1, 1, 2, 2, 3, 4, 6, 8))
    # Most of what happens in S6 happens in its first hundred calls.
    reach = rng.choice((40, 120, 120, 400, 900))
    strikes = tuple(_strike(rng, lives, reach) for _ in range(count))
    words = tuple((rng.choices(("go", "wait", "promote", "rollback"), (70, 12, 9, 9))[0], rng.random()) for _ in range(lives + 12))
    return Story(seed, kit, begins, rng.choice(VERSIONS), strikes, words, rng.getrandbits(32))


def _strike(rng: Random, lives: int, reach: int) -> Strike:
    life = min(int(rng.expovariate(1.2)), lives - 1)
    kind, pick, more = rng.choices(list(KINDS), list(KINDS.values()))[0], rng.random(), rng.random()
    # Two in five around the few calls in which the order decides.
    since = rng.choice(_ANCHORS) if rng.random() < 0.4 else ""
    return Strike(life, rng.randrange(10 if since else reach), kind, pick, more, since)
