"""Whole rotations, S1 to S8: where they end, and what Git, the pointers and the servers say on the way."""

from __future__ import annotations

import re
import time
from itertools import pairwise

import pytest

from bennu.cli.output import plain
from bennu.core.clusters import Colour
from bennu.core.record import Kind
from bennu.core.states import State
from bennu.engine.turns import Wishes
from bennu.errors import Paused, RolledBack
from bennu.manifests.traffic_state import TERM, Keys
from bennu.ports.metrics import Traffic
from tests.sim import fleet
from tests.sim.pilot import ANN, AUTO, BOB, Pilot, at_rest, entered, fresh_take, universe
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

STATES = [state for state in State if state is not State.IDLE_STABLE]


def test_a_rotation_ends_with_the_target_alone_and_every_write_kept() -> None:
    world, begin = universe(), time.monotonic()
    pilot = Pilot(world)
    outcome = pilot.start()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)
    assert not [path for path in world.tree if "cluster-blue" in path]
    assert [span.state for span in outcome.standing.spans] == STATES
    # No real time passes: minutes of waiting cost what the polls cost. Far above what it takes, far below what it stands for.
    assert world.clock.boot() - 1000 > 60 > time.monotonic() - begin


def test_epochs_and_trailers_name_the_rotation_in_every_commit() -> None:
    world = universe()
    Pilot(world).start(ticket="CHG1")
    mine = [one.commit for one in world.remote.history[1:]]
    assert len(mine) > 10
    assert {one.trailers["Bennu-Rotation"] for one in mine} == {"prod-us-east-1-1"}
    assert {one.trailers["Bennu-Ticket"] for one in mine} == {"CHG1"}
    assert all(len(one.subject) <= 60 for one in mine)


def test_the_authority_moves_in_one_commit() -> None:
    world = universe()
    Pilot(world).start()
    masters = [world.master_in_git(one.files) for one in world.remote.history]
    assert set(masters) == {Colour.BLUE, Colour.GREEN}
    assert sum(before is not after for before, after in pairwise(masters)) == 1


def test_git_names_the_target_only_once_the_servers_do() -> None:
    world = universe()
    seen: list[tuple[Colour | None, list[str]]] = []

    def after(call: str) -> None:
        if call == "repository.advance" and (not seen or seen[-1][0] is not world.master_in_git()):
            seen.append((world.master_in_git(), [one.value for one, server in world.servers.items() if server.knobs.up and server.state.master is None]))

    Pilot(world, taps=Taps(after=after)).start()
    assert seen == [(Colour.BLUE, ["blue"]), (Colour.GREEN, ["green"])]


def test_three_rotations_come_back_to_where_they_began() -> None:
    world = universe()
    before = unstamped(world)
    for colour in (Colour.GREEN, Colour.RED, Colour.BLUE):
        assert Pilot(world).start().error is None
        at_rest(world, colour)
    assert unstamped(world) == before
    assert 'bennu.io/term: "3"' in world.tree["clusters/prod/us-east-1/cluster-blue/traffic-state.yaml"]


def unstamped(world: Universe) -> dict[str, list[str]]:
    """Every file's lines, sorted, without the term of the authority."""
    return {path: sorted(re.sub(rf", annotations: {{{TERM}: \"\d+\"}}", "", text).splitlines()) for path, text in world.tree.items()}


def test_without_redis_nothing_is_synchronised_and_the_pointer_is_handed_over_alone() -> None:
    world = universe(Kit(redis=False))
    pilot = Pilot(world)
    outcome = pilot.start()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)
    steps = {progress.step for progress in outcome.progress}
    assert not any(step.startswith("data-syncing") for step in steps)
    assert "switchover-locked.hand-over" in steps
    assert not any(call.startswith("redis") for call in pilot.taps.calls)


def test_without_redis_what_may_run_only_once_moves_with_the_pointer() -> None:
    world = universe(Kit(redis=False))
    Pilot(world).start(Wishes(auto_promote=True, stop_after=State.SWITCHOVER_LOCKED))
    assert (world.pointer(Colour.BLUE)["IS_WRITE_MASTER"], world.pointer(Colour.GREEN)["IS_WRITE_MASTER"]) == ("false", "true")
    assert not world.runs_exclusive(Colour.BLUE)
    assert world.runs_exclusive(Colour.GREEN)


def test_a_pointer_with_keys_of_the_users_own_is_handed_over_and_back() -> None:
    world = universe(Kit(keys=Keys("reads", "ledger.write-host", "active", "frozen"), weights=(10, 90)))
    assert Pilot(world).start().error is None
    at_rest(world, Colour.GREEN)
    text = world.tree[f"{fleet.HOME}/cluster-green/traffic-state.yaml"]
    assert re.findall(r"(?m)^  (\S+):", text) == ["reads", "ledger.write-host", "active", "frozen"]
    back = entered(State.PROMOTED, world.kit)
    outcome = Pilot(back).rollback()
    assert isinstance(outcome.error, RolledBack), outcome
    at_rest(back, Colour.BLUE)


def test_without_dns_and_active_only_a_rotation_still_goes_through() -> None:
    world = universe(Kit(dns=False, active_only=False))
    outcome = Pilot(world).start()
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN)


def test_all_routes_move_in_one_commit() -> None:
    world = universe(Kit(apps=("payment-service", "ledger-api")))
    assert Pilot(world).start().error is None
    at_rest(world, Colour.GREEN)
    texts = [one.files.get(f"{fleet.HOME}/cluster-blue/ingress-routing.yaml", "") for one in world.remote.history]
    shares = {tuple(re.findall(r"weight: (\d+)", text)) for text in texts if text}
    assert {("90", "10", "90", "10"), ("50", "50", "50", "50"), ("0", "100", "0", "100")} <= shares
    assert all(share in (("100", "100"), share[:2] * 2) for share in shares), shares


def test_the_worst_app_decides() -> None:
    world = universe(Kit(apps=("payment-service", "ledger-api")))
    world.fate.health["ledger-api"] = Traffic(5000, 50, 20.0, 1.0)
    outcome = Pilot(world).start()
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert "ledger-api: success rate 99.000%" in str(outcome.error)
    for app in world.kit.apps:
        assert world.weights(Colour.BLUE, app) == {app: 100}


@pytest.mark.parametrize("state", STATES)
def test_stopped_after_a_state_a_colleague_resumes(state: State) -> None:
    world = universe()
    outcome = Pilot(world, ANN).start(Wishes(auto_promote=True, stop_after=state))
    assert isinstance(outcome.error, Paused), outcome
    assert outcome.standing.state is state
    assert outcome.standing.lock is None
    assert Pilot(world, BOB).resume(AUTO).error is None
    at_rest(world, Colour.GREEN)


def test_no_wait_ends_with_all_traffic_at_the_source_and_promote_rechecks_the_last_weight_alone() -> None:
    world = universe()
    outcome = Pilot(world, ANN).start(Wishes(no_wait=True))
    assert (outcome.code, outcome.standing.state) == (10, State.TRAFFIC_CANARY)
    assert world.weights(Colour.BLUE, "payment-service") == {"payment-service": 100}
    assert world.master_in_git() is Colour.BLUE
    promoted = Pilot(world, BOB).resume(Wishes(promote=True))
    assert promoted.error is None, promoted
    at_rest(world, Colour.GREEN)
    watched = [p.step for p in promoted.progress if p.step.startswith("traffic-canary.watch") and p.mark == "done"]
    assert watched == ["traffic-canary.watch-90"]


def test_a_promote_whose_recheck_fails_does_not_hand_over() -> None:
    world = universe()
    Pilot(world, ANN).start(Wishes(no_wait=True))
    world.fate.default_health = Traffic(5000, 500, 20.0, 1.0)
    outcome = Pilot(world, BOB).resume(Wishes(promote=True))
    assert (outcome.code, outcome.standing.state) == (5, State.TRAFFIC_CANARY)
    assert world.master_in_git() is Colour.BLUE
    assert world.weights(Colour.BLUE, "payment-service") == {"payment-service": 100}
    # What was measured before the failure counts no more: the canary begins anew.
    world.fate.default_health = Traffic(5000, 0, 20.0, 1.0)
    again = Pilot(world, BOB).resume(AUTO)
    watched = [p.step for p in again.progress if p.step.startswith("traffic-canary.watch") and p.mark == "done"]
    assert [step.rpartition("-")[2] for step in watched] == ["10", "20", "50", "90"]


def test_a_kept_source_stays_warm_and_is_cleaned_up_later() -> None:
    world = universe()
    outcome = Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",))
    assert outcome.error is None, outcome
    at_rest(world, Colour.GREEN, Colour.BLUE)
    assert world.servers[Colour.BLUE].state.synced
    cleaned = Pilot(world).cleanup("blue")
    assert cleaned.error is None, cleaned
    at_rest(world, Colour.GREEN)
    assert not [path for path in world.tree if "cluster-blue" in path]
    kinds = [record.kind for record in Pilot(world).session.journal.records]
    assert kinds.count(Kind.BEGIN) in (0, 2)


def test_a_rotation_can_follow_a_cleanup() -> None:
    world = universe()
    Pilot(world).start(Wishes(auto_promote=True), options=("keep-source",))
    Pilot(world).cleanup()
    assert Pilot(world).start(AUTO).error is None
    at_rest(world, Colour.RED)


def test_a_stop_in_the_middle_of_a_keep_source_rotation_does_not_forget_the_wish() -> None:
    world = universe()
    Pilot(world, ANN).start(Wishes(auto_promote=True, stop_after=State.DATA_SYNCING), options=("keep-source",))
    assert fresh_take(world, BOB).error is None
    at_rest(world, Colour.GREEN, Colour.BLUE)


def test_the_status_has_the_pause_as_predicted_and_as_measured() -> None:
    world = entered(State.SWITCHOVER_LOCKED)
    pilot = Pilot(world)
    assert plain(pilot.session.status())["rotation"]["switchover"]["pause"] == {"predicted_ms": None, "ms": None}
    outcome = pilot.resume()
    pause = plain(pilot.session.status())["rotation"]["switchover"]["pause"]
    assert pause["predicted_ms"] > 0
    assert pause["ms"] is not None
    assert f"predicted {pause['predicted_ms']:.1f} ms" in outcome.progress[-1].text
