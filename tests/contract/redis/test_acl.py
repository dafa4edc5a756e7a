"""Redis with ACL users and a password for each server: the rights that the documentation lists suffice for a whole hand-over, and no others are needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisOverSocket
from tests.contract.redis.servers import REAL, RealHands, parking, program, until

PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"
NAME = "bennu-prod-us-east-1-7-1"


def rights() -> str:
    """What docs/architecture.md says that the user needs."""
    found = re.search(r"`user bennu on >… ([^`]+)`", PAGE.read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


@pytest.fixture(params=REAL)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RealHands, RealHands]]:
    """Two servers with a user ``bennu`` each, whose passwords differ, as the default users' do."""
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    with ExitStack() as stack:
        made = []
        for name in ("source", "target"):
            made.append(RealHands(found, tmp_path / name, f"default-{name}", [f"user bennu on >bennu-{name} {rights()}"]))
            stack.callback(made[-1].stop)
        yield made[0], made[1]


def bennu(hands: RealHands, name: str) -> RedisOverSocket:
    return RedisOverSocket(replace(hands.endpoint(f"bennu-{name}"), username="bennu"))


def test_a_whole_hand_over_with_the_listed_rights_and_two_passwords(servers: tuple[RealHands, RealHands]) -> None:
    (blue, green), (source, target) = servers, (bennu(servers[0], "source"), bennu(servers[1], "target"))
    assert blue.write("first", "1")
    source.authenticate_as(target.credential())
    target.authenticate_as(source.credential())
    target.replicate(blue.address)
    until(lambda: target.observe().link_up and not target.observe().saving_or_loading, "the target follows the source")
    assert source.observe().read_only_replica
    with source.critical(NAME) as old, target.critical(NAME) as new:
        assert source.kill_named("prod-us-east-1-7", 1) == 0
        history = old.observe().replid
        assert old.round_trip() > 0
        with new.following(0.002) as following:
            assert following.reaches(old.pause(3000), history, 2)
            fenced = old.fence(parking())
            assert fenced.persisted
            assert following.reaches(fenced.offset, history, 2)
        new.make_master()
        old.attach(green.address)
        old.unpause()
        old.cut_clients()
        until(lambda: old.observe().link_up, "the old master follows the new one, with the new one's password")
        new.write_probe("bennu:probe:1", "x")
        until(lambda: old.read_probe("bennu:probe:1") == "x", "the probe is replicated back")
    assert target.observe().sync_full == 0


def test_a_master_and_a_replica_that_restart_still_know_each_other(servers: tuple[RealHands, RealHands]) -> None:
    (blue, green), (source, target) = servers, (bennu(servers[0], "source"), bennu(servers[1], "target"))
    source.authenticate_as(target.credential())
    target.authenticate_as(source.credential())
    target.replicate(blue.address)
    until(lambda: target.observe().link_up and not target.observe().saving_or_loading, "the target follows the source")
    green.crash()
    blue.crash()
    until(lambda: target.observe().link_up, "they find each other again")


def test_no_password_is_in_the_text_of_a_credential(servers: tuple[RealHands, RealHands]) -> None:
    credential = bennu(servers[0], "source").credential()
    assert credential.password == "bennu-source"
    assert "bennu-source" not in f"{credential} {credential!r}"


def test_the_users_data_are_not_readable_with_the_listed_rights(servers: tuple[RealHands, RealHands]) -> None:
    assert servers[0].write("card", "4111")
    with bennu(servers[0], "source").critical(NAME) as critical, pytest.raises(Exception, match=r"NOPERM|No permissions"):
        critical.read_probe("card")
