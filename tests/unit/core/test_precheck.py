"""May the switchover begin? Each refusal by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bennu.core.expiry import Expiry
from bennu.core.precheck import can_replicate, conditions, precheck
from bennu.core.surroundings import Admission, Profile, Surroundings, User
from bennu.core.switchover import Server
from tests.unit.core.test_switchover import OPEN, REPLICA

SOUND = Surroundings(
    source_version=(9, 1),
    target_version=(9, 1),
    source_flavour="valkey",
    target_flavour="valkey",
    follows_mirror=True,
    source_sees_online=True,
    read_only=(True, True),
    persistent=(True, True),
    rewritable=(True, True),
    busy=(False, False),
    cluster_mode=(False, False),
    sentinels=(0, 0),
    source_replicas=("10.0.0.8:6379",),
    target_replicas=(),
    target_maxmemory=0,
    source_used_memory=1000,
    reverse_reachable=True,
    lag_bytes=0,
    max_lag_bytes=1024,
)


def with_profiles(source: Profile, target: Profile) -> Surroundings:
    return replace(SOUND, profiles=(source, target))


def test_sound_surroundings_open_the_pre_check() -> None:
    assert precheck(OPEN, REPLICA, SOUND, one_way=False).is_open


REFUSALS = {
    "Sentinel": replace(SOUND, sentinels=(1, 0)),
    "Cluster": replace(SOUND, cluster_mode=(True, False)),
    "the source has 2 replicas (10.0.0.8:6379, 10.0.0.9:6379)": replace(SOUND, source_replicas=("10.0.0.8:6379", "10.0.0.9:6379")),
    "the target has replicas of its own (10.0.0.7:6379)": replace(SOUND, target_replicas=("10.0.0.7:6379",)),
    "the target follows 10.0.0.9:6379, which is not the source's mirror": replace(SOUND, follows_mirror=False, target_master="10.0.0.9:6379"),
    "the target follows nobody": replace(SOUND, follows_mirror=False),
    "replica-read-only": replace(SOUND, read_only=(False, True)),
    "persistence": replace(SOUND, persistent=(True, False)),
    "CONFIG REWRITE": replace(SOUND, rewritable=(False, True)),
    "maxmemory": replace(SOUND, target_maxmemory=1100),
    "cannot replicate": replace(SOUND, target_flavour="redis", target_version=(6, 2)),
    "reverse link": replace(SOUND, reverse_reachable=False),
    "RedisFailover cache": replace(SOUND, owners=("RedisFailover cache (cluster-blue)",)),
    "CLIENT PAUSE (no permission)": with_profiles(Profile(refused=("CLIENT PAUSE (no permission)",)), Profile()),
    "Redis of the target refuses commands": with_profiles(Profile(), Profile(refused=("REPLICAOF (renamed or disabled)",))),
    "does not answer ACL LIST, MODULE LIST": with_profiles(Profile(unasked=("ACL LIST", "MODULE LIST"), users=None), Profile()),
    "allow Bennu's user +acl|dryrun": with_profiles(Profile(), Profile(unasked=("ACL DRYRUN",))),
    "masterauth (and masteruser) of the target": replace(SOUND, lets_in=(Admission.WRONG_CREDENTIAL, Admission.LET_IN)),
    "masterauth (and masteruser) of the source": replace(SOUND, lets_in=(Admission.LET_IN, Admission.WRONG_CREDENTIAL)),
    "in a TLS handshake with the source's authority": replace(SOUND, lets_in=(Admission.LET_IN, Admission.UNTRUSTED)),
    "in a TLS handshake with the target's authority": replace(SOUND, lets_in=(Admission.UNTRUSTED, Admission.LET_IN)),
    "Redis of the source would not speak TLS to its master": replace(SOUND, speaks_tls=(False, True)),
    "log in again": replace(SOUND, expiring=(Expiry("the credential of context blue", datetime(2026, 1, 1, 3, tzinfo=UTC), "log in again"),)),
    "lacks users of the source (shop)": with_profiles(
        Profile(users=(User("default", "a", "b"), User("shop", "a", "b"))), Profile(users=(User("default", "a", "b"),))
    ),
    "passwords of shop differ": with_profiles(Profile(users=(User("shop", "a", "b"),)), Profile(users=(User("shop", "x", "b"),))),
    "ACL rules of shop differ": with_profiles(Profile(users=(User("shop", "a", "b"),)), Profile(users=(User("shop", "a", "x"),))),
    "lacks modules of the source (search 20811)": with_profiles(Profile(modules=("search 20811",)), Profile()),
    "maxmemory-policy is allkeys-lru at the source and noeviction": with_profiles(
        Profile(maxmemory_policy="allkeys-lru"), Profile(maxmemory_policy="noeviction")
    ),
    "notify-keyspace-events is Ex at the source and empty": with_profiles(Profile(notify_keyspace_events="Ex"), Profile()),
    "16 databases and the source 32": with_profiles(Profile(databases=32), Profile(databases=16)),
}


# What may come by itself.
WAITS = {
    "link is not up": replace(SOUND, source_sees_online=False),
    "save or load is running at the source": replace(SOUND, busy=(True, False)),
    "lag is 2000 bytes": replace(SOUND, lag_bytes=2000),
    "lag is unknown": replace(SOUND, lag_bytes=None),
    "mirror has no ready address": replace(SOUND, follows_mirror=None),
    "is not known yet": replace(SOUND, reverse_reachable=None),
}
# Roles and histories: (source, target, whether it is a refusal).
STANDINGS = {
    "the source is not a master": (replace(OPEN, is_master=False), REPLICA, True),
    "the target is a master already": (OPEN, replace(REPLICA, is_master=True), True),
    "link is not up": (OPEN, replace(REPLICA, link_up=False), False),
    "do not share one replid": (OPEN, replace(REPLICA, replid="another"), False),
}


@pytest.mark.parametrize("words", REFUSALS)
def test_each_refusal_of_the_pre_check_fails_and_names_its_cause(words: str) -> None:
    verdict = precheck(OPEN, REPLICA, REFUSALS[words], one_way=False)
    assert verdict.failed
    assert words in verdict.reason


@pytest.mark.parametrize("words", WAITS)
def test_what_may_pass_keeps_the_pre_check_shut_without_failing_it(words: str) -> None:
    verdict = precheck(OPEN, REPLICA, WAITS[words], one_way=False)
    assert not verdict.is_open
    assert not verdict.failed
    assert words in verdict.reason


@pytest.mark.parametrize("words", STANDINGS)
def test_a_role_or_a_history_that_does_not_fit_is_named(words: str) -> None:
    source, target, fails = STANDINGS[words]
    verdict = precheck(source, target, SOUND, one_way=False)
    assert not verdict.is_open
    assert verdict.failed is fails
    assert words in verdict.reason


EVERY = [
    *(pytest.param(OPEN, REPLICA, around, id=f"around: {words}") for words, around in {**REFUSALS, **WAITS}.items()),
    *(pytest.param(source, target, SOUND, id=f"roles: {words}") for words, (source, target, _) in STANDINGS.items()),
]


@pytest.mark.parametrize(("source", "target", "around"), EVERY)
def test_whatever_does_not_hold_says_what_to_do_and_what_holds_says_nothing(source: Server, target: Server, around: Surroundings) -> None:
    found = conditions(source, target, around, one_way=False)
    shut = [one for one in found if not one.verdict.is_open]
    assert shut
    assert all(one.hint.strip() for one in shut)
    assert not any(one.hint for one in found if one.verdict.is_open)
    told = precheck(source, target, around, one_way=False)
    assert all(one.hint in told.reason for one in shut if one.verdict.failed == told.failed)


def test_an_engine_upgrade_goes_one_way_only_where_that_is_accepted() -> None:
    upgrade = replace(SOUND, source_flavour="redis", source_version=(7, 0))
    assert precheck(OPEN, REPLICA, upgrade, one_way=False).failed
    assert precheck(OPEN, REPLICA, upgrade, one_way=True).is_open


def test_an_older_replica_cannot_be_fed_by_a_newer_master() -> None:
    assert can_replicate(("redis", (6, 2)), ("redis", (7, 0)))
    assert not can_replicate(("redis", (7, 0)), ("redis", (6, 2)))
    assert not can_replicate(("valkey", (9, 1)), ("redis", (6, 2)))
    assert can_replicate(("redis", (6, 2)), ("valkey", (9, 1)))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Profile(notify_keyspace_events="AKE"), Profile(notify_keyspace_events="EKg$lshzxetd")),
        (Profile(modules=()), Profile(modules=("search 20811",))),
        (Profile(users=()), Profile(users=(User("later", "a", "b"),))),
    ],
)
def test_what_harms_no_app_is_not_refused(source: Profile, target: Profile) -> None:
    assert precheck(OPEN, REPLICA, with_profiles(source, target), one_way=False).is_open


def test_rules_are_not_compared_between_engines_that_word_them_differently() -> None:
    users = (Profile(users=(User("shop", "a", "b"),)), Profile(users=(User("shop", "a", "x"),)))
    upgrade = replace(SOUND, source_flavour="redis", source_version=(7, 0), profiles=users)
    assert precheck(OPEN, REPLICA, upgrade, one_way=True).is_open


def test_passwords_that_may_differ_are_not_compared_while_users_and_rules_still_are() -> None:
    source = Profile(users=(User("default", "a", "b"), User("shop", "a", "b")))
    declared = replace(SOUND, own_logins=frozenset({"default"}))
    assert precheck(
        OPEN, REPLICA, replace(declared, profiles=(source, Profile(users=(User("default", "x", "b"), User("shop", "a", "b"))))), one_way=False
    ).is_open
    for users, words in (
        ((User("default", "x", "b"), User("shop", "x", "b")), "passwords of shop differ"),
        ((User("default", "x", "b"),), "lacks users of the source (shop)"),
        ((User("default", "x", "y"), User("shop", "a", "b")), "ACL rules of default differ"),
    ):
        verdict = precheck(OPEN, REPLICA, replace(declared, profiles=(source, Profile(users=users))), one_way=False)
        assert verdict.failed
        assert words in verdict.reason
