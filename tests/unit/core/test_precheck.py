"""May the switchover begin? Each refusal by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bennu.core.precheck import can_replicate, precheck
from bennu.core.surroundings import Profile, Surroundings, User
from tests.unit.core.test_switchover import OPEN, REPLICA

SOUND = Surroundings(
    source_version=(9, 1),
    target_version=(9, 1),
    source_flavour="valkey",
    target_flavour="valkey",
    target_is_replica_of_source=True,
    source_sees_online=True,
    read_only=(True, True),
    persistent=(True, True),
    rewritable=(True, True),
    busy=(False, False),
    cluster_mode=(False, False),
    sentinels=(0, 0),
    other_replicas=(),
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
    "other replicas": replace(SOUND, other_replicas=("10.0.0.9:6379",)),
    "replica-read-only": replace(SOUND, read_only=(False, True)),
    "persistence": replace(SOUND, persistent=(True, False)),
    "CONFIG REWRITE": replace(SOUND, rewritable=(False, True)),
    "maxmemory": replace(SOUND, target_maxmemory=1100),
    "cannot replicate": replace(SOUND, target_flavour="redis", target_version=(6, 2)),
    "reverse link": replace(SOUND, reverse_reachable=False),
    "RedisFailover cache": replace(SOUND, owners=("RedisFailover cache (cluster-blue)",)),
    "CLIENT PAUSE (no permission)": with_profiles(Profile(refused=("CLIENT PAUSE (no permission)",)), Profile()),
    "Redis of the target refuses commands": with_profiles(Profile(), Profile(refused=("REPLICAOF (renamed or disabled)",))),
    "masterauth (and masteruser) of the target": replace(SOUND, lets_in=(False, True)),
    "masterauth (and masteruser) of the source": replace(SOUND, lets_in=(True, False)),
    "log in again": replace(SOUND, expiring=("the credential of context blue ends 03:00:00Z",)),
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


@pytest.mark.parametrize("words", REFUSALS)
def test_each_refusal_of_the_pre_check_fails_and_names_its_cause(words: str) -> None:
    verdict = precheck(OPEN, REPLICA, REFUSALS[words], one_way=False)
    assert verdict.failed
    assert words in verdict.reason


@pytest.mark.parametrize(
    "around",
    [
        replace(SOUND, source_sees_online=False),
        replace(SOUND, busy=(True, False)),
        replace(SOUND, lag_bytes=2000),
        replace(SOUND, lag_bytes=None),
        replace(SOUND, reverse_reachable=None),
    ],
)
def test_what_may_pass_keeps_the_pre_check_shut_without_failing_it(around: Surroundings) -> None:
    verdict = precheck(OPEN, REPLICA, around, one_way=False)
    assert not verdict.is_open
    assert not verdict.failed


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
        (Profile(users=None), Profile(users=(User("shop", "a", "b"),))),
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
