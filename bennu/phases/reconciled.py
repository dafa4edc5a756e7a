"""From a commit in Git to objects in a cluster: Flux is hurried, and then believed only by the revision that it reports."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from bennu.core.clusters import Colour
from bennu.core.flux_pace import Sample
from bennu.core.gates import Reconciliation, flux_at
from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, opened, shut, worst
from bennu.errors import BennuError
from bennu.phases.base import Effect, GitStep, Pen, World
from bennu.phases.gone import given_up, gone
from bennu.phases.kinds import GIT_REPOSITORY, KUSTOMIZATION, REQUESTED_AT, RESOURCESET, condition, name_of
from bennu.ports.kubernetes import Conflict, Json, Kind, Kubernetes, Ref

# Facts of the journal: how long Flux of a colour took to apply a step's commit.
TOOK = "flux.took."


def hurry(world: World, colour: Colour, kind: Kind = GIT_REPOSITORY) -> str:
    """Annotate every GitRepository of Flux' namespace; the Kustomizations follow their source by themselves (measured: 0.4 s instead of the interval). The token to look for."""
    cluster, token = world.systems.cluster(colour), world.systems.clock.wall().isoformat()
    for one in cluster.list(kind, namespace=world.conf.flux.namespace):
        if not one.get("spec", {}).get("suspend"):
            cluster.patch(Ref(kind, name_of(one), world.conf.flux.namespace), {"metadata": {"annotations": {REQUESTED_AT: token}}})
    return token


def answered(world: World, colour: Colour, token: str, kind: Kind = GIT_REPOSITORY) -> Verdict:
    """Whether every object of *kind* has handled the request *token*, or a later one."""
    found = world.systems.cluster(colour).list(kind, namespace=world.conf.flux.namespace)
    silent = [name_of(one) for one in found if not one.get("spec", {}).get("suspend") and str(one.get("status", {}).get("lastHandledReconcileAt", "")) < token]
    if not silent:
        return opened(f"Flux of {colour.cluster} answers")
    controller = "source-controller" if kind == GIT_REPOSITORY else "kustomize-controller"
    return shut(f"Flux of {colour.cluster} has not answered a request to reconcile {kind.kind} {silent[0]} yet: look at the log of its {controller}")


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
        self._hurried: dict[Colour, float] = {}
        self._took: dict[str, str] = {}

    def act(self, world: World, pen: Pen) -> Effect:
        """Commit. The effect's facts are recorded once the gate has opened, and by then hold how long Flux took."""
        effect = super().act(world, pen)
        return replace(effect, facts=self._took) if effect.commit is not None else effect

    def where(self, world: World) -> tuple[Colour, ...]:
        """The clusters whose Flux must follow; the target by default."""
        return (world.rotation.target,)

    def gate(self, world: World) -> Verdict:
        """Flux at the commit in each of them, then whatever the step adds. A source that was declared dead is not waited for: it finds the commit when it returns."""
        dead = [colour for colour in self.where(world) if given_up(world, colour)]
        verdicts = []
        for colour in self.where(world):
            if colour in dead:
                self._urge(world, colour)
                continue
            if colour not in self._hurried:
                hurry(world, colour)
                self._hurried[colour] = world.systems.clock.boot()
            verdicts.append(self._timed(world, colour))
        found = worst(verdicts) if verdicts else opened("")
        if found.is_open and any(gone(world, colour) for colour in dead):
            return opened(f"nothing of {dead[0].cluster} is seen to run: Git says it for its return")
        return self.then(world) if found.is_open else found

    def _urge(self, world: World, colour: Colour) -> None:
        """A source that was declared dead and still runs something is told, once, as far as it listens: what must end there would else wait for Flux' own interval."""
        if colour not in self._hurried:
            self._hurried[colour] = world.systems.clock.boot()
            with suppress(BennuError, Conflict):
                hurry(world, colour)

    def _timed(self, world: World, colour: Colour) -> Verdict:
        found, clock, name = applied(world, colour), world.systems.clock, f"{TOOK}{colour}.{self.id}"
        if found.is_open and name not in self._took:
            self._took[name] = Sample(clock.boot() - self._hurried[colour], clock.wall()).text()
        return found

    def then(self, world: World) -> Verdict:
        """What must hold beside Flux; by default nothing."""
        return opened(f"applied, {world.systems.repository.head()[:12]}")

    def timeout_s(self, policy: Policy) -> float:
        """As long as a slow Flux takes (its own interval and a build), not as long as a phase."""
        return policy.reconcile_timeout_s


def suspended(cluster: Kubernetes, namespace: str) -> tuple[str, ...]:
    """Names of suspended Kustomizations: a failed preflight."""
    return tuple(name_of(one) for one in cluster.list(KUSTOMIZATION, namespace=namespace) if one.get("spec", {}).get("suspend"))
