"""From a commit in Git to objects in a cluster: Flux is hurried, and then believed only by the revision that it reports."""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.gates import Reconciliation, flux_at
from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, opened, worst
from bennu.phases.base import GitStep, World
from bennu.phases.gone import given_up, gone
from bennu.phases.kinds import GIT_REPOSITORY, KUSTOMIZATION, REQUESTED_AT, RESOURCESET, condition, name_of
from bennu.ports.kubernetes import Json, Kubernetes, Ref


def hurry(world: World, colour: Colour) -> str:
    """Annotate every GitRepository of Flux' namespace; the Kustomizations follow their source by themselves (measured: 0.4 s instead of the interval). The token to look for."""
    cluster, token = world.systems.cluster(colour), world.systems.clock.wall().isoformat()
    for source in cluster.list(GIT_REPOSITORY, namespace=world.conf.flux.namespace):
        ref = Ref(GIT_REPOSITORY, name_of(source), world.conf.flux.namespace)
        cluster.patch(ref, {"metadata": {"annotations": {REQUESTED_AT: token}}})
    return token


def answered(world: World, colour: Colour, token: str) -> bool:
    """Whether every GitRepository has handled the request *token*, or a later one."""
    sources = world.systems.cluster(colour).list(GIT_REPOSITORY, namespace=world.conf.flux.namespace)
    return all(str(one.get("status", {}).get("lastHandledReconcileAt", "")) >= token for one in sources)


def applied(world: World, colour: Colour) -> Verdict:
    """Whether all of Flux' objects in a cluster are Ready at the branch's tip as Bennu last saw it (or at a later commit that descends from it)."""
    cluster, commit = world.systems.cluster(colour), world.systems.repository.head()
    namespace = world.conf.flux.namespace
    found = [_read(one) for one in cluster.list(KUSTOMIZATION, namespace=namespace)]
    found += [_read(one) for one in cluster.list(RESOURCESET, namespace=namespace) if _enabled(one)]
    ahead = {one.revision.rpartition(":")[2] for one in found if one.revision and not one.revision.endswith(commit)}
    return flux_at(commit, tuple(found), descends=bool(ahead) and _descends(world, commit, ahead))


def _descends(world: World, commit: str, revisions: set[str]) -> bool:
    """Somebody pushed behind us: then Flux is at a commit that our clone may not have yet."""
    world.systems.repository.fetch()
    later = {one.id for one in world.systems.repository.log(since=commit)}
    return revisions <= later


def _enabled(one: Json) -> bool:
    return (one.get("metadata", {}).get("annotations") or {}).get("fluxcd.controlplane.io/reconcile") != "disabled"


def _read(one: Json) -> Reconciliation:
    status, meta = one.get("status", {}), one.get("metadata", {})
    ready, message = condition(one, "Ready")
    is_kustomization = one.get("kind") == "Kustomization"
    return Reconciliation(
        name=f"{one.get('kind')} {name_of(one)}",
        suspended=bool(one.get("spec", {}).get("suspend")),
        generation_current=status.get("observedGeneration", meta.get("generation")) == meta.get("generation"),
        ready=ready,
        message=message,
        # A ResourceSet's revision is a digest of its own; only Kustomizations speak of commits.
        revision=str(status.get("lastAppliedRevision") or "") if is_kustomization else "",
    )


class FluxStep(GitStep):
    """A commit that clusters must have applied before the step holds. ``where`` says which."""

    awaits = "Flux at Bennu's commit"

    def __init__(self) -> None:
        self._hurried: set[Colour] = set()

    def where(self, world: World) -> tuple[Colour, ...]:
        """The clusters whose Flux must follow; the target by default."""
        return (world.rotation.target,)

    def gate(self, world: World) -> Verdict:
        """Flux at the commit in each of them, then whatever the step adds. A source that was declared dead is not waited for: it finds the commit when it returns."""
        dead = [colour for colour in self.where(world) if given_up(world, colour)]
        verdicts = []
        for colour in self.where(world):
            if colour in dead:
                continue
            if colour not in self._hurried:
                hurry(world, colour)
                self._hurried.add(colour)
            verdicts.append(applied(world, colour))
        found = worst(verdicts) if verdicts else opened("")
        if found.is_open and any(gone(world, colour) for colour in dead):
            return opened(f"nothing of {dead[0].cluster} is seen to run: Git says it for its return")
        return self.then(world) if found.is_open else found

    def then(self, world: World) -> Verdict:
        """What must hold beside Flux; by default nothing."""
        return opened(f"applied, {world.systems.repository.head()[:12]}")

    def timeout_s(self, policy: Policy) -> float:
        """As long as a slow Flux takes (its own interval and a build), not as long as a phase."""
        return policy.reconcile_timeout_s


def suspended(cluster: Kubernetes, namespace: str) -> tuple[str, ...]:
    """Names of suspended Kustomizations: a failed preflight."""
    return tuple(name_of(one) for one in cluster.list(KUSTOMIZATION, namespace=namespace) if one.get("spec", {}).get("suspend"))
