"""Two masters by somebody else's hand, and hand-backs that are refused half way: nothing that was acknowledged is thrown away, and every ending says what stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import BennuError
from bennu.ports.redis import Member
from tests.sim.memory_redis import MemoryRedis
from tests.sim.pilot import Outcome, Pilot, entered
from tests.sim.replays import destroyed
from tests.sim.seams import Killed, Taps
from tests.sim.test_broken_way_back import broken
from tests.sim.test_section_errors import failing, locked, refused, silent
from tests.sim.universe import Kit, Universe

FAST = Kit(weights=(10, 90))


def said(outcome: Outcome) -> BennuError:
    assert isinstance(outcome.error, BennuError), outcome
    return outcome.error


def promoted_behind_our_back() -> tuple[Universe, Outcome]:
    """In the pause somebody promotes the target; the source's pause is over, and it acknowledges a write that the target never gets."""
    world = entered(State.SWITCHOVER_LOCKED, FAST)
    struck: list[str] = []

    def stray(call: str) -> None:
        if call == "redis.blue.pause" and not struck:
            struck.append(call)
            world.servers[Colour.GREEN].follow(None)
            world.servers[Colour.BLUE].paused_until = 0.0
            world.servers[Colour.BLUE].client_write("order-only-blue", "paid")
            world.acknowledged["order-only-blue"] = "blue"

    return world, Pilot(world, taps=Taps(after=stray)).resume()


def test_no_pointer_is_sent_to_a_target_that_lacks_what_the_source_acknowledged() -> None:
    world, outcome = promoted_behind_our_back()
    assert outcome.code == 7, outcome
    assert world.pointer(Colour.GREEN)["IS_WRITE_MASTER"] == "false"
    assert "order-only-blue" in world.servers[Colour.BLUE].state.keys


@pytest.mark.parametrize("history_kept", [True, False])
def test_a_restart_after_two_masters_excuses_no_difference(history_kept: bool) -> None:
    world, _ = promoted_behind_our_back()
    world.servers[Colour.BLUE].crash(history_kept=history_kept)
    for _ in range(2):
        outcome = Pilot(world).resume()
        assert outcome.code in (5, 7, 9), outcome
        assert destroyed(world) == []


def test_a_second_master_that_cannot_be_fenced_is_never_called_unchanged_and_safe() -> None:
    world = locked()

    def dies(call: str) -> None:
        if call == "redis.blue.pause":
            raise Killed

    assert isinstance(Pilot(world, taps=Taps(before=dies)).resume().error, Killed)
    world.servers[Colour.GREEN].follow(None)

    def refuse(call: str) -> None:
        if call == "redis.blue.fence":
            raise refused()

    outcome = Pilot(world, taps=Taps(before=refuse)).resume()
    assert outcome.code == 7, outcome


def test_two_masters_of_one_cluster_are_told_and_not_fenced(monkeypatch: pytest.MonkeyPatch) -> None:
    world = entered(State.TRAFFIC_CANARY, FAST)
    source, usual = world.servers[Colour.BLUE], MemoryRedis.members
    other = replace(source.seen(), run_id="f" * 40, replid="e" * 40, keys=3)

    def members(self: MemoryRedis) -> tuple[Member, ...]:
        return (*usual(self), Member("redis-debug-0", other)) if self is source else usual(self)

    monkeypatch.setattr(MemoryRedis, "members", members)
    outcome = Pilot(world).resume()
    assert (outcome.code, world.writable()) == (7, ["blue"]), outcome
    assert "nothing was fenced" in said(outcome).changed


def test_a_refused_promotion_with_unwritable_pointers_says_that_nobody_accepts_writes() -> None:
    world, left = locked(), [True]

    def strike(call: str) -> None:
        if call == "redis.green.make_master" and left[0]:
            left[0] = False
            raise refused()
        if call == "kubernetes.blue.apply" and not left[0]:
            raise silent()

    outcome = Pilot(world, taps=Taps(before=strike)).resume()
    assert world.writable() == []
    assert "nobody accepts writes" in said(outcome).changed, outcome
    assert Pilot(world).resume().code in (0, 5)
    assert world.lost() == []


@pytest.mark.parametrize("call", ["redis.green.fence", "redis.blue.make_master"])
def test_a_hand_back_that_a_server_refuses_leaves_the_present_master_writable(call: str) -> None:
    world = broken(quiet=False)
    outcome = Pilot(world, taps=failing(call, refused, times=1)).rollback(accept_loss=True)
    assert world.writable() == ["green"], outcome
    assert outcome.code in (5, 7), outcome


def test_a_hand_back_whose_pointers_cannot_be_written_says_who_is_master() -> None:
    world = broken(quiet=False)
    outcome = Pilot(world, taps=failing("kubernetes.blue.apply", silent, times=99, after="redis.blue.make_master")).rollback(accept_loss=True)
    assert (outcome.code, world.writable()) == (8, ["blue"]), outcome
    assert "the old master is fenced" in said(outcome).changed


def test_a_hand_back_whose_fence_would_not_outlive_a_restart_is_taken_back() -> None:
    world = broken(quiet=False)
    world.servers[Colour.GREEN].knobs.config_file = ""
    Pilot(world).rollback(accept_loss=True)
    assert world.writable() == ["green"]
    world.servers[Colour.GREEN].crash()
    world.look()
    assert world.violations == []
