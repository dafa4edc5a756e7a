"""S1 PROVISIONING: the target comes into being.

Its directory in Git first (a copy of the source's, made warm), then the infrastructure by the user's provisioner, then its identity pinned in Git. The target does
not exist before this phase, so the order is free of readers: nothing applies the directory until S2 points Flux at it.
"""

from __future__ import annotations

from dataclasses import replace

from bennu.core.clusters import Colour
from bennu.core.gates import NodeState, cluster_ready
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict
from bennu.errors import DependencyDown, UsageError
from bennu.manifests import cluster_config, tree
from bennu.phases import warm_directory
from bennu.phases.base import Effect, GitStep, Pen, Phase, Seen, Step, World
from bennu.phases.kinds import NODE, condition, name_of
from bennu.ports.kubernetes import Kubernetes
from bennu.ports.repository import Edit


class Directory(GitStep):
    """Write the target's directory."""

    id = "provisioning.directory"
    title = "the target's directory in Git"
    subject = "Add {target} to {group} as warm"
    why = "A copy of {source}'s directory: reads are local, writes go to {source} through its mirror, and what may run only once is held."

    def observe(self, world: World) -> Seen:
        """Already so where the directory stands with what a warm cluster needs (``--adopt`` takes it as it is)."""
        if world.text(world.rotation.target, tree.CLUSTER_CONFIG) is not None:
            return Seen(True, "the directory is there")
        return super().observe(world)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The copy, made warm."""
        return warm_directory.edits(world)


class Infrastructure(Step):
    """Have the provisioner bring the cluster up."""

    id = "provisioning.infrastructure"
    title = "the target's infrastructure"
    awaits = "the Kubernetes API and its nodes"

    def observe(self, world: World) -> Seen:
        """Already so where the provisioner knows the cluster."""
        outputs = world.systems.provisioner.outputs(world.order(world.rotation.target))
        return Seen(outputs is not None and "output.known" in world.facts, "the provisioner knows the cluster" if outputs else "")

    def act(self, world: World, pen: Pen) -> Effect:
        """Run ``up``."""
        # Safe to repeat: `up` is idempotent by the provisioner's contract; a half-made cluster is completed, not made twice.
        outputs = world.systems.provisioner.up(world.order(world.rotation.target), pen.tell)
        return Effect({"output.known": "true"} | {f"output.{name}": value for name, value in outputs.items()})

    def gate(self, world: World) -> Verdict:
        """API reachable, nodes ready."""
        return reachable(world.target)

    def timeout_s(self, policy: Policy) -> float:
        """The provisioning timeout."""
        return policy.provisioning_timeout_s

    def forecast(self, world: World) -> str:
        """What ``plan`` says."""
        return f"run the provisioner ({world.conf.provisioner.kind}) to create {world.rotation.target.cluster}"


class Identity(GitStep):
    """Pin the cluster's identity: a context that later points elsewhere is then found out."""

    id = "provisioning.identity"
    title = "the target's identity pinned"
    subject = "Pin the identity of {target}"
    why = "UID of kube-system and the provisioner's outputs, so that a context which points elsewhere is refused."

    def edits(self, world: World) -> tuple[Edit, ...]:
        """cluster-config.yaml with the UID and the outputs in upper case."""
        colour = world.rotation.target
        path = world.path(colour, tree.CLUSTER_CONFIG)
        text = world.systems.repository.read(path)
        if text is None:
            return ()
        uid = world.target.uid()
        distinct(uid, world)
        outputs = {key.removeprefix("output.").upper(): value for key, value in world.facts.items() if key.startswith("output.") and key != "output.known"}
        outputs |= {name.upper(): value for name, value in (world.systems.provisioner.outputs(world.order(colour)) or {}).items()}
        outputs.pop("CLUSTER_UID", None)
        return (Edit(path, cluster_config.edited(text, {**outputs, "CLUSTER_UID": uid}, path)),)

    def act(self, world: World, pen: Pen) -> Effect:
        """The commit, and with it the lock on the cluster: before this its UID was not known."""
        return replace(super().act(world, pen), clusters=(world.target.uid(),))

    def forecast(self, world: World) -> str:
        """The UID is not known yet."""
        return "write the new cluster's UID and the provisioner's outputs into cluster-config.yaml"


def reachable(cluster: Kubernetes) -> Verdict:
    """The gate of S1."""
    try:
        version = cluster.version()
    except (DependencyDown, UsageError):
        # A context that isn't in the kubeconfig yet is a cluster that isn't there yet.
        return cluster_ready(None, None)
    nodes = tuple(NodeState(name_of(node), condition(node, "Ready")[0] == "True") for node in cluster.list(NODE))
    return cluster_ready(version, nodes)


def distinct(uid: str, world: World) -> None:
    """Both contexts must not point at one cluster. Raises UsageError (2)."""
    pinned = world.outputs(world.rotation.source).get("CLUSTER_UID", "")
    if uid in (pinned, world.source.uid()):
        raise UsageError(
            f"the contexts of {world.rotation.source.cluster} and {world.rotation.target.cluster} point at one cluster (UID {uid})",
            next_step="mend groups.<group>.clusters in bennu.yaml or the kubeconfig",
        )


def _steps(world: World) -> tuple[Step, ...]:
    return (Directory(), Infrastructure(), Identity())


PHASE = Phase(State.PROVISIONING, Event.CLUSTER_READY, _steps)


def is_pinned(world: World, colour: Colour) -> bool:
    """Whether the live cluster is the one that Git pins."""
    return world.outputs(colour).get("CLUSTER_UID", "") == world.systems.cluster(colour).uid()
