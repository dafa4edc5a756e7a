"""S4 DATA_SYNCING: the target's Redis follows the source's through the mirror, until the lag gate has soaked.

The ``redis-init-sync`` Job makes it follow, from inside the target. The Job leaves Git again as soon as replication runs: were it still there when the target is
master, a recreated cluster or a pruned and re-applied Job would turn the master into a replica.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.disaster import AT, OFFSET
from bennu.core.gates import LagPoint, lag_soaked, link_ready
from bennu.core.invariants import blind_mirror
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, failed, opened, shut, unknown
from bennu.errors import GateRefused
from bennu.manifests import redis_sync_job
from bennu.phases.base import Effect, GateStep, Monitor, Pen, Phase, Seen, Step, World
from bennu.phases.kinds import ENDPOINTS, JOB, SERVICE, condition
from bennu.phases.mesh_linking import MONITOR as LINK_MONITOR
from bennu.phases.mesh_linking import mirror_name, view
from bennu.phases.reconciled import FluxStep
from bennu.ports.kubernetes import Ref
from bennu.ports.redis import Address, Observation, RedisServer
from bennu.ports.repository import Edit
from bennu.settings.state import TlsSettings

JOB_FILE = "redis-init-sync.yaml"
JOB_NAME = "redis-init-sync"


def mirror_address(world: World, importing: Colour, exporting: Colour) -> Address:
    """Where a Redis in *importing* reaches the one in *exporting*: the mirror Service by name, or (``replicate_via: endpoint``) its ready endpoint."""
    service, mirror = world.conf.redis[0].service, _mirror(world, exporting)
    if world.conf.redis[0].replicate_via == "service":
        return Address(f"{mirror.name}.{service.namespace}.svc.cluster.local", service.port)
    for found in _ready_endpoints(world, importing, mirror):
        return found
    raise GateRefused(f"mirror service {mirror.name} in {importing.cluster} has no ready address", next_step="'bennu clusters health' shows the link")


def is_mirror(world: World, address: Address | None, importing: Colour, exporting: Colour) -> bool | None:
    """Whether *address* leads from *importing* to *exporting*'s Redis through the mirror, by whichever of its names. None: its endpoints are not there to compare with."""
    service, mirror = world.conf.redis[0].service, _mirror(world, exporting)
    named = f"{mirror.name}.{service.namespace}.svc.cluster.local"
    names = {Address(name, service.port) for name in (mirror.name, f"{mirror.name}.{service.namespace}", named.removesuffix(".cluster.local"), named)}
    if address is None or Address(address.host.rstrip("."), address.port) in names:
        return address is not None
    live = world.systems.cluster(importing).get(Ref(SERVICE, mirror.name, service.namespace)) or {}
    ready = _ready_endpoints(world, importing, mirror)
    if address in (Address(str(live.get("spec", {}).get("clusterIP", "")), service.port), *ready):
        return True
    return False if ready else None


def _mirror(world: World, exporting: Colour) -> Ref:
    service = world.conf.redis[0].service
    return Ref(ENDPOINTS, mirror_name(world, service.name, exporting), service.namespace)


def _ready_endpoints(world: World, importing: Colour, mirror: Ref) -> list[Address]:
    found = world.systems.cluster(importing).get(mirror) or {}
    return [Address(str(one["ip"]), int(part["ports"][0]["port"])) for part in found.get("subsets") or [] for one in part.get("addresses") or []]


def write_sample(world: World, source: Observation) -> dict[str, str]:
    """The source's offset and the time, for the journal: should the source die, this tells how fast it wrote."""
    return {OFFSET: str(source.offset), AT: world.systems.clock.wall().isoformat(timespec="milliseconds")}


def follows_source(world: World) -> bool:
    """Whether the target replicates the source, link up, one history."""
    source, target = world.systems.redis(world.rotation.source).observe(), world.systems.redis(world.rotation.target).observe()
    return not target.is_master and target.link_up and target.replid == source.replid


class MasterAuth(Step):
    """Each server gets the other's credential as the one to show to its master: the target follows now, the source follows after the switchover."""

    id = "data-syncing.credentials"
    title = "both Redis servers may follow each other"

    def observe(self, world: World) -> Seen:
        """Never already: it is asked and set in one go, and setting twice is setting."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """``masterauth`` at both, where they ask for a password."""
        source, target = (world.systems.redis(colour) for colour in (world.rotation.source, world.rotation.target))
        _refuse_unfit(world, source, target)
        # Safe to repeat, and reaches no argument, log or commit: the values go over the servers' own connections.
        source.authenticate_as(target.credential())
        target.authenticate_as(source.credential())
        return Effect()

    def gate(self, world: World) -> Verdict:
        """The Blind Mirror rule: REPLICAOF names a mirror only while its Link is ready."""
        return blind_mirror(link_ready(view(world, world.rotation.target, world.rotation.source)))


def _refuse_unfit(world: World, *servers: RedisServer) -> None:
    """Found here and not after the promotion, when the old master could not follow the new one any more."""
    redis = world.conf.redis[0]
    for server in servers if redis.tls is not None else ():
        if not server.observe().tls_replication:
            raise GateRefused(f"{server.name} would not speak TLS to its master", next_step="set tls-replication yes in its configuration, in both clusters")
    if redis.auth is not None and redis.auth.same_on_both and len({server.credential() for server in servers}) > 1:
        raise GateRefused(
            f"{' and '.join(server.name for server in servers)} have different passwords, and redis[].auth.same_on_both says that they have one: "
            "whose clients know only their own cluster's could not write to the other",
            next_step="give both one password; or, where the clients' own credentials are good at both, write same_on_both: false",
        )


def _job_tls(tls: TlsSettings | None) -> redis_sync_job.JobTls | None:
    if tls is None:
        return None
    return redis_sync_job.JobTls(tls.ca_secret.partition("/")[2], tls.key, (tls.client_secret or "").partition("/")[2])


class InitSync(FluxStep):
    """The Job that makes the target a replica."""

    id = "data-syncing.init-sync"
    title = "the redis-init-sync Job"
    awaits = "the Job to end"
    subject = "Replicate Redis from {source} to {target}"
    why = "The Job issues REPLICAOF through the mirror from inside the target. It is removed again once replication runs."

    def observe(self, world: World) -> Seen:
        """Already so where the target follows."""
        if follows_source(world):
            return Seen(True, "the target replicates the source")
        return super().observe(world)

    def act(self, world: World, pen: Pen) -> Effect:
        """Refuse to turn a master that holds data into a replica; then commit the Job."""
        target = world.systems.redis(world.rotation.target).observe()
        if target.is_master and target.keys:
            raise GateRefused(
                f"the target's Redis is a master with {target.keys} keys: replicating would wipe them",
                next_step="empty it, or rotate to another colour",
            )
        return super().act(world, pen)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The Job's manifest."""
        redis = world.conf.redis[0]
        master = mirror_address(world, world.rotation.target, world.rotation.source)
        text = redis_sync_job.manifest(
            redis_sync_job.SyncJob(
                name=JOB_NAME,
                namespace=redis.service.namespace,
                image=redis.sync_image,
                host=f"{redis.service.name}.{redis.service.namespace}.svc.cluster.local",
                port=redis.service.port,
                master_host=master.host,
                master_port=master.port,
                secret=(redis.auth.secret or "").partition("/")[2] if redis.auth else "",
                secret_key=redis.auth.key if redis.auth else "",
                username=(redis.auth.username or "") if redis.auth else "",
                tls=_job_tls(redis.tls),
            )
        )
        return (Edit(world.path(world.rotation.target, JOB_FILE), text),)

    def then(self, world: World) -> Verdict:
        """The Job is complete, or has done its work already."""
        if follows_source(world):
            return opened("the target replicates the source")
        job = world.target.get(Ref(JOB, JOB_NAME, world.conf.redis[0].service.namespace))
        if job is None:
            return shut("the Job is not there yet")
        if condition(job, "Failed")[0] == "True":
            return failed(f"the Job failed: {condition(job, 'Failed')[1]}")
        return opened("the Job is complete") if condition(job, "Complete")[0] == "True" else shut("the Job has not ended")

    def forecast(self, world: World) -> str:
        """Addresses are known only once the link is up."""
        return f"commit the redis-init-sync Job to {world.rotation.target.cluster}: REPLICAOF the mirror of {world.rotation.source.cluster}"


class Follow(Step):
    """Where no Secret of the target's holds the password, no Job can show it: Bennu asks the target itself, over the connection that it has."""

    id = "data-syncing.follow"
    title = "the target follows the source"
    awaits = "replication to begin"

    def observe(self, world: World) -> Seen:
        """Already so where the target follows."""
        return Seen(follows_source(world), "the target replicates the source")

    def act(self, world: World, pen: Pen) -> Effect:
        """REPLICAOF, refused by the server's adapter where it would wipe keys."""
        # Safe to repeat: REPLICAOF to the master that it follows already changes nothing.
        world.systems.redis(world.rotation.target).replicate(mirror_address(world, world.rotation.target, world.rotation.source))
        return Effect()

    def gate(self, world: World) -> Verdict:
        """It follows."""
        return opened("the target replicates the source") if follows_source(world) else shut("the target does not follow the source yet")


class Replicating(GateStep):
    """Wait for the first synchronisation."""

    id = "data-syncing.replicating"
    title = "replication runs"
    awaits = "the replication link"

    def gate(self, world: World) -> Verdict:
        """Link up on the target, online at the source, one replid."""
        source, target = world.systems.redis(world.rotation.source).observe(), world.systems.redis(world.rotation.target).observe()
        if not source.is_master:
            return failed("the source's Redis is not a master")
        if target.sync_in_progress:
            return shut("the first synchronisation is running")
        if target.is_master or not target.link_up:
            return shut("the target's replication link is down")
        if target.replid != source.replid:
            return shut("the target has not taken the source's history over yet")
        if not any(replica.state == "online" for replica in source.replicas):
            return shut("the source does not list the target as online yet")
        return opened(f"{target.keys} keys, offset {target.offset}", ("keys", str(target.keys)))

    def timeout_s(self, policy: Policy) -> float:
        """The syncing timeout."""
        return policy.syncing_timeout_s


class RemoveJob(FluxStep):
    """Take the Job out of Git again."""

    id = "data-syncing.remove-job"
    title = "the Job leaves Git"
    subject = "Remove the redis-init-sync Job from {target}"
    why = "Replication runs; a Job that issues REPLICAOF must not be there when this Redis is master."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """Without the file."""
        path = world.path(world.rotation.target, JOB_FILE)
        return (Edit(path, None),) if world.systems.repository.read(path) is not None else ()


class Lag(GateStep):
    """Soak the lag gate."""

    id = "data-syncing.lag"
    title = "replication lag"
    awaits = "lag below the threshold without interruption"

    def __init__(self) -> None:
        self._points: list[LagPoint] = []

    def gate(self, world: World) -> Verdict:
        """Below the threshold for the whole soak."""
        self._points.append(lag_point(world))
        self._points = self._points[-10_000:]
        return lag_soaked(tuple(self._points), world.policy.max_lag_bytes, world.policy.lag_soak_s)

    def timeout_s(self, policy: Policy) -> float:
        """The syncing timeout."""
        return policy.syncing_timeout_s


def lag_point(world: World) -> LagPoint:
    """Sample S, then T, then S again: the true lag at T's moment lies between ``max(0, S0 − T)`` and ``S1 − T`` (facts.md: slaveN's offset is up to 1 s old)."""
    source, target = world.systems.redis(world.rotation.source), world.systems.redis(world.rotation.target)
    before, there, after = source.observe(), target.observe(), source.observe()
    return LagPoint(world.systems.clock.boot(), max(0, before.offset - there.offset), max(0, after.offset - there.offset))


def data_is_there(world: World) -> Verdict:
    """The source must not lose its data under the replication: lag 0 can be total loss (facts.md). Keys and replid are those of the last look, or better."""
    if not world.conf.redis:
        return opened("no data to lose: state lives outside the clusters")
    source = world.systems.redis(world.rotation.source).observe()
    if not source.is_master:
        return failed("the source's Redis is no longer a master")
    known = world.facts.get("source.replid", "")
    # A source that was fenced and made master again has a replid of its own and the known one behind it; one that restarted has lost it.
    if known and known not in (source.replid, source.replid2):
        return failed("the source's Redis has another history than at the start (it restarted, or was emptied): synchronise anew")
    if not source.aof and not source.rdb_save and world.conf.redis[0].persistence == "required":
        return unknown("the source's Redis has no persistence")
    return opened(f"{source.keys} keys at the source")


DATA_MONITOR = Monitor("the source's data", data_is_there)


class Remember(Step):
    """Note the source's history, so that a restart that empties it is seen.

    After the first replica has connected: a master without one takes a new replid when it makes its backlog for it (measured, Valkey 9.1).
    """

    id = "data-syncing.history"
    title = "the source's history noted"

    def observe(self, world: World) -> Seen:
        """Never already: what was noted in an earlier try is old."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """Note replid and key count."""
        source = world.systems.redis(world.rotation.source).observe()
        return Effect({"source.replid": source.replid, "source.keys": str(source.keys), **write_sample(world, source)})


def _steps(world: World) -> tuple[Step, ...]:
    if not world.conf.redis:
        return ()  # state lives outside the clusters: nothing to move
    auth = world.conf.redis[0].auth
    if auth is not None and auth.secret is None:
        return (MasterAuth(), Follow(), Replicating(), Remember(), Lag())
    return (MasterAuth(), InitSync(), Replicating(), Remember(), RemoveJob(), Lag())


PHASE = Phase(State.DATA_SYNCING, Event.REPLICATION_COMPLETE, _steps, monitors=(LINK_MONITOR,))
