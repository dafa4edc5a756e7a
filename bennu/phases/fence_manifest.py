"""The fence by manifest (``redis[].fence.persists_by: manifest``): before the pause, a commit makes the source's next start a parked one, and rolls nothing now.

*Armed* means that: the source's Redis variant in Git is warm-reader, Flux has applied it, and a ConfigMap that the server's pod mounts says ``replicaof``. The server that runs
notices nothing. What is armed is undone where the switchover is given up; after the switchover it is what the old master shall be anyway.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.core.fence_survival import Container, Mount, containers, parked_by, seen_by_a_restarted_container
from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, failed, opened, shut, worst
from bennu.errors import GateRefused
from bennu.manifests import profile_sync, redis_variants, tree
from bennu.phases import warm_directory
from bennu.phases.base import Effect, Pen, Seen, World
from bennu.phases.flipped_variant import rolls_nothing, template, variants, workload
from bennu.phases.kinds import CONFIGMAP, name_of
from bennu.phases.reconciled import FluxStep
from bennu.phases.redis_pod import by_manifest
from bennu.phases.section_errors import restarted_armed
from bennu.ports.kubernetes import Ref
from bennu.ports.repository import Edit


def may_arm(world: World) -> Verdict:
    """Whether arming changes what a restart reads (that it rolls nothing is ``flipped_variant``'s question). Nothing is changed by asking."""
    if not by_manifest(world):
        return opened("CONFIG REWRITE carries the fence")
    found = _change(world)
    if found.refused:
        return failed(f"the fence cannot be carried by the manifest: {found.refused}")
    running = workload(world, world.rotation.source)
    if running is None:
        return failed("no StatefulSet or Deployment runs the pods of redis[].service: whether a restart reads the manifest cannot be told")
    mounted = {mount.source for one in containers(template(running)) for mount in one.mounts if mount.kind == "configMap"}
    if found.configmap[1] not in mounted:
        return failed(f"no container of {name_of(running)} mounts ConfigMap {'/'.join(found.configmap)}: a restart would not read it; {redis_variants.HINT}")
    return opened(f"a restart reads ConfigMap {'/'.join(found.configmap)}")


def armed_mounts(world: World) -> tuple[tuple[Container, ...], tuple[Mount, ...]]:
    """The source's containers, and the mounts through which its next start would read a ``replicaof``; empty where it is not armed."""
    running = workload(world, world.rotation.source)
    if running is None:
        return (), ()
    pod, namespace = containers(template(running)), world.conf.redis[0].service.namespace
    names = {mount.source for one in pod for mount in one.mounts if mount.kind == "configMap"}
    live = {name: world.source.get(Ref(CONFIGMAP, name, namespace)) or {} for name in sorted(names)}
    return pod, parked_by(pod, {name: {key: str(text) for key, text in (one.get("data") or {}).items()} for name, one in live.items()})


def is_armed(world: World) -> bool:
    """Whether the source's next start is a parked one, and stays so: the live ConfigMap says it, and Git does too. An arm that was taken back in Git may be taken off by Flux at any time."""
    return _variant_in_git(world) == warm_directory.WARM and bool(armed_mounts(world)[1])


def carries_alone(world: World) -> bool:
    """Whether the manifest is read by a container that restarts within its pod, too; where only a new pod's init container reads it, CONFIG REWRITE must carry the fence till then."""
    return by_manifest(world) and seen_by_a_restarted_container(*armed_mounts(world))


def left_armed(world: World) -> Verdict:
    """Whether the write master's variant in Git still says warm-reader: left over from a switchover that was given up, or never put right."""
    if not world.conf.redis:
        return opened("state lives outside the clusters")
    path = world.path(world.rotation.source, tree.PROFILE_SYNC)
    if _variant_in_git(world) == warm_directory.WARM:
        return failed(
            f"{world.rotation.source.cluster} is the write master, and its Redis would come back parked from a restart: {path} says {warm_directory.WARM}"
        )
    return opened("the write master's Redis comes back as a master")


class _Variant(FluxStep):
    """Sets the source's Redis variant, and sees it applied there."""

    variant = ""

    def where(self, world: World) -> tuple[Colour, ...]:
        """The source alone."""
        return (world.rotation.source,)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """One input of profile-sync.yaml."""
        path = world.path(world.rotation.source, tree.PROFILE_SYNC)
        text = world.systems.repository.read(path)
        return () if text is None else (Edit(path, profile_sync.with_variant(text, self.variant, path)),)


class Arm(_Variant):
    """Make the source's next start a parked one."""

    id = "switchover-locked.arm"
    title = "a restart of the source comes back parked"
    awaits = "Flux to apply what a restart reads, and the kubelet to bring it to the pod"
    subject = "Arm the fence of {source}"
    why = "From here a restart of {source}'s Redis comes back as a replica, not as a master. The server that runs is not touched."
    variant = warm_directory.WARM

    def __init__(self) -> None:
        super().__init__()
        self._since: float | None = None

    def act(self, world: World, pen: Pen) -> Effect:
        """Refuse what would roll the pod now; then commit."""
        found = worst([rolls_nothing(world), may_arm(world)])
        if not found.is_open:
            raise GateRefused(
                found.reason, next_step="change the catalog's variants, or give Redis a configuration file on its data volume and write config-rewrite"
            )
        return super().act(world, pen)

    def then(self, world: World) -> Verdict:
        """The live ConfigMap says so; where a container reads it itself, for as long as a kubelet takes to bring it there."""
        pod, mounts = armed_mounts(world)
        if not mounts:
            return shut("no ConfigMap that the source's Redis mounts says replicaof yet")
        now = world.systems.clock.boot()
        self._since = now if self._since is None else self._since
        if not seen_by_a_restarted_container(pod, mounts):
            return opened("a new pod comes back parked")
        left = self._since + world.policy.kubelet_sync_s - now
        # Only time tells: which content a running pod sees, no API says.
        return opened("a restart comes back parked") if left <= 0 else shut(f"the kubelet may take {left:.0f} s more to bring it to the pod")

    def timeout_s(self, policy: Policy) -> float:
        """Flux, and the kubelet."""
        return super().timeout_s(policy) + policy.kubelet_sync_s


class Disarm(_Variant):
    """Put the source's next start back: it is master, and shall come back as one."""

    id = "switchover-locked.disarm"
    title = "a restart of the source comes back as master"
    subject = "Disarm the fence of {source}"
    why = "The switchover was given up; {source} stays the write master."
    variant = warm_directory.HOT

    def observe(self, world: World) -> Seen:
        """Only a server that is master is disarmed: what is fenced stays armed."""
        if not _is_master(world):
            return Seen(True, "the target is master: the source stays armed")
        return super().observe(world)

    def then(self, world: World) -> Verdict:
        """The live ConfigMap says so, and the source did not restart before it did."""
        if armed_mounts(world)[1]:
            return shut("a ConfigMap that the source's Redis mounts still says replicaof")
        return opened("a restart comes back as master") if _is_master(world) else opened("the target is master")


def _is_master(world: World) -> bool:
    """Whether the source is; False where the target is instead. Raises OperatorNeeded where neither is: it came back parked, and nobody accepts writes."""
    source = world.systems.redis(world.rotation.source).observe()
    if source.is_master:
        return True
    target = world.systems.redis(world.rotation.target).observe()
    if not target.is_master:
        raise restarted_armed(source, target)
    return False


def _variant_in_git(world: World) -> str:
    path = world.path(world.rotation.source, tree.PROFILE_SYNC)
    text = world.systems.repository.read(path)
    return "" if text is None else profile_sync.variant(text, path)


def _change(world: World) -> redis_variants.Change:
    both = variants(world, world.rotation.source)
    if both is None:
        path = world.path(world.rotation.source, tree.PROFILE_SYNC)
        return redis_variants.Change(f"no Kustomization in {path} takes its path from the input {profile_sync.VARIANT}")
    return redis_variants.change(*both)
