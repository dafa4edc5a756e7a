"""What the pre-check reads of real servers: permissions, users, modules, and who is let in as a replica."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bennu.adapters.redis import RedisEndpoint, RedisOverSocket
from bennu.adapters.redis_link import Refusal
from bennu.adapters.redis_profile import profile
from bennu.core.surroundings import Admission
from bennu.ports.redis import Credential
from tests.contract.redis.servers import REAL, RealHands, program

SECRET, OTHER = "open-sesame", "shop-secret"


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealHands]:
    found = program(str(request.param))
    if found is None:
        pytest.skip(f"no {request.param} server is installed")
    hands = RealHands(found, tmp_path / "one", SECRET)
    yield hands
    hands.stop()


def as_user(hands: RealHands, name: str, password: str = OTHER) -> RedisOverSocket:
    return RedisOverSocket(RedisEndpoint("redis of cluster-blue", lambda: hands.address, lambda: password, username=name, timeout_s=3))


def test_a_fresh_server_refuses_nothing_that_the_hand_over_needs(real: RealHands) -> None:
    found = real.server.profile()
    assert found.refused == ()
    assert [user.name for user in found.users or ()] == ["default"]
    assert (found.modules, found.maxmemory_policy, found.notify_keyspace_events, found.databases) == ((), "noeviction", "", 16)


def test_trying_the_commands_runs_none_of_them(real: RealHands) -> None:
    before = real.server.observe()
    real.server.profile()
    after = real.server.observe()
    assert (after.is_master, after.replid, after.keys, after.offset) == (True, before.replid, before.keys, before.offset)
    assert real.write("not-paused", "1")


def test_what_a_user_may_not_do_is_named(real: RealHands) -> None:
    # Redis 6.2 has no rule that takes a subcommand away.
    subcommands = not isinstance(real.ask("ACL", "SETUSER", "weak", "-client|pause", "-config|rewrite"), Refusal)
    real.ask(
        "ACL", "SETUSER", "weak", "reset", "on", f">{OTHER}", "~app:*", "+@all", "-replicaof", *(["-client|pause", "-config|rewrite"] if subcommands else [])
    )
    refused = as_user(real, "weak").profile().refused
    assert set(refused) >= {"REPLICAOF (no permission)", *(["CLIENT PAUSE (no permission)", "CONFIG REWRITE (no permission)"] if subcommands else [])}
    # Nor can a key be tried there.
    assert any(one.startswith("SET (no permission for key") for one in refused) is subcommands
    assert not any(one.startswith(("CLIENT UNPAUSE", "CONFIG GET")) for one in refused)


def test_what_a_category_gives_is_not_taken_for_a_denial(real: RealHands) -> None:
    real.ask(
        "ACL",
        "SETUSER",
        "grouped",
        "on",
        f">{OTHER}",
        "~*",
        "-@all",
        "+@read",
        "+@write",
        "+@admin",
        "+@dangerous",
        "+@connection",
        "+@transaction",
        "+@pubsub",
        "+@slow",
        "+@fast",
    )
    assert as_user(real, "grouped").profile().refused == ()


def test_a_renamed_command_is_named(real: RealHands) -> None:
    real.stop()
    with (real.folder / "redis.conf").open("a") as conf:
        conf.write('rename-command REPLICAOF ""\nrename-command CONFIG hidden-config\n')
    real.start()
    refused = real.server.profile().refused
    assert {"REPLICAOF (renamed or disabled)", "CONFIG (renamed or disabled)"} <= set(refused)


def test_users_are_told_apart_by_login_and_by_rules_and_show_no_secret(real: RealHands) -> None:
    def shop() -> object:
        return next(user for user in real.server.profile().users or () if user.name == "shop")

    real.ask("ACL", "SETUSER", "shop", "on", f">{OTHER}", "~*", "+@all")
    first = shop()
    assert OTHER not in repr(first)
    real.ask("ACL", "SETUSER", "shop", "-flushall")
    ruled = shop()
    real.ask("ACL", "SETUSER", "shop", ">another-one")
    logged = shop()
    assert first != ruled != logged
    assert getattr(first, "login") == getattr(ruled, "login") != getattr(logged, "login")  # noqa: B009
    assert getattr(first, "rules") != getattr(ruled, "rules") == getattr(logged, "rules")  # noqa: B009


def test_rules_are_alike_in_whatever_order_a_server_lists_them_and_differ_where_they_mean_something_else(real: RealHands) -> None:
    def ruled(*rules: str) -> str:
        real.ask("ACL", "DELUSER", "shop")
        assert real.ask("ACL", "SETUSER", "shop", "on", f">{OTHER}", "~*", *rules) == "OK"
        return next(user.rules for user in real.server.profile().users or () if user.name == "shop")

    commands = ("+get", "+set", "+config|get", "+client|list", "+client|kill", "+mget", "+info", "+ping")
    assert ruled("-@all", *commands) == ruled("-@all", *reversed(commands))
    assert ruled("-@all", *commands) != ruled("-@all", *commands[1:])
    assert ruled("+@all", "-get", "-set") == ruled("+@all", "-set", "-get") != ruled("-get", "-set", "+@all")


def test_a_rule_on_a_command_and_those_on_its_subcommands_keep_their_order() -> None:
    def fingerprint(rules: str) -> str:
        return next(iter(profile([Refusal("NOPERM"), "bennu", [f"user shop on {rules}"], [], None, None, None], []).users or ())).rules

    assert fingerprint("-@all +config -config|set +get") == fingerprint("-@all +get +config -config|set")
    assert fingerprint("-@all +config -config|set") != fingerprint("-@all -config|set +config")
    assert fingerprint("+get (~app:* -@all +set +get)") == fingerprint("+get (~app:* -@all +get +set)") != fingerprint("+get +set (~app:* -@all +get)")


def test_a_replica_is_let_in_with_the_right_credential_alone(real: RealHands) -> None:
    assert real.server.trust() is None
    assert received(real, "", SECRET) is Admission.LET_IN
    assert received(real, "", "guessed-wrong") is Admission.WRONG_CREDENTIAL
    assert received(real, "", "") is Admission.WRONG_CREDENTIAL
    real.ask("ACL", "SETUSER", "replica", "on", f">{OTHER}", "+psync", "+replconf", "+ping")
    assert received(real, "replica", OTHER) is Admission.LET_IN
    assert received(real, "replica", SECRET) is Admission.WRONG_CREDENTIAL


def received(real: RealHands, user: str, password: str) -> Admission:
    return real.server.lets_in(Credential(user, password), None)


def test_a_server_without_tls_and_with_a_plain_password_has_nothing_that_ends(real: RealHands) -> None:
    assert real.server.expiries() == ()


def test_what_a_server_shows_to_its_master_is_read_back_and_never_printed(real: RealHands) -> None:
    assert real.server.credential_for_master() == Credential("", SECRET)
    assert SECRET not in repr(real.server.credential_for_master())
    real.ask("CONFIG", "SET", "masterauth", "")
    assert real.server.credential_for_master() == Credential("", "")
