"""The contract of ``RedisServer``, of two real servers and of the one in memory."""

from __future__ import annotations

import pytest

from bennu.errors import DependencyDown, GateRefused
from tests.contract.redis.servers import Hands, until


def test_a_new_server_says_that_it_is_an_empty_master(both: tuple[Hands, Hands]) -> None:
    seen = both[0].server.observe()
    assert seen.is_master
    assert seen.master is None
    assert seen.keys == 0
    assert len(seen.replid) == 40
    assert (seen.replid2, seen.second_offset) == ("", -1)
    assert seen.read_only_replica
    assert seen.aof
    assert not seen.cluster_mode
    assert seen.config_file.endswith("redis.conf")
    assert seen.sentinels == 0


def test_a_replica_shares_the_masters_history_and_both_sides_see_the_link(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    there, here = source.server.observe(), target.server.observe()
    assert not here.is_master
    assert here.master == source.address
    assert here.replid == there.replid
    assert [replica.state for replica in there.replicas] == ["online"]
    assert target.read("first") == "1"


def test_a_master_that_holds_keys_is_never_made_a_replica(both: tuple[Hands, Hands]) -> None:
    source, target = both
    assert source.write("k", "v")
    assert target.write("mine", "precious")
    with pytest.raises(GateRefused, match="holds 1 keys"):
        target.server.replicate(source.address)
    assert target.read("mine") == "precious"


def test_a_replica_whose_master_died_keeps_its_data_and_says_since_when_it_is_alone(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    before = target.server.observe()
    assert before.link_down_s == -1
    source.stop()
    until(lambda: target.server.observe().link_down_s >= 1, "the replica counts the seconds", seconds=15)
    left = target.server.observe()
    assert not left.link_up
    assert left.master == source.address
    assert not left.is_master
    assert (left.replid, left.keys) == (before.replid, 1)
    assert left.offset >= before.offset
    assert not left.sync_in_progress
    with target.server.critical("bennu-prod-us-east-1-1-1") as hand:
        hand.make_master()
    assert target.write("after", "1")


def test_replicating_twice_is_harmless(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    syncs = source.server.observe().sync_full
    target.server.replicate(source.address)
    assert source.server.observe().sync_full == syncs
    assert target.server.observe().link_up


def test_a_replica_refuses_users_writes(linked: tuple[Hands, Hands]) -> None:
    assert not linked[1].write("k", "v")


def test_a_server_that_is_gone_is_a_dependency_that_is_down(both: tuple[Hands, Hands]) -> None:
    both[0].server.observe()
    both[0].stop()
    with pytest.raises(DependencyDown, match="redis of cluster-blue does not answer"):
        both[0].server.observe()


def test_after_a_restart_the_same_server_is_found_again_with_another_run_id(both: tuple[Hands, Hands]) -> None:
    assert both[0].write("k", "v")
    before = both[0].server.observe()
    both[0].crash()
    after = both[0].server.observe()
    assert after.run_id != before.run_id
    assert after.keys == 1


def test_connections_of_earlier_epochs_are_cut_and_stay_cut(both: tuple[Hands, Hands]) -> None:
    server = both[0].server
    with (
        server.critical("bennu-prod-us-east-1-7-1") as old,
        server.critical("bennu-prod-us-east-1-7-2") as current,
        server.critical("bennu-prod-us-east-1-70-1") as other,
    ):
        assert server.kill_named("prod-us-east-1-7", 2) == 1
        for _ in range(2):
            with pytest.raises(ConnectionError):
                old.position()
        assert current.position().is_master
        assert other.position().is_master
        assert server.kill_named("prod-us-east-1-7", 2) == 0


def test_users_connections_survive_the_killing_of_holders(both: tuple[Hands, Hands]) -> None:
    with both[0].user() as lives:
        both[0].server.kill_named("prod-us-east-1-7", 99)
        assert lives()


def test_a_replica_whose_master_died_says_that_its_link_is_down(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    reached = target.server.observe().offset
    source.stop()
    if hasattr(target, "_memory"):
        target._memory.net.settle()
    until(lambda: not target.server.observe().link_up, "the link is seen to be down")
    assert target.server.observe().offset >= reached


def test_a_snapshot_is_proved_by_the_servers_own_clock(both: tuple[Hands, Hands]) -> None:
    server = both[0].server
    before = server.last_save()
    assert not before.running
    assert before.path.endswith("/dump.rdb")
    until(lambda: server.last_save().now > before.at, "a second passes at the server")
    server.begin_save()
    until(lambda: not server.last_save().running, "it is written")
    after = server.last_save()
    assert after.succeeded
    assert after.at > before.at
