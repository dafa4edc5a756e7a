"""Taking a cluster down without hurting the one that stays: the second half of DRAINING, of every rollback, and of ``rotate cleanup``.

The order is the point. Links first, by exported label, then Link, then Secrets (deleting only the Link leaves the mirrors, facts.md). Flux suspended, so that nothing
comes back; then load balancers and volumes, awaited, since removing the directory alone prunes nothing and an infrastructure tool hangs on what they hold; then Git;
then the infrastructure. The doomed cluster may be dead or half-made: what cannot be asked is passed over and said.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, opened, shut
from bennu.errors import DependencyDown, OperatorNeeded, UsageError
from bennu.phases.base import Effect, GitStep, Pen, Seen, Step, World
from bennu.phases.kinds import (
    EXPORTED,
    FLUX_RECONCILE,
    GIT_REPOSITORY,
    KUSTOMIZATION,
    LINK,
    MIRROR_OF,
    PVC,
    RESOURCESET,
    SECRET,
    SERVICE,
    STATEFULSET,
    name_of,
    namespace_of,
    ref_of,
)
from bennu.phases.mesh_linking import link_name, link_path
from bennu.phases.reconciled import applied, hurry
from bennu.ports.kubernetes import Json, Kubernetes, Ref
from bennu.ports.repository import Edit


class Doomed:
    """Which of the two is taken down. A mix-in: ``doomed`` and ``staying`` as seen by the rotation."""

    def __init__(self, prefix: str, *, source: bool) -> None:
        self.id = f"{prefix}.{self.noun}"
        self._source = source

    noun: str = ""

    def doomed(self, world: World) -> Colour:
        """The cluster that goes."""
        return world.rotation.source if self._source else world.rotation.target

    def staying(self, world: World) -> Colour:
        """The cluster that stays."""
        return world.rotation.target if self._source else world.rotation.source

    def alive(self, world: World) -> Kubernetes | None:
        """The doomed cluster if it answers; None where it is dead or was never there."""
        try:
            cluster = world.systems.cluster(self.doomed(world))
            cluster.version()
        except (DependencyDown, UsageError):
            return None
        return cluster


class Unexport(Doomed, Step):
    """The doomed cluster exports nothing any more; the other side's controller then removes the mirrors itself."""

    noun = "unexport"
    title = "the doomed cluster's services are no longer exported"

    def observe(self, world: World) -> Seen:
        """Already so where nothing is exported."""
        return Seen(not self._exported(world), "nothing is exported")

    def act(self, world: World, pen: Pen) -> Effect:
        """Take the label off, with Flux held off these Services."""
        cluster = self.alive(world)
        for service in self._exported(world):
            change = {"metadata": {"labels": {EXPORTED: None}, "annotations": {FLUX_RECONCILE: "disabled"}}}
            # Safe to repeat: a label that is gone stays gone.
            if cluster is not None:
                cluster.patch(ref_of(service), change)
        return Effect()

    def gate(self, world: World) -> Verdict:
        """Nothing exported any more."""
        left = self._exported(world)
        return shut(f"{len(left)} services still exported") if left else opened("nothing is exported")

    def _exported(self, world: World) -> tuple[Json, ...]:
        cluster = self.alive(world)
        return () if cluster is None else cluster.list(SERVICE, labels=f"{EXPORTED}=true")


class Unlink(Doomed, GitStep):
    """The Links leave Git, on both sides."""

    noun = "unlink"
    title = "the Links are removed"
    subject = "Unlink {source} and {target}"
    why = "One of the two is about to be taken down."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """Both files, where they are."""
        pairs = ((self.staying(world), self.doomed(world)), (self.doomed(world), self.staying(world)))
        paths = [link_path(world, importing, exporting) for importing, exporting in pairs]
        return tuple(Edit(path, None) for path in paths if world.systems.repository.read(path) is not None)

    def gate(self, world: World) -> Verdict:
        """The Link is gone from the cluster that stays."""
        staying = world.systems.cluster(self.staying(world))
        hurry(world, self.staying(world))
        found = applied(world, self.staying(world))
        if not found.is_open:
            return found
        ref = Ref(LINK, link_name(world, self.doomed(world)), world.conf.mesh.multicluster_namespace)
        return shut("the Link is still there") if staying.get(ref) is not None else opened("the Link is gone")


class Sweep(Doomed, Step):
    """Mirrors and Secrets that outlive their Link are deleted by label: with the other side dead, nobody else does it."""

    noun = "sweep"
    title = "mirrors and link credentials are removed"

    def observe(self, world: World) -> Seen:
        """Already so where nothing is left."""
        return Seen(not self._left(world), "nothing is left")

    def act(self, world: World, pen: Pen) -> Effect:
        """Delete them."""
        staying = world.systems.cluster(self.staying(world))
        left = self._left(world)
        for ref in left:
            # Safe to repeat: they belong to a Link that is gone; deleting what is gone is no error.
            staying.delete(ref)
        return Effect({"swept": str(len(left))})

    def gate(self, world: World) -> Verdict:
        """Nothing left."""
        left = self._left(world)
        return shut(f"{len(left)} left: {left[0]}") if left else opened("no mirror and no credential is left")

    def _left(self, world: World) -> list[Ref]:
        staying, name = world.systems.cluster(self.staying(world)), link_name(world, self.doomed(world))
        found = [ref_of(service) for service in staying.list(SERVICE, labels=f"{MIRROR_OF}={name}")]
        for namespace in (world.conf.mesh.multicluster_namespace, world.conf.mesh.namespace):
            ref = Ref(SECRET, f"cluster-credentials-{name}", namespace)
            if staying.get(ref) is not None:
                found.append(ref)
        return found


class SuspendFlux(Doomed, Step):
    """Flux on the doomed cluster stops, so that nothing that is deleted comes back."""

    noun = "suspend-flux"
    title = "Flux on the doomed cluster is suspended"

    def observe(self, world: World) -> Seen:
        """Already so where all is suspended, or the cluster does not answer."""
        cluster = self.alive(world)
        return Seen(cluster is None or not _running(world, cluster), "suspended" if cluster else "the cluster does not answer")

    def act(self, world: World, pen: Pen) -> Effect:
        """Suspend sources and Kustomizations, disable ResourceSets (they have no suspend field)."""
        cluster = self.alive(world)
        for obj in _running(world, cluster) if cluster else ():
            disabled = {"metadata": {"annotations": {"fluxcd.controlplane.io/reconcile": "disabled"}}}
            # Safe to repeat: suspending twice is suspending.
            if cluster is not None:
                cluster.patch(ref_of(obj), disabled if obj.get("kind") == "ResourceSet" else {"spec": {"suspend": True}})
        return Effect()


def _running(world: World, cluster: Kubernetes) -> tuple[Json, ...]:
    namespace = world.conf.flux.namespace
    found = [one for kind in (RESOURCESET, KUSTOMIZATION, GIT_REPOSITORY) for one in cluster.list(kind, namespace=namespace)]

    def runs(one: Json) -> bool:
        if one.get("kind") == "ResourceSet":
            return (one["metadata"].get("annotations") or {}).get("fluxcd.controlplane.io/reconcile") != "disabled"
        return not one.get("spec", {}).get("suspend")

    return tuple(one for one in found if runs(one))


class Resources(Doomed, Step):
    """Load balancers and volumes go while their controllers still live; otherwise they stay in the cloud account, or hang the destroy."""

    noun = "resources"
    title = "load balancers and volumes are released"
    awaits = "the cloud to release load balancers and volumes"

    def observe(self, world: World) -> Seen:
        """Already so where none is left, or the cluster does not answer."""
        cluster = self.alive(world)
        return Seen(
            cluster is None or not _holding(cluster), "none is left" if cluster else "the cluster does not answer: check the cloud account for what it left"
        )

    def act(self, world: World, pen: Pen) -> Effect:
        """Delete LoadBalancer Services; delete StatefulSets, whose pods protect their claims, then the claims."""
        cluster = self.alive(world)
        if cluster is None:
            return Effect()
        _refuse_master(world, self.doomed(world))
        for service in _balancers(cluster):
            # Safe to repeat, and safe at all: the cluster holds no authority (refused above) and its DNS record names another.
            cluster.delete(ref_of(service))
        claims = cluster.list(PVC)
        for workload in cluster.list(STATEFULSET) if claims else ():
            cluster.delete(ref_of(workload))
        for claim in claims:
            cluster.delete(ref_of(claim))
        return Effect({"released.claims": str(len(claims))})

    def gate(self, world: World) -> Verdict:
        """None left."""
        cluster = self.alive(world)
        left = () if cluster is None else _holding(cluster)
        return shut(f"{len(left)} left: {left[0]}") if left else opened("load balancers and volumes are released")

    def timeout_s(self, policy: Policy) -> float:
        """The draining timeout."""
        return policy.draining_timeout_s


def _balancers(cluster: Kubernetes) -> tuple[Json, ...]:
    return tuple(service for service in cluster.list(SERVICE) if service.get("spec", {}).get("type") == "LoadBalancer")


def _holding(cluster: Kubernetes) -> tuple[str, ...]:
    return tuple(f"{one.get('kind')} {namespace_of(one)}/{name_of(one)}" for one in (*_balancers(cluster), *cluster.list(PVC)))


class RemoveDirectory(Doomed, GitStep):
    """The cluster leaves Git."""

    noun = "directory"
    title = "the doomed cluster's directory leaves Git"
    why = "Its Flux is suspended and its load balancers and volumes are released."

    def __init__(self, prefix: str, *, source: bool) -> None:
        super().__init__(prefix, source=source)
        self.subject = "Remove {source} from {group}" if source else "Remove {target} from {group}"  # type: ignore[misc]

    def edits(self, world: World) -> tuple[Edit, ...]:
        """Without its files."""
        return tuple(Edit(path, None) for path in world.systems.repository.files(world.directory(self.doomed(world))))


class Destroy(Doomed, Step):
    """Have the provisioner take the infrastructure down."""

    noun = "destroy"
    title = "the doomed cluster's infrastructure is destroyed"
    awaits = "the provisioner"

    def observe(self, world: World) -> Seen:
        """Already so where the provisioner says that it has no such cluster, and its API is silent as well."""
        gone = world.systems.provisioner.knows(world.order(self.doomed(world))) is False and self.alive(world) is None
        return Seen(gone, "the provisioner has no such cluster, and its API is silent")

    def act(self, world: World, pen: Pen) -> Effect:
        """Check once more that it is not the master, then destroy."""
        # Whether its API answers or not: its Redis may serve everybody all the same.
        _refuse_master(world, self.doomed(world))
        # Safe to repeat: `down` is idempotent by contract. Safe at all: authority, by Git and by Redis, was just seen elsewhere.
        world.systems.provisioner.down(world.order(self.doomed(world)), pen.tell)
        return Effect({"destroyed": self.doomed(world).cluster})

    def gate(self, world: World) -> Verdict:
        """Gone: by the provisioner's word, and by the API's silence, since a provisioner that never knew the cluster destroys nothing and says that all is well."""
        if world.systems.provisioner.knows(world.order(self.doomed(world))):
            return shut("the provisioner still has the cluster")
        if self.alive(world) is not None:
            return shut("the provisioner has no such cluster, but its API still answers: if it was made by other means, destroy it by them")
        return opened("the cluster is gone")

    def timeout_s(self, policy: Policy) -> float:
        """The draining timeout."""
        return policy.draining_timeout_s

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        return f"run the provisioner to destroy {self.doomed(world).cluster}"


def _refuse_master(world: World, colour: Colour) -> None:
    """A cluster with write authority is never destroyed, by Git's word or by Redis' own. Raises OperatorNeeded."""
    if world.is_master_in_git(colour):
        raise OperatorNeeded(f"{colour.cluster} is the write master by Git: it is not taken down", next_step="bennu rotate status --why")
    if not world.conf.redis:
        return
    try:
        seen = world.systems.redis(colour).observe()
    except (DependencyDown, UsageError):
        return  # never made, or its Redis is gone already (an earlier try deleted it); Git's word was asked above
    if seen.is_master and seen.keys:
        raise OperatorNeeded(f"Redis of {colour.cluster} is a master with {seen.keys} keys: it is not taken down", next_step="bennu rotate status --why")


def steps(prefix: str, *, source: bool) -> tuple[Step, ...]:
    """The whole list, for the source (DRAINING) or for the target (rollback)."""
    makers = (Unexport, Unlink, Sweep, SuspendFlux, Resources, RemoveDirectory, Destroy)
    return tuple(maker(prefix, source=source) for maker in makers)
