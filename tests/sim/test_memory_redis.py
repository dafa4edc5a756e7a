"""The facts of replication that the simulations rest on: what destroys data, what keeps it, and what only looks alike."""

from __future__ import annotations

import pytest

from bennu.ports.redis import Address
from tests.sim.memory_redis import MemoryRedis, RedisNet
from tests.sim.redis_state import Held, ReadOnly

BLUE, GREEN, NOWHERE = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379), Address("127.0.0.1", 1)


@pytest.fixture
def net() -> RedisNet:
    return RedisNet(lambda: 0.0)


@pytest.fixture
def pair(net: RedisNet) -> tuple[MemoryRedis, MemoryRedis]:
    blue, green = net.server("blue", BLUE), net.server("green", GREEN)
    blue.client_write("first", "1")
    green.replicate(BLUE)
    return blue, green


def test_a_source_that_is_fenced_towards_a_target_that_is_behind_wipes_itself(net: RedisNet, pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, green = pair
    net.cut(green, blue)
    blue.client_write("late", "1")
    green.follow(None)
    blue.follow(GREEN)
    assert "late" not in blue.state.keys
    assert green.state.sync_full == 1


def test_a_source_that_is_parked_keeps_what_the_target_lacks(net: RedisNet, pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, green = pair
    net.cut(green, blue)
    blue.client_write("late", "1")
    with blue.critical("bennu-x-1") as critical:
        critical.fence(NOWHERE)
        assert critical.position().offset > green.state.offset
        critical.make_master()
    net.heal(green, blue)
    assert green.state.keys == {"first": "1", "late": "1"}
    assert green.state.replid == blue.state.replid


def test_a_clean_promotion_lets_the_old_master_follow_by_partial_resync(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, green = pair
    with blue.critical("bennu-x-1") as old, green.critical("bennu-x-1") as new:
        fenced = old.fence(NOWHERE)
        new.make_master()
        assert green.state.second_offset == fenced.offset + 1
        old.attach(GREEN)
    green.client_write("second", "2")
    assert blue.state.keys == {"first": "1", "second": "2"}
    assert green.state.sync_full == 0
    with pytest.raises(ReadOnly):
        blue.client_write("third", "3")


def test_an_empty_restart_of_the_source_empties_the_target_although_the_lag_is_zero(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, green = pair
    blue.crash(kept=False)
    assert green.state.keys == {}
    assert green.seen().link_up
    assert green.state.offset == blue.state.offset


def test_a_parked_source_comes_back_parked_with_another_history(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, _ = pair
    with blue.critical("bennu-x-1") as critical:
        critical.fence(NOWHERE)
    before = blue.state
    blue.crash()
    assert blue.state.master == NOWHERE
    assert blue.state.replid != before.replid
    assert blue.state.run_id != before.run_id
    assert blue.state.keys == before.keys


def test_a_fence_that_could_not_be_written_does_not_outlive_a_restart(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, _ = pair
    blue.knobs.config_file = ""
    with blue.critical("bennu-x-1") as critical:
        assert not critical.fence(NOWHERE).persisted
    blue.crash()
    assert blue.state.master is None


def test_a_writable_replica_takes_writes_that_no_offset_shows(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    _, green = pair
    green.knobs.read_only_replica = False
    before = green.state.offset
    green.client_write("stray", "1")
    assert green.state.offset == before


def test_a_second_shorter_pause_does_not_shorten_the_first(pair: tuple[MemoryRedis, MemoryRedis]) -> None:
    blue, _ = pair
    with blue.critical("bennu-x-1") as critical:
        critical.pause(5000)
        critical.pause(10)
        assert blue.paused_until == 5
        with pytest.raises(Held):
            blue.client_write("k", "v")
