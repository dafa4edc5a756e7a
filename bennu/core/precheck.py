"""Whether the switchover (S6) may begin: everything that would break a hand-over, or the way back from it, refused by name and with what to do. Pure.

All of it is read without a client's notice. Pairs are (source, target).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bennu.core.surroundings import Admission, Surroundings
from bennu.core.switchover import Server
from bennu.core.verdict import Verdict, failed, opened, unknown, worst

_SIDES = ("source", "target")


@dataclass(frozen=True)
class Condition:
    """One condition of S6: how it stands, and what to do where it does not hold (empty where it does)."""

    verdict: Verdict
    hint: str = ""


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
    """May S6 begin? Each refusal, and each wait, names what to do. *one_way*: the operator accepts that a rollback after promotion may lose writes."""
    found = conditions(source, target, around, one_way=one_way)
    verdict = worst(one.verdict if one.verdict.is_open else replace(one.verdict, reason=f"{one.verdict.reason}: {one.hint}") for one in found)
    # All reasons in a row would fill the screen; what was accepted with open eyes is worth a word.
    accepted = [one.verdict.reason for one in found if one.verdict.reason.startswith("one way accepted")]
    last = found[-1].verdict.reason
    return replace(verdict, reason="; ".join([f"{len(found)} conditions hold", *accepted, last])) if verdict.is_open else verdict


def conditions(source: Server, target: Server, around: Surroundings, *, one_way: bool) -> list[Condition]:
    """Every condition by itself, the lag last."""
    return [
        *_roles(source, target, around),
        *_foreign_hands(around),
        *_permissions(around),
        *_alike(around),
        *_safety(around),
        *_versions(around, one_way),
        _lag(around),
    ]


def _holds(reason: str) -> Condition:
    return Condition(opened(reason))


def _refused(reason: str, hint: str) -> Condition:
    """No waiting will mend it."""
    return Condition(failed(reason), hint)


def _waiting(reason: str, hint: str) -> Condition:
    """It may come by itself; *hint* for where it does not."""
    return Condition(unknown(reason), hint)


def _roles(source: Server, target: Server, around: Surroundings) -> list[Condition]:
    return [
        _holds("the source is master")
        if source.is_master
        else _refused(
            "the source is not a master",
            "find who re-pointed it ('bennu rotate status --why' has Bennu's own acts), and make it one again only where no other server is one",
        ),
        _refused(
            "the target is a master already",
            "find who promoted it, keep what was written there (redis-cli --rdb), then make it the source's replica again, which throws that away",
        )
        if target.is_master
        else _holds("the target is a replica"),
        _following(around),
        # Ask both sides: Valkey shows online up to 0.9 s early, Redis 7 shows the link up to 1 s early (facts.md).
        _holds("link up")
        if target.link_up and around.source_sees_online
        else _waiting(
            "the replication link is not up on both sides yet", "'bennu clusters health' shows the mesh link, the target's log why it does not connect"
        ),
        _holds("one history")
        if source.replid == target.replid
        else _waiting("source and target do not share one replid yet", "the target synchronises anew; its log says how far it is"),
        _holds("replicas refuse writes")
        if all(around.read_only)
        else _refused("replica-read-only is 'no' on one side: a fenced server would accept writes", "set it to yes in the Redis configuration"),
    ]


def _following(around: Surroundings) -> Condition:
    """Of whom the target is a replica: a chain behind another replica has the same replid, and would be cut off by the fence."""
    if around.follows_mirror:
        return _holds("the target follows the source")
    if around.follows_mirror is None:
        return _waiting("the source's mirror has no ready address to compare the target's master with", "'bennu clusters health' shows the mesh link")
    return _refused(
        f"the target follows {around.target_master or 'nobody'}, which is not the source's mirror", "make it follow the mirror (REPLICAOF), then go on"
    )


def _foreign_hands(around: Surroundings) -> list[Condition]:
    found = []
    if any(around.sentinels):
        found.append(
            _refused(
                f"Sentinel watches the {_sides(around.sentinels)} and would undo the hand-over and lose writes",
                "take it off there (SENTINEL REMOVE <name>, on every Sentinel), and MONITOR the new master afterwards",
            )
        )
    for owner in around.owners:
        found.append(
            _refused(f"{owner} assigns roles itself and would undo the hand-over", "take Redis out of its hands first, or keep this state outside the clusters")
        )
    if any(around.cluster_mode):
        found.append(
            _refused(
                f"Redis Cluster mode is on at the {_sides(around.cluster_mode)}: REPLICAOF is not allowed there",
                "run it with cluster-enabled no, or keep this state outside the clusters (redis: [])",
            )
        )
    if len(around.source_replicas) > 1:
        found.append(
            _refused(
                f"the source has {len(around.source_replicas)} replicas ({', '.join(around.source_replicas)})",
                "detach those that are not the target first, or they would follow a fenced master",
            )
        )
    if around.target_replicas:
        found.append(
            _refused(
                f"the target has replicas of its own ({', '.join(around.target_replicas)})",
                "detach them first: whoever assigns their roles knows nothing of the hand-over",
            )
        )
    return found or [_holds("nobody else assigns roles")]


def _permissions(around: Surroundings) -> list[Condition]:
    found = []
    for side, profile in zip(_SIDES, around.profiles, strict=True):
        if profile.refused:
            found.append(
                _refused(
                    f"Redis of the {side} refuses commands that the hand-over needs: {', '.join(profile.refused)}",
                    "allow them for Bennu's user, under their own names",
                )
            )
        if profile.unasked:
            rights = " ".join(f"+{one.lower().replace(' ', '|')}" for one in profile.unasked)
            found.append(
                _refused(
                    f"Redis of the {side} does not answer {', '.join(profile.unasked)}: its users, modules and rights cannot be compared",
                    f"allow Bennu's user {rights}, under their own names",
                )
            )
    for side, other, admission in zip(_SIDES, reversed(_SIDES), around.lets_in, strict=True):
        if admission is not Admission.LET_IN:
            found.append(_shut_out(side, other, admission))
    if not all(around.speaks_tls):
        dumb = _sides((not around.speaks_tls[0], not around.speaks_tls[1]))
        found.append(_refused(f"Redis of the {dumb} would not speak TLS to its master", "set tls-replication yes in its configuration"))
    found += [_refused(one.words(), one.renew) for one in around.expiring]
    return found or [_holds("commands, credentials and permissions suffice")]


def _shut_out(side: str, other: str, admission: Admission) -> Condition:
    if admission is Admission.UNTRUSTED:
        return _refused(
            f"Redis of the {side} refuses, or is refused, in a TLS handshake with the {other}'s authority and certificate",
            "let each side's tls-ca-cert-file, and the Secret of redis[].tls.ca_secret, hold the other's authority, too",
        )
    return _refused(
        f"Redis of the {side} does not let the {other}'s in",
        f"set masterauth (and masteruser) of the {other} to what the {side} asks for, or the old master could not follow the new one",
    )


def _alike(around: Surroundings) -> list[Condition]:
    """What apps rely on at the source must be so at the target. Compared, never changed."""
    source, target = around.profiles
    found = [*_users_alike(around)]
    lacking = sorted(set(source.modules) - set(target.modules))
    if lacking:
        found.append(_refused(f"the target lacks modules of the source ({', '.join(lacking)})", "load the same ones there"))
    for name, mine, its in (
        ("maxmemory-policy", source.maxmemory_policy, target.maxmemory_policy),
        ("notify-keyspace-events", _flags(source.notify_keyspace_events), _flags(target.notify_keyspace_events)),
    ):
        if mine != its:
            found.append(_refused(f"{name} is {mine or 'empty'} at the source and {its or 'empty'} at the target", "set the same on both"))
    if 0 < target.databases < source.databases:
        found.append(_refused(f"the target has {target.databases} databases and the source {source.databases}", "set databases of the target to at least that"))
    return found or [_holds("users, modules and memory policy are alike")]


def _users_alike(around: Surroundings) -> list[Condition]:
    source, target = (profile.users for profile in around.profiles)
    if source is None or target is None:
        return []  # refused already: ``Profile.unasked``
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
            _refused(
                f"the target lacks users of the source ({', '.join(lacking)}): apps that log in as one would be refused after the switch",
                "give it the same ACL",
            )
        )
    if login:
        found.append(
            _refused(f"passwords of {', '.join(login)} differ between source and target: apps would be refused after the switch", "give both the same")
        )
    if rules:
        found.append(_refused(f"ACL rules of {', '.join(rules)} differ between source and target", "give both the same"))
    return found


def _flags(text: str) -> str:
    """Keyspace events in any order; ``A`` stands for its letters."""
    return "".join(sorted(set(text.replace("A", "g$lshzxetd"))))


def _safety(around: Surroundings) -> list[Condition]:
    found = [
        _holds("persistence on both")
        if all(around.persistent)
        else _refused("one side has no persistence (AOF or RDB): a restart would empty both", "turn appendonly on"),
        _holds("configuration can be written")
        if all(around.rewritable)
        else _refused(
            "a fence could not outlive a restart: Redis runs without a configuration file of its own (CONFIG REWRITE)",
            "start it with a file on its data volume, or write fence.persists_by: manifest",
        ),
        _waiting(f"a save or load is running at the {_sides(around.busy)}", "it ends by itself; INFO persistence shows how far it is")
        if any(around.busy)
        else _holds("no save or load running"),
    ]
    if around.target_maxmemory and around.target_maxmemory < 1.2 * around.source_used_memory:
        found.append(_refused("the target's maxmemory is less than 1.2 times what the source uses", "raise it"))
    return found


def _versions(around: Surroundings, one_way: bool) -> list[Condition]:
    source, target = (around.source_flavour, around.source_version), (around.target_flavour, around.target_version)
    if not can_replicate(source, target):
        return [_refused(f"{_named(target)} cannot replicate {_named(source)}", "give the target a version that is not older")]
    if one_way:
        return [_holds("one way accepted: a rollback after promotion may lose writes")]
    if not can_replicate(target, source):
        return [
            _refused(
                f"{_named(source)} could not follow {_named(target)} after the switch: a rollback could lose writes", "--accept-one-way goes on all the same"
            )
        ]
    if around.reverse_reachable is None:
        return [_waiting("whether the source can reach the target is not known yet", "'bennu clusters health' shows the reverse link")]
    if not around.reverse_reachable:
        return [_refused("the source cannot reach the target through the reverse link", "mend the link ('bennu clusters health'), or --accept-one-way")]
    return [_holds("versions and links fit both ways")]


def _lag(around: Surroundings) -> Condition:
    if around.lag_bytes is None:
        return _waiting("replication lag is unknown", "see whether both servers answer: 'bennu status'")
    if around.lag_bytes > around.max_lag_bytes:
        return _waiting(
            f"replication lag is {around.lag_bytes} bytes, at most {around.max_lag_bytes} is allowed",
            "it falls when the writers slow down or the link gets faster; 'bennu status --watch' shows it",
        )
    return _holds(f"lag {around.lag_bytes} bytes")


def _sides(values: tuple[object, object]) -> str:
    return " and the ".join(side for side, value in zip(_SIDES, values, strict=True) if value)


def _named(server: tuple[str, tuple[int, int]]) -> str:
    flavour, (major, minor) = server
    return f"{flavour} {major}.{minor}"
