"""S2 BOOTSTRAPPING: GitOps takes the target over.

Flux' own objects are applied from the catalog, then the GitRepository and Kustomization that point at the target's directory; from then on only Git is edited.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta

from bennu.core.gates import Workload, control_plane_ready
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, failed, opened, shut, unknown, worst
from bennu.errors import ConfigError
from bennu.manifests import flux_sync, tree
from bennu.phases.base import Effect, GateStep, Pen, Phase, Seen, Step, World
from bennu.phases.kinds import CONFIGMAP, CRD, DEPLOYMENT, SECRET, available, condition, name_of, ref_of, wanted
from bennu.phases.reconciled import applied, hurry
from bennu.ports.kubernetes import Json, Ref

_ISSUER = "linkerd-identity-issuer"
_TRUST_ROOTS = "linkerd-identity-trust-roots"


class FluxObjects(Step):
    """Apply Flux' own objects from the catalog."""

    id = "bootstrapping.flux"
    title = "Flux' own objects from the catalog"
    awaits = "Flux' controllers"

    def observe(self, world: World) -> Seen:
        """Already so where every object is there (an adopted cluster)."""
        missing = [ref for obj in bootstrap_objects(world) if world.target.get(ref := ref_of(obj)) is None]
        return Seen(not missing, "Flux is installed" if not missing else f"{len(missing)} objects to apply")

    def act(self, world: World, pen: Pen) -> Effect:
        """Server-side apply, namespaces and CRDs first."""
        # Safe to repeat: server-side apply of the same objects under the same manager changes nothing.
        objects = sorted(bootstrap_objects(world), key=lambda obj: {"Namespace": 0, "CustomResourceDefinition": 1}.get(str(obj.get("kind")), 2))
        for obj in objects:
            world.target.apply(obj)
        pen.tell(f"{len(objects)} objects applied from {', '.join(world.conf.flux.bootstrap)}")
        return Effect({"bootstrap.objects": str(len(objects))})

    def gate(self, world: World) -> Verdict:
        """CRDs established, controllers available."""
        for obj in bootstrap_objects(world):
            if obj.get("kind") == CRD.kind:
                live = world.target.get(ref_of(obj))
                if live is None or condition(live, "Established")[0] != "True":
                    return shut(f"CRD {name_of(obj)} is not established yet")
        waiting = [name_of(d) for d in world.target.list(DEPLOYMENT, namespace=world.conf.flux.namespace) if available(d) < wanted(d)]
        return shut(f"waiting for {', '.join(waiting)}") if waiting else opened("Flux' controllers are available")

    def timeout_s(self, policy: Policy) -> float:
        """The bootstrapping timeout."""
        return policy.bootstrapping_timeout_s

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        return f"server-side apply {', '.join(world.conf.flux.bootstrap)} to {world.rotation.target.cluster}"


class GitCredentials(Step):
    """Give the target Flux' Git credentials: cluster to cluster, never through Git."""

    id = "bootstrapping.git-credentials"
    title = "Flux' Git credentials"

    def observe(self, world: World) -> Seen:
        """Already so where the Secret is there (a secret store may have brought it)."""
        ref = _git_secret(world)
        if ref is None:
            return Seen(True, "the repository needs no credentials")
        return Seen(world.target.get(ref) is not None, f"Secret {ref.namespace}/{ref.name}")

    def act(self, world: World, pen: Pen) -> Effect:
        """Copy the source's."""
        ref = _git_secret(world)
        found = None if ref is None else world.source.get(ref)
        if ref is None or found is None:
            raise ConfigError("the GitRepository names a Secret that the source does not have", file=world.path(world.rotation.target, tree.FLUX_SYNC))
        copy = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "type": found.get("type", "Opaque"),
            "data": found.get("data", {}),
        }
        # Safe to repeat: the same content under the same manager.
        world.target.apply(copy)
        return Effect()


class Sync(Step):
    """Point Flux at the target's directory."""

    id = "bootstrapping.sync"
    title = "Flux follows the target's directory"
    awaits = "Flux at Bennu's commit"

    def __init__(self) -> None:
        self._hurried = False

    def observe(self, world: World) -> Seen:
        """Already so where GitRepository and Kustomization are there."""
        missing = [obj for obj in _sync_objects(world) if world.target.get(ref_of(obj)) is None]
        return Seen(not missing, "Flux follows the directory already" if not missing else "")

    def act(self, world: World, pen: Pen) -> Effect:
        """Apply both."""
        for obj in _sync_objects(world):
            # Safe to repeat: the same objects under the same manager; Flux itself takes them over from Git.
            world.target.apply(obj, force=True)
        return Effect()

    def gate(self, world: World) -> Verdict:
        """All Flux objects at the branch's tip."""
        if not self._hurried:
            hurry(world, world.rotation.target)
            self._hurried = True
        return applied(world, world.rotation.target)

    def timeout_s(self, policy: Policy) -> float:
        """The bootstrapping timeout: everything the profile names is installed in it."""
        return policy.bootstrapping_timeout_s


class ControlPlane(GateStep):
    """Wait for the mesh's control plane, and for a trust that both clusters share."""

    id = "bootstrapping.control-plane"
    title = "Linkerd's control plane"
    awaits = "Linkerd's control plane and its identity issuer"

    def gate(self, world: World) -> Verdict:
        """Healthy, the issuer outlives the rotation, one trust anchor."""
        namespace = world.conf.mesh.namespace
        found = tuple(Workload(name_of(d), wanted(d), available(d)) for d in world.target.list(DEPLOYMENT, namespace=namespace))
        secret = world.target.get(Ref(SECRET, _ISSUER, namespace))
        ends = None if secret is None else _ends(world, secret)
        until = world.systems.clock.wall() + timedelta(seconds=world.policy.rotation_s)
        return worst([control_plane_ready(found, ends, until), _one_trust(world)])

    def timeout_s(self, policy: Policy) -> float:
        """The bootstrapping timeout."""
        return policy.bootstrapping_timeout_s


def bootstrap_objects(world: World) -> tuple[Json, ...]:
    """All objects below the configured catalog folders."""
    repository = world.systems.repository
    found: list[Json] = []
    for folder in world.conf.flux.bootstrap:
        for path in repository.files(folder):
            if path.endswith((".yaml", ".yml")) and not path.endswith("kustomization.yaml"):
                found += flux_sync.objects(repository.read(path) or "", path)
    return tuple(found)


def _sync_objects(world: World) -> tuple[Json, ...]:
    path = world.path(world.rotation.target, tree.FLUX_SYNC)
    text = world.systems.repository.read(path)
    if text is None:
        raise ConfigError(
            "there is no Flux sync file for the target", file=path, next_step="the source's directory needs flux-system/gotk-sync.yaml to be copied from"
        )
    return tuple(flux_sync.objects(text, path))


def _git_secret(world: World) -> Ref | None:
    for obj in _sync_objects(world):
        name = obj.get("spec", {}).get("secretRef", {}).get("name") if obj.get("kind") == "GitRepository" else None
        if name:
            return Ref(SECRET, str(name), str(obj["metadata"].get("namespace", world.conf.flux.namespace)))
    return None


def _ends(world: World, secret: Json) -> datetime | None:
    data = secret.get("data") or {}
    pem = data.get("tls.crt") or data.get("crt.pem")
    if not pem:
        return None
    try:
        return world.systems.certificates.not_after(base64.b64decode(pem).decode())
    except ValueError:
        return None


def _one_trust(world: World) -> Verdict:
    ref = Ref(CONFIGMAP, _TRUST_ROOTS, world.conf.mesh.namespace)
    bundles = [(cluster.get(ref) or {}).get("data", {}).get("ca-bundle.crt", "") for cluster in (world.source, world.target)]
    if not all(bundles):
        return unknown("the mesh's trust anchors cannot be read on both sides yet")
    ours, theirs = (world.systems.certificates.fingerprints(pem) for pem in bundles)
    if not ours & theirs:
        return failed("the two meshes share no trust anchor: no mirrored connection could be authenticated")
    return opened("one trust anchor")


def _steps(world: World) -> tuple[Step, ...]:
    return (FluxObjects(), GitCredentials(), Sync(), ControlPlane())


PHASE = Phase(State.BOOTSTRAPPING, Event.FLUX_READY, _steps)
