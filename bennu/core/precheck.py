"""Whether the switchover (S6) may begin: everything that would break a hand-over, or the way back from it, refused by name and with what to do. Pure.

All of it is read without a client's notice. Pairs are (source, target).
"""

from __future__ import annotations

from dataclasses import replace

from bennu.core.surroundings import Surroundings
from bennu.core.switchover import Server
from bennu.core.verdict import Verdict, failed, opened, unknown, worst

_SIDES = ("source", "target")


def can_replicate(master: tuple[str, tuple[int, int]], replica: tuple[str, tuple[int, int]]) -> bool:
    """Whether *replica* ((flavour, version)) can be fed by *master*: an older replica can't read a newer RDB format.

    Measured: Valkey 9 does not feed Redis 6.2, the reverse works (facts.md). Same flavour: the replica must not be older. Redis up to 7.2 and Valkey share a
    format at 7.2, so Valkey can follow those; Redis can follow no Valkey newer than 7.2.
    """
    (m_flavour, m_version), (r_flavour, r_version) = master, replica
    if m_flavour == r_flavour:
        return r_version >= m_version
    if r_flavour == "valkey":
        return m_version <= (7, 2)
    return m_version <= (7, 2) and r_version >= m_version


def precheck(source: Server, target: Server, around: Surroundings, *, one_way: bool) -> Verdict:
    """May S6 begin? Each refusal names what to do. *one_way*: the operator accepts that a rollback after promotion may lose writes."""
    found = [*_roles(source, target, around), *_foreign_hands(around), *_permissions(around), *_alike(around), *_safety(around), *_versions(around, one_way)]
    found.append(_lag(around))
    verdict = worst(found)
    # All reasons in a row would fill the screen; what was accepted with open eyes is worth a word.
    accepted = [one.reason for one in found if one.is_open and one.reason.startswith("one way accepted")]
    return replace(verdict, reason="; ".join([f"{len(found)} conditions hold", *accepted, found[-1].reason])) if verdict.is_open else verdict


def _roles(source: Server, target: Server, around: Surroundings) -> list[Verdict]:
    return [
        opened("the source is master") if source.is_master else failed("the source is not a master"),
        failed("the target is a master already") if target.is_master else opened("the target is a replica"),
        opened("the target follows the source")
        if around.target_is_replica_of_source
        else failed("the target does not follow the source's mirror: run 'bennu rotate resume'"),
        # Ask both sides: Valkey shows online up to 0.9 s early, Redis 7 shows the link up to 1 s early (facts.md).
        opened("link up") if target.link_up and around.source_sees_online else _waiting("the replication link is not up on both sides yet"),
        opened("one history") if source.replid == target.replid else _waiting("source and target do not share one replid yet"),
        opened("replicas refuse writes")
        if all(around.read_only)
        else failed("replica-read-only is 'no' on one side: a fenced server would accept writes; set it to yes in the Redis configuration"),
    ]


def _foreign_hands(around: Surroundings) -> list[Verdict]:
    found = []
    if any(around.sentinels):
        found.append(
            failed(
                f"Sentinel watches the {_sides(around.sentinels)} and would undo the hand-over and lose writes: take it off there (SENTINEL REMOVE <name>, on every Sentinel),"
                " and MONITOR the new master afterwards"
            )
        )
    for owner in around.owners:
        found.append(
            failed(f"{owner} assigns roles itself and would undo the hand-over: take Redis out of its hands first, or keep this state outside the clusters")
        )
    if any(around.cluster_mode):
        found.append(failed("Redis Cluster mode is on: REPLICAOF is not allowed there, and Bennu cannot hand it over"))
    if around.other_replicas:
        found.append(failed(f"the source has other replicas ({', '.join(around.other_replicas)}): detach them first, or they would follow a fenced master"))
    return found or [opened("nobody else assigns roles")]


def _permissions(around: Surroundings) -> list[Verdict]:
    found = []
    for side, profile in zip(_SIDES, around.profiles, strict=True):
        if profile.refused:
            found.append(
                failed(
                    f"Redis of the {side} refuses commands that the hand-over needs: {', '.join(profile.refused)}; allow them for Bennu's user, under their own names"
                )
            )
    for side, other, lets_in in zip(_SIDES, reversed(_SIDES), around.lets_in, strict=True):
        if not lets_in:
            found.append(
                failed(
                    f"Redis of the {side} does not let the {other}'s in: set masterauth (and masteruser) of the {other} to what the {side} asks for, or the old master could not follow the new one"
                )
            )
    for words in around.expiring:
        found.append(failed(f"{words}: log in again, then go on"))
    return found or [opened("commands, credentials and permissions suffice")]


def _alike(around: Surroundings) -> list[Verdict]:
    """What apps rely on at the source must be so at the target. Compared, never changed."""
    source, target = around.profiles
    found = [*_users_alike(around)]
    lacking = sorted(set(source.modules) - set(target.modules))
    if lacking:
        found.append(failed(f"the target lacks modules of the source ({', '.join(lacking)}): load the same ones there"))
    for name, mine, its in (
        ("maxmemory-policy", source.maxmemory_policy, target.maxmemory_policy),
        ("notify-keyspace-events", _flags(source.notify_keyspace_events), _flags(target.notify_keyspace_events)),
    ):
        if mine != its:
            found.append(failed(f"{name} is {mine or 'empty'} at the source and {its or 'empty'} at the target: set the same on both"))
    if 0 < target.databases < source.databases:
        found.append(failed(f"the target has {target.databases} databases and the source {source.databases}: set databases of the target to at least that"))
    return found or [opened("users, modules and memory policy are alike")]


def _users_alike(around: Surroundings) -> list[Verdict]:
    source, target = (profile.users for profile in around.profiles)
    if source is None or target is None:
        return []  # ACL LIST is not allowed: said by ``refused`` where the hand-over needs it, and else a matter of the server's own security
    there = {user.name: user for user in target}
    # Rules are worded in each engine's and version's own way: compared only within one.
    same_words = (around.source_flavour, around.source_version) == (around.target_flavour, around.target_version)
    lacking = [user.name for user in source if user.name not in there]
    shared = [user for user in source if user.name in there]
    login = [user.name for user in shared if there[user.name].login != user.login and user.name not in around.own_logins]
    rules = [user.name for user in shared if same_words and there[user.name].rules != user.rules]
    found = []
    if lacking:
        found.append(
            failed(
                f"the target lacks users of the source ({', '.join(lacking)}): apps that log in as one would be refused after the switch; give it the same ACL"
            )
        )
    if login:
        found.append(failed(f"passwords of {', '.join(login)} differ between source and target: apps would be refused after the switch; give both the same"))
    if rules:
        found.append(failed(f"ACL rules of {', '.join(rules)} differ between source and target: give both the same"))
    return found


def _flags(text: str) -> str:
    """Keyspace events in any order; ``A`` stands for its letters."""
    return "".join(sorted(set(text.replace("A", "g$lshzxetd"))))


def _safety(around: Surroundings) -> list[Verdict]:
    verdicts = [
        opened("persistence on both")
        if all(around.persistent)
        else failed("one side has no persistence (AOF or RDB): a restart would empty both; turn appendonly on"),
        opened("configuration can be written")
        if all(around.rewritable)
        else failed(
            "a fence could not outlive a restart: Redis runs without a configuration file of its own (CONFIG REWRITE); start it with a file on its data volume"
        ),
        _waiting("a save or load is running") if any(around.busy) else opened("no save or load running"),
    ]
    if around.target_maxmemory and around.target_maxmemory < 1.2 * around.source_used_memory:
        verdicts.append(failed("the target's maxmemory is less than 1.2 times what the source uses: raise it"))
    return verdicts


def _versions(around: Surroundings, one_way: bool) -> list[Verdict]:
    source, target = (around.source_flavour, around.source_version), (around.target_flavour, around.target_version)
    if not can_replicate(source, target):
        return [failed(f"{_named(target)} cannot replicate {_named(source)}: give the target a version that is not older")]
    if one_way:
        return [opened("one way accepted: a rollback after promotion may lose writes")]
    if not can_replicate(target, source):
        return [
            failed(f"{_named(source)} could not follow {_named(target)} after the switch: a rollback could lose writes; --accept-one-way goes on all the same")
        ]
    if around.reverse_reachable is None:
        return [unknown("whether the source can reach the target is not known yet")]
    if not around.reverse_reachable:
        return [failed("the source cannot reach the target through the reverse link: mend the link, or --accept-one-way")]
    return [opened("versions and links fit both ways")]


def _lag(around: Surroundings) -> Verdict:
    if around.lag_bytes is None:
        return unknown("replication lag is unknown")
    if around.lag_bytes > around.max_lag_bytes:
        return _waiting(f"replication lag is {around.lag_bytes} bytes, at most {around.max_lag_bytes} is allowed")
    return opened(f"lag {around.lag_bytes} bytes")


def _waiting(reason: str) -> Verdict:
    return unknown(reason)


def _sides(values: tuple[object, object]) -> str:
    return " and the ".join(side for side, value in zip(_SIDES, values, strict=True) if value)


def _named(server: tuple[str, tuple[int, int]]) -> str:
    flavour, (major, minor) = server
    return f"{flavour} {major}.{minor}"
