"""The contract of ``Critical``: what the switchover's order of steps rests on."""

from __future__ import annotations

import pytest

from bennu.errors import GateRefused, StoppedSafe
from bennu.ports.redis import Critical
from tests.contract.redis.servers import Hands, parking, until

NAME = "bennu-prod-us-east-1-7-1"


def reached(target: Critical, offset: int) -> None:
    until(lambda: target.position().offset >= offset, f"the target reaches {offset}")


def test_a_pause_holds_users_writes_back_and_says_where_the_source_stands(linked: tuple[Hands, Hands]) -> None:
    source, _ = linked
    with source.server.critical(NAME) as critical:
        offset = critical.pause(5000)
        assert critical.position().is_master
        assert critical.position().offset >= offset
        assert not source.write("during", "1")
        critical.unpause()
        assert source.write("after", "1")


def test_a_replica_is_not_paused(linked: tuple[Hands, Hands]) -> None:
    with linked[1].server.critical(NAME) as critical, pytest.raises(GateRefused, match="no master"):
        critical.pause(100)


def test_the_fence_proves_its_offset_and_refuses_every_later_write(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    with source.server.critical(NAME) as critical:
        paused = critical.pause(2000)
        fenced = critical.fence(parking())
        assert fenced.offset >= paused
        assert fenced.persisted
        standing = critical.position()
        assert (standing.is_master, standing.offset) == (False, fenced.offset)
        critical.unpause()
    assert not source.write("late", "1")
    seen = source.server.observe()
    assert seen.master == parking()
    assert seen.keys == 1  # it did not wipe itself
    assert target.read("first") == "1"


def test_fencing_twice_proves_the_same_offset(linked: tuple[Hands, Hands]) -> None:
    with linked[0].server.critical(NAME) as critical:
        first = critical.fence(parking())
        assert critical.fence(parking()).offset == first.offset


def test_a_whole_hand_over_loses_no_write_and_needs_no_full_resync(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    with source.server.critical(NAME) as old, target.server.critical(NAME) as new:
        history = old.observe().replid
        old.pause(3000)
        fenced = old.fence(parking())
        reached(new, fenced.offset)
        replid = new.make_master()
        promoted = new.observe()
        assert promoted.is_master
        assert (promoted.replid, promoted.replid2) == (replid, history)
        assert promoted.second_offset == fenced.offset + 1
        old.attach(target.address)
        old.unpause()
        until(lambda: old.observe().link_up, "the old master follows the new one")
        offset = new.write_probe("bennu-probe", "1")
        reached(old, offset)
        assert old.read_probe("bennu-probe") == "1"
    assert target.write("second", "2")
    assert not source.write("third", "3")
    assert target.read("first") == "1"
    assert target.server.observe().sync_full == 0


def test_taking_a_fence_back_gives_the_source_a_new_history_that_its_replica_inherits(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    with source.server.critical(NAME) as critical:
        before = critical.observe().replid
        critical.fence(parking())
        replid = critical.make_master()
    assert replid != before
    assert source.write("again", "1")
    until(lambda: target.server.observe().replid == replid and target.server.observe().link_up, "the replica follows the new history")
    assert source.server.observe().sync_full == 1  # the first one, at the very start


def test_a_fenced_source_that_is_killed_comes_back_parked(linked: tuple[Hands, Hands]) -> None:
    source, _ = linked
    with source.server.critical(NAME) as critical:
        critical.fence(parking())
    source.crash()
    seen = source.server.observe()
    assert not seen.is_master
    assert seen.master == parking()
    assert seen.keys == 1
    assert not source.write("late", "1")


def test_a_promoted_target_that_is_killed_comes_back_as_master(linked: tuple[Hands, Hands]) -> None:
    source, target = linked
    with source.server.critical(NAME) as old, target.server.critical(NAME) as new:
        fenced = old.fence(parking())
        reached(new, fenced.offset)
        new.make_master()
    target.crash()
    assert target.server.observe().is_master
    assert target.read("first") == "1"


def test_a_configuration_that_cannot_be_written_is_said(linked: tuple[Hands, Hands]) -> None:
    source, _ = linked
    source.lose_config_file()
    with source.server.critical(NAME) as critical:
        assert not critical.fence(parking()).persisted
        assert critical.position().is_master is False


def test_a_fence_on_a_server_whose_replicas_accept_writes_is_taken_back(linked: tuple[Hands, Hands]) -> None:
    source, _ = linked
    source.switch_read_only_off()
    with source.server.critical(NAME) as critical:
        critical.pause(2000)
        with pytest.raises(StoppedSafe, match="replica-read-only"):
            critical.fence(parking())
        assert critical.position().is_master
        critical.unpause()
    assert source.write("after", "1")


def test_a_connection_that_was_lost_stays_lost_although_the_server_is_back(both: tuple[Hands, Hands]) -> None:
    server = both[0].server
    with server.critical(NAME) as critical:
        both[0].crash()
        for ask in (critical.position, critical.observe, critical.unpause, lambda: critical.fence(parking())):
            with pytest.raises(ConnectionError):
                ask()
    assert server.observe().is_master


def test_users_are_cut_and_bennus_own_connections_are_spared(both: tuple[Hands, Hands]) -> None:
    server = both[0].server
    server.observe()
    with both[0].user() as one, both[0].user() as two, server.critical(NAME) as critical, server.critical("bennu-prod-us-east-1-7-2") as other:
        assert critical.cut_clients() == 2
        assert not one()
        assert not two()
        assert critical.position().is_master
        assert other.position().is_master


def test_a_replica_takes_no_probe(linked: tuple[Hands, Hands]) -> None:
    with linked[1].server.critical(NAME) as critical, pytest.raises(GateRefused, match="READONLY"):
        critical.write_probe("bennu-probe", "1")
