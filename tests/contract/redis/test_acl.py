"""Redis with ACL users and a password for each server: the rights that the documentation lists suffice for a whole hand-over, and no others are needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisOverSocket
from bennu.core.precheck import precheck
from tests.contract.redis.servers import REAL, RealHands, parking, program, until
from tests.unit.core.test_precheck import SOUND
from tests.unit.core.test_switchover import OPEN, REPLICA

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


def test_the_listed_rights_let_the_pre_check_see_users_modules_and_what_is_denied(servers: tuple[RealHands, RealHands]) -> None:
    blue, green = servers
    assert blue.ask("ACL", "SETUSER", "shop", "on", ">s", "~*", "+@all") == "OK"
    fewer = [right for right in rights().split() if right not in {"+client|pause", "+replicaof"}]
    assert green.ask("ACL", "SETUSER", "bennu", "reset", "on", ">bennu-target", *fewer) == "OK"
    source, target = bennu(blue, "source").profile(), bennu(green, "target").profile()
    assert (source.unasked, target.unasked, source.refused) == ((), (), ())
    assert {user.name for user in source.users or ()} == {"default", "bennu", "shop"}
    assert set(target.refused) == {"CLIENT PAUSE (no permission)", "REPLICAOF (no permission)"}
    found = precheck(OPEN, REPLICA, replace(SOUND, profiles=(source, target)), one_way=False)
    assert "lacks users of the source (shop)" in found.reason
    assert "REPLICAOF (no permission)" in found.reason


@pytest.mark.parametrize("denied", ["acl|list", "acl|whoami", "acl|dryrun", "command|info", "module|list"])
def test_a_question_of_the_pre_check_that_is_not_answered_is_named_and_opens_nothing(servers: tuple[RealHands, RealHands], denied: str) -> None:
    blue, _ = servers
    kept = [right for right in rights().split() if right != f"+{denied}"]
    assert blue.ask("ACL", "SETUSER", "bennu", "reset", "on", ">bennu-source", *kept) == "OK"
    found = bennu(blue, "source").profile()
    assert denied.upper().replace("|", " ") in found.unasked
    verdict = precheck(OPEN, REPLICA, replace(SOUND, profiles=(found, found)), one_way=False)
    assert verdict.failed
    assert f"+{denied}" in verdict.reason


def test_two_servers_with_a_password_each_are_alike_where_that_was_declared(servers: tuple[RealHands, RealHands]) -> None:
    both = replace(SOUND, profiles=(bennu(servers[0], "source").profile(), bennu(servers[1], "target").profile()))
    assert "passwords of bennu, default differ" in precheck(OPEN, REPLICA, both, one_way=False).reason
    assert precheck(OPEN, REPLICA, replace(both, own_logins=frozenset({"default", "bennu"})), one_way=False).is_open


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
