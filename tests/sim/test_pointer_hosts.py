"""Where each cluster reads and writes, state by state: the specification's table, with Linkerd's names for the mirrors."""

from __future__ import annotations

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import RolledBack
from bennu.manifests import traffic_state
from tests.sim import fleet
from tests.sim.pilot import Pilot, entered
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

LOCAL = "redis.database.svc.cluster.local"
BLUE, GREEN = (f"redis-cluster-{colour}.database.svc.cluster.local" for colour in ("blue", "green"))
BEFORE, AFTER = (State.MESH_LINKING, State.DATA_SYNCING, State.TRAFFIC_CANARY, State.SWITCHOVER_LOCKED), (State.PROMOTED, State.DRAINING)
Row = tuple[str, str, str]  # reads, writes, is master
HOT: Row = (LOCAL, LOCAL, "true")
# reads_during_canary → what blue and green say before the hand-over, and after it.
TABLE: dict[str, tuple[tuple[Row, Row], tuple[Row, Row]]] = {
    "local": ((HOT, (LOCAL, BLUE, "false")), ((LOCAL, GREEN, "false"), HOT)),
    "write-host": ((HOT, (BLUE, BLUE, "false")), ((GREEN, GREEN, "false"), HOT)),
}


def kit(reads: str) -> Kit:
    return Kit(weights=(10,), ledger=f"reads_during_canary: {reads}")


def live(world: Universe, colour: Colour) -> Row:
    data = world.pointer(colour)
    return data["REDIS_READ_HOST"], data["REDIS_WRITE_HOST"], data["IS_WRITE_MASTER"]


def in_git(world: Universe, colour: Colour) -> Row:
    data = traffic_state.data(world.tree[f"{fleet.HOME}/{colour.cluster}/traffic-state.yaml"], "traffic-state.yaml")
    return data["REDIS_READ_HOST"], data["REDIS_WRITE_HOST"], data["IS_WRITE_MASTER"]


@pytest.mark.parametrize("reads", TABLE)
@pytest.mark.parametrize("state", [*BEFORE, *AFTER])
def test_each_cluster_reads_and_writes_where_the_table_says(reads: str, state: State) -> None:
    world = entered(state, kit(reads))
    wanted = TABLE[reads][state in AFTER]
    assert (live(world, Colour.BLUE), live(world, Colour.GREEN)) == wanted
    assert (in_git(world, Colour.BLUE), in_git(world, Colour.GREEN)) == wanted


@pytest.mark.parametrize("reads", TABLE)
def test_no_pointer_ever_says_anything_that_is_not_in_the_table(reads: str) -> None:
    world, taps = entered(State.DATA_SYNCING, kit(reads)), Taps()
    seen: dict[Colour, list[Row]] = {Colour.BLUE: [], Colour.GREEN: []}

    def look(call: str) -> None:
        for colour, rows in seen.items():
            if world.clusters[colour].up and (not rows or rows[-1] != live(world, colour)):
                rows.append(live(world, colour))

    taps.after = look
    outcome = Pilot(world, taps=taps).resume()
    assert outcome.error is None, outcome
    (blue, green), (blue_after, green_after) = TABLE[reads]
    assert seen == {Colour.BLUE: [blue, blue_after], Colour.GREEN: [green, green_after]}


@pytest.mark.parametrize("reads", TABLE)
def test_a_rollback_after_the_hand_over_puts_the_hosts_back(reads: str) -> None:
    world = entered(State.PROMOTED, kit(reads))
    outcome = Pilot(world).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    assert live(world, Colour.BLUE) == in_git(world, Colour.BLUE) == HOT
