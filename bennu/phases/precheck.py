"""S6's pre-check: reads everything that ``core.precheck`` decides by. No client notices, and nothing is changed."""

from __future__ import annotations

from datetime import timedelta

from bennu.core.clusters import Colour
from bennu.core.expiry import Expiry, too_soon
from bennu.core.gates import link_ready
from bennu.core.precheck import precheck
from bennu.core.surroundings import Surroundings
from bennu.core.verdict import Answer, Verdict, failed, opened, worst
from bennu.phases.base import GateStep, World
from bennu.phases.critical_servers import server
from bennu.phases.data_syncing import is_mirror, lag_point
from bennu.phases.fence_manifest import may_arm
from bennu.phases.flipped_variant import rolls_nothing
from bennu.phases.flux_pace import pace, still_waited_for
from bennu.phases.mesh_linking import view
from bennu.phases.operators import role_givers
from bennu.phases.reconciled import answered, applied, hurry
from bennu.phases.redis_pod import by_manifest, rewrite_outlives
from bennu.phases.room import room
from bennu.ports.redis import Credential, Observation


class Precheck(GateStep):
    """May it begin? No client notices."""

    id = "switchover-locked.precheck"
    title = "the pre-check"
    awaits = "every precondition of the switchover"

    def __init__(self) -> None:
        self._hurried: dict[Colour, tuple[str, float]] = {}
        self._took: dict[Colour, float] = {}

    def gate(self, world: World) -> Verdict:
        """Flux at our commit and answering in both clusters; then roles, histories, links both ways, persistence, permissions, lag, foreign hands."""
        disk = room(world)
        if not disk.is_open:
            return disk
        flux = worst([self._flux(world, colour) for colour in (world.rotation.source, world.rotation.target)])
        return self._servers(world) if flux.is_open else flux

    def glance(self, world: World) -> Verdict:
        """Without Flux' pace, which is measured by asking something of it."""
        flux = worst([applied(world, colour) for colour in (world.rotation.source, world.rotation.target)])
        return self._servers(world) if flux.is_open else flux

    def _servers(self, world: World) -> Verdict:
        if not world.conf.redis:
            ending = _expiring(world)
            return (
                failed("; ".join(f"{one.words()}: {one.renew}" for one in ending))
                if ending
                else opened("no Redis in the clusters: the pointer alone is handed over")
            )
        source, target = (world.systems.redis(colour).observe() for colour in (world.rotation.source, world.rotation.target))
        outlives = worst([rewrite_outlives(world, (world.rotation.source, source), (world.rotation.target, target)), may_arm(world)])
        outlives = worst([outlives, rolls_nothing(world, world.rotation.source, world.rotation.target)])
        found = precheck(server(source), server(target), _around(world, source, target), one_way="accept-one-way" in world.rotation.options)
        return found if outlives.is_open else worst([found, outlives])

    def _flux(self, world: World, colour: Colour) -> Verdict:
        """Asked to reconcile, it answers in time: the commit that flips both clusters is not left to a Flux that has been silent, or slow, for who knows how long."""
        if colour not in self._hurried:
            self._hurried[colour] = (hurry(world, colour), world.systems.clock.boot())
        if colour not in self._took:
            token, begin = self._hurried[colour]
            found = answered(world, colour, token)
            found = applied(world, colour) if found.is_open else found
            if not found.is_open:
                return still_waited_for(world, found, begin)
            self._took[colour] = world.systems.clock.boot() - begin
        return worst([applied(world, colour), pace(world, colour, self._took[colour])])


def _around(world: World, source: Observation, target: Observation) -> Surroundings:
    here, there = (world.systems.redis(colour) for colour in (world.rotation.source, world.rotation.target))
    shown = here.credential_for_master(), there.credential_for_master()
    reverse = link_ready(view(world, world.rotation.source, world.rotation.target))
    return Surroundings(
        source_version=_version(source.version),
        target_version=_version(target.version),
        source_flavour=source.flavour,
        target_flavour=target.flavour,
        follows_mirror=is_mirror(world, target.master, world.rotation.target, world.rotation.source),
        source_sees_online=any(replica.state == "online" for replica in source.replicas),
        read_only=(source.read_only_replica, target.read_only_replica),
        persistent=(source.aof or source.rdb_save, target.aof or target.rdb_save),
        rewritable=(bool(source.config_file) or by_manifest(world), bool(target.config_file) or by_manifest(world)),
        busy=(source.saving_or_loading, target.saving_or_loading),
        cluster_mode=(source.cluster_mode, target.cluster_mode),
        sentinels=(source.sentinels, target.sentinels),
        source_replicas=tuple(str(replica.address) for replica in source.replicas),
        target_replicas=tuple(str(replica.address) for replica in target.replicas),
        target_maxmemory=target.maxmemory,
        source_used_memory=source.used_memory,
        reverse_reachable=None if reverse.answer is Answer.UNKNOWN else reverse.is_open,
        lag_bytes=lag_point(world).lower,
        max_lag_bytes=world.policy.max_lag_bytes,
        owners=tuple(owner for colour in (world.rotation.source, world.rotation.target) for owner in role_givers(world, colour)),
        profiles=(here.profile(), there.profile()),
        lets_in=(here.lets_in(shown[1], there.trust()), there.lets_in(shown[0], here.trust())),
        speaks_tls=(source.tls_replication or world.conf.redis[0].tls is None, target.tls_replication or world.conf.redis[0].tls is None),
        expiring=_expiring(world),
        target_master=str(target.master or ""),
        own_logins=_own_logins(world, shown),
    )


def _own_logins(world: World, shown: tuple[Credential, Credential]) -> frozenset[str]:
    """The users that each server has for itself where ``same_on_both`` is false: its default user, Bennu's, and the one that replicas log in as. The apps' own are good at both."""
    auth = world.conf.redis[0].auth
    if auth is None or auth.same_on_both:
        return frozenset()
    return frozenset({"default", auth.username or "default", *(one.username or "default" for one in shown)})


def _expiring(world: World) -> tuple[Expiry, ...]:
    """What ends before the switchover would at the latest: Kubernetes' credentials (those renewed that a plugin renews), Redis' certificates, the login that its password is read by."""
    until = world.systems.clock.wall() + timedelta(seconds=world.policy.switchover_timeout_s)
    found: list[Expiry] = []
    for colour in (world.rotation.source, world.rotation.target):
        cluster = world.systems.cluster(colour)
        end = cluster.credential_expiry(until)
        if end is not None:
            found.append(Expiry(f"the credential of context {cluster.context}", end, "log in again, then go on"))
        if world.conf.redis:
            found += world.systems.redis(colour).expiries()
    return too_soon(found, until)


def _version(text: str) -> tuple[int, int]:
    major, _, rest = text.partition(".")
    return int(major or 0), int(rest.partition(".")[0] or 0)
