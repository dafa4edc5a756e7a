"""Checks before a rotation, as data: each has an id, a verdict with a reason, and a hint that leads on. ``doctor`` shows them all, ``start`` refuses on the first that is shut.

A check asks and changes nothing, save the probe of the notes refs, which makes a test ref and deletes it, and the annotations by which Flux is asked to reconcile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from bennu.core.clusters import Colour
from bennu.core.invariants import single_master
from bennu.core.verdict import Verdict, failed, opened, shut, unknown
from bennu.errors import BennuError, SplitBrainError
from bennu.manifests import flux_sync, ingress_routing, tree, write_service
from bennu.phases.app_pointer import pause_promised, readings_borne_out
from bennu.phases.base import World
from bennu.phases.dns_writer import record_writer
from bennu.phases.draining import declared
from bennu.phases.fence_manifest import left_armed, may_arm
from bennu.phases.flipped_variant import rolls_nothing
from bennu.phases.flux_pace import measured_now
from bennu.phases.kinds import CRONJOB, DEPLOYMENT, EXPORTED, FLUX_OWNER, SERVICE, labels_of, name_of, namespace_of, ref_of
from bennu.phases.mesh_linking import expected_services
from bennu.phases.operators import role_givers
from bennu.phases.provisioning import is_pinned
from bennu.phases.reconciled import suspended
from bennu.phases.redis_pod import rewrite_outlives
from bennu.phases.room import room
from bennu.phases.warm_directory import HOT, pointer_text
from bennu.ports.kubernetes import Json, Kind, Ref

_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True)
class Check:
    """One check. ``offline``: it reads the repository alone."""

    id: str
    title: str
    hint: str
    ask: Callable[[World], Verdict]
    offline: bool = False


@dataclass(frozen=True)
class Finding:
    """A check's outcome. ``code`` is the exit code that ``start`` refuses with."""

    id: str
    title: str
    verdict: Verdict
    hint: str
    code: int = 3


def source_directory(world: World) -> Verdict:
    """The five files of the specification's layout."""
    lacking = [name for name in tree.REQUIRED if world.text(world.rotation.source, name) is None]
    return failed(f"{world.directory(world.rotation.source)} lacks {', '.join(lacking)}") if lacking else opened(world.directory(world.rotation.source))


def one_master_in_git(world: World) -> Verdict:
    """Single Master, by the files on the branch; and it is the source."""
    masters = {colour: world.is_master_in_git(colour) for colour in Colour}
    try:
        single_master(masters, "traffic-state in Git")
    except SplitBrainError as error:
        return failed(error.message)
    return (
        opened(f"{world.rotation.source.cluster} is the write master")
        if masters[world.rotation.source]
        else failed(f"{world.rotation.source.cluster} is not the write master")
    )


def routes_known(world: World) -> Verdict:
    """Every app's route is in the source's ingress-routing.yaml."""
    path = world.path(world.rotation.source, tree.INGRESS_ROUTING)
    text = world.systems.repository.read(path) or ""
    for app in world.conf.apps:
        if app.service.name not in ingress_routing.weights(text, app.route.namespace, app.route.name, path):
            return failed(f"{app.name}: HTTPRoute {app.route.namespace}/{app.route.name} has no backend {app.service.name}")
    return opened(f"{len(world.conf.apps)} routes")


def flux_sync_there(world: World) -> Verdict:
    """What S2 points Flux at the target with."""
    path = world.path(world.rotation.source, tree.FLUX_SYNC)
    text = world.systems.repository.read(path)
    if text is None:
        return failed(f"{path} is missing")
    kinds = {str(obj.get("kind")) for obj in flux_sync.objects(text, path)}
    return opened(path) if {"GitRepository", "Kustomization"} <= kinds else failed(f"{path} needs a GitRepository and a Kustomization")


def notes_allowed(world: World) -> Verdict:
    """The host lets Bennu keep its journal."""
    words, place = world.systems.repository.probe_notes(world.rotation.group), world.settings.repository.journal_ref
    return failed(f"the Git host refuses refs below {place} or {place}-requests: {words}") if words else opened(f"refs below {place} can be written")


def branch_takes_pushes(world: World) -> Verdict:
    """A dry push: address, credentials, and the right to push at all."""
    repository = world.systems.repository
    words = repository.probe_push()
    unseen = "rules that the host applies by hooks, such as branch protection, show in the first push of S1"
    return failed(f"{repository.branch} takes no push: {words}") if words else opened(f"{repository.branch} takes a dry push ({unseen})")


def source_answers(world: World) -> Verdict:
    """The source's API, and that it is the cluster that Git pins."""
    version = world.source.version()
    if not is_pinned(world, world.rotation.source):
        return failed(f"context {world.source.context} points at another cluster than cluster-config.yaml pins (UID {world.source.uid()})")
    return opened(f"Kubernetes {version}, identity as pinned")


def may_act(world: World) -> Verdict:
    """The verbs that a rotation needs at the source."""
    needed: tuple[tuple[str, Kind, str], ...] = (
        ("patch", Kind("v1", "ConfigMap"), world.conf.pointer.configmap.namespace),
        ("get", Kind("v1", "Secret"), world.conf.mesh.multicluster_namespace),
        ("patch", Kind("v1", "Secret"), world.conf.mesh.multicluster_namespace),
        ("list", Kind("v1", "Pod"), world.conf.pointer.configmap.namespace),
        *_moving_object(world),
    )
    lacking = [f"{verb} {kind.kind} in {namespace}" for verb, kind, namespace in needed if not world.source.can(verb, kind, namespace)]
    return failed(f"not allowed: {', '.join(lacking)}") if lacking else opened("the verbs of a rotation are allowed")


def _moving_object(world: World) -> Iterator[tuple[str, Kind, str]]:
    which = world.write_service
    if which is not None:
        path = world.path(world.rotation.source, tree.TRAFFIC_STATE)
        found = write_service.document(world.systems.repository.read(path) or "", which, path)
        yield "patch", ref_of(found).kind, which.namespace


def write_service_known(world: World) -> Verdict:
    """Its document is in the source's traffic-state.yaml, of the shape that is moved, and leads to the master."""
    which, source = world.write_service, world.rotation.source
    if which is None:
        return opened("the group has none")
    path = world.path(source, tree.TRAFFIC_STATE)
    text = world.systems.repository.read(path) or ""
    led = pointer_text(world, source, source, text, path)
    here, there = (write_service.leads_to(write_service.document(one, which, path), which) for one in (text, led))
    return opened(f"{which.kind} leads to {here}") if here == there else failed(f"{which.kind} {which.namespace}/{which.name} leads to {here}, not to {there}")


def flux_follows(world: World) -> Verdict:
    """No suspended Kustomization."""
    found = suspended(world.source, world.conf.flux.namespace)
    return failed(f"suspended: {', '.join(found)}") if found else opened("no Kustomization is suspended")


def workloads_declared(world: World) -> Verdict:
    """Every CronJob, and every Deployment without a Service, is declared ``active_only`` or ``both``: one that is not would run in both clusters from S2 on."""
    known: set[tuple[str, str, str]] = {(w.kind, w.namespace, w.name) for w in (*world.conf.active_only, *world.conf.both)}
    services = world.source.list(SERVICE)
    lacking = [
        f"{obj.get('kind')} {namespace_of(obj)}/{name_of(obj)}"
        for obj in (*world.source.list(CRONJOB), *(d for d in world.source.list(DEPLOYMENT) if not _served(d, services)))
        if namespace_of(obj) not in _SYSTEM and not _known(obj, known)
    ]
    if lacking:
        return failed(f"not declared active_only or both: {', '.join(lacking)}")
    return opened(f"{len(known)} workloads declared")


def _known(obj: Json, known: set[tuple[str, str, str]]) -> bool:
    key = (str(obj.get("kind")), namespace_of(obj), name_of(obj))
    return any(kind == key[0] and fnmatch(key[1], namespace) and fnmatch(key[2], name) for kind, namespace, name in known)


def _served(deployment: Json, services: tuple[Json, ...]) -> bool:
    labels = deployment.get("spec", {}).get("template", {}).get("metadata", {}).get("labels") or {}
    for service in services:
        selector = service.get("spec", {}).get("selector") or {}
        if selector and namespace_of(service) == namespace_of(deployment) and selector.items() <= labels.items():
            return True
    return False


def held_can_be(world: World) -> Verdict:
    """Each ``active_only`` workload has a Flux Kustomization that Bennu can hold it through."""
    for workload in world.conf.active_only:
        live = world.source.get(Ref(CRONJOB if workload.kind == CRONJOB.kind else DEPLOYMENT, workload.name, workload.namespace))
        if live is None:
            return failed(f"{workload.kind} {workload.namespace}/{workload.name} is declared active_only but is not at the source")
        if not workload.kustomization and not labels_of(live).get(FLUX_OWNER):
            return failed(f"{workload.kind} {workload.namespace}/{workload.name} is applied by no Flux Kustomization: it cannot be held in Git")
    return opened("every active_only workload can be held in Git")


def exported(world: World) -> Verdict:
    """Redis' and the apps' Services carry Linkerd's export label; the catalog is not Bennu's to change."""
    lacking = []
    for namespace, name in expected_services(world):
        live = world.source.get(Ref(SERVICE, name, namespace))
        if live is None:
            return failed(f"Service {namespace}/{name} is not at the source")
        if labels_of(live).get(EXPORTED) != "true":
            lacking.append(f"{namespace}/{name}")
    return failed(f'not exported: {", ".join(lacking)} (add the label {EXPORTED}: "true" in the catalog)') if lacking else opened("the Services are exported")


def state_declared(world: World) -> Verdict:
    """What DRAINING would destroy is declared."""
    return declared(world, world.rotation.source)


def redis_ready(world: World) -> Verdict:
    """The source's Redis is a persistent master that nobody else re-points."""
    if not world.conf.redis:
        return opened("state lives outside the clusters")
    seen = world.systems.redis(world.rotation.source).observe()
    if not seen.is_master:
        return failed("the source's Redis is not a master")
    if seen.sentinels:
        return failed("Sentinel watches the source's Redis: it would undo the hand-over")
    if seen.cluster_mode:
        return failed("Redis Cluster mode cannot be handed over")
    if not (seen.aof or seen.rdb_save) and world.conf.redis[0].persistence == "required":
        return failed("the source's Redis has no persistence: a restart would empty both sides")
    outlives = rewrite_outlives(world, (world.rotation.source, seen))
    if not outlives.is_open:
        return outlives
    profile = world.systems.redis(world.rotation.source).profile()
    if profile.refused:
        return failed(f"it refuses commands that the hand-over needs: {', '.join(profile.refused)}")
    if profile.unasked:
        return failed(f"it does not answer {', '.join(profile.unasked)}: whether the target is like it could not be seen; allow them for Bennu's user")
    return opened(f"{seen.flavour} {seen.version}, {seen.keys} keys")


def redis_not_operated(world: World) -> Verdict:
    """No operator owns the source's Redis: it would re-point it within one reconcile."""
    if not world.conf.redis:
        return opened("state lives outside the clusters")
    owners = role_givers(world, world.rotation.source)
    if owners:
        return failed(f"Redis' pods belong to {', '.join(owners)}: it would undo REPLICAOF")
    return opened("no operator owns it")


def metrics_answer(world: World) -> Verdict:
    """Prometheus answers and knows the source's traffic."""
    rps = world.systems.metrics.ingress_rps(world.rotation.source, max(world.policy.drain_window_s, 30))
    return (
        unknown("Prometheus answers, but has no series of the source's ingress: the canary could not be judged")
        if rps is None
        else opened(f"{rps:.1f} requests a second at the source")
    )


def source_provisioned(world: World) -> Verdict:
    """S8 can destroy only what the provisioner has."""
    if world.rotation.keeps_source:
        return opened("the source is kept (--keep-source)")
    known = world.systems.provisioner.knows(world.order(world.rotation.source))
    if known is None:
        return opened("the provisioner cannot tell which clusters it has (no outputs command)")
    return (
        opened("the provisioner has the source") if known else failed(f"the provisioner does not have {world.rotation.source.cluster}: S8 could not destroy it")
    )


def target_absent(world: World) -> Verdict:
    """The target must not exist, unless it is adopted."""
    if "adopt" in world.rotation.options:
        return opened("taken as it is (--adopt)")
    if world.text(world.rotation.target, tree.CLUSTER_CONFIG) is not None:
        return failed(f"{world.rotation.target.cluster} exists in Git already")
    if world.systems.provisioner.knows(world.order(world.rotation.target)):
        return failed(f"the provisioner knows {world.rotation.target.cluster} already")
    return opened(f"{world.rotation.target.cluster} does not exist yet")


CHECKS: tuple[Check, ...] = (
    Check("git.directory", "the source's directory", "the README shows the layout; repository.layout changes it", source_directory, offline=True),
    Check("git.single-master", "one write master in Git", "mend IS_WRITE_MASTER in the traffic-state.yaml files", one_master_in_git, offline=True),
    Check("git.routes", "the apps' routes", "check apps[].route and apps[].service in bennu.yaml", routes_known, offline=True),
    Check("git.write-service", "the write Service", "docs/architecture.md shows the document of traffic-state.yaml", write_service_known, offline=True),
    Check("git.flux-sync", "Flux' sync file", "keep flux-system/gotk-sync.yaml in the cluster's directory", flux_sync_there, offline=True),
    Check("git.push", "pushing to the branch", "let this user push to the branch; pull requests are not supported yet", branch_takes_pushes),
    Check(
        "git.notes",
        "the journal's ref",
        "allow these refs on the host, or name a place that it allows: repository.journal_ref: refs/heads/bennu",
        notes_allowed,
    ),
    Check("machine.disk", "room on this machine's disk", "free the disk, or set XDG_STATE_HOME to a folder on another one", room),
    Check("kubernetes.source", "the source's API", "check groups.<group>.clusters and the kubeconfig", source_answers),
    Check("kubernetes.rights", "what the credentials may do", "docs/architecture.md lists the verbs", may_act),
    Check("flux.running", "Flux at the source", "flux resume kustomization <name>", flux_follows),
    Check("mesh.exported", "exported Services", "label the Services in the catalog", exported),
    Check("workloads.declared", "workloads that may run once", "list each under active_only or both in bennu.yaml", workloads_declared),
    Check("workloads.held", "active_only can be held", "set kustomization: beside the workload", held_can_be),
    Check(
        "apps.pointer",
        "how the apps read the pointer",
        "docs/applications.md says what each way needs; declare it under apps[].reads_pointer",
        readings_borne_out,
    ),
    Check(
        "apps.pause",
        "the pause that the slowest app makes",
        "raise switchover.pause_budget, give follows_within as measured, or let the app follow faster",
        pause_promised,
        offline=True,
    ),
    Check("state.declared", "state that would be lost", "list it under elsewhere (external, moved or disposable)", state_declared),
    Check("redis.source", "the source's Redis", "docs/architecture.md says what a hand-over needs", redis_ready),
    Check("redis.variants", "a flip of the variant rolls no pod", "examples/redis has variants that roll nothing", rolls_nothing),
    Check("redis.fence", "a fence outlives a restart", "docs/switchover.md says what a catalog must look like", may_arm),
    Check("redis.armed", "no fence left armed", f"write {HOT} there again", left_armed),
    Check("redis.operator", "nobody else moves Redis", "run Redis as a plain StatefulSet, or redis: [] for a managed one", redis_not_operated),
    Check("metrics.source", "Prometheus", "check metrics.prometheus.url and metrics.selector", metrics_answer),
    Check("dns.writer", "who writes the records", "mend ExternalDNS' flags, or dns.controller and dns.txt_owner", record_writer),
    Check("provisioner.source", "the source's infrastructure", "import it into the provisioner's state, or --keep-source", source_provisioned),
    Check("target.absent", "the target", "choose another --to, or --adopt to take it as it is", target_absent),
    # The last: asked to reconcile, Flux puts back what was changed by hand, and the checks before are of the cluster as it was found.
    Check("flux.pace", "how fast Flux is at the source", "docs/switchover.md says what S6 waits for", measured_now),
)


def examined(world: World, *, offline: bool = False) -> tuple[Finding, ...]:
    """Every check's finding; a system that doesn't answer is an unknown verdict, not an end."""
    return tuple(_asked(check, world) for check in CHECKS if check.offline or not offline)


def _asked(check: Check, world: World) -> Finding:
    try:
        verdict = check.ask(world)
    except BennuError as error:
        verdict = unknown(error.message) if error.exit_code == 8 else shut(error.message)
        return Finding(check.id, check.title, verdict, error.next_step or check.hint, error.exit_code)
    return Finding(check.id, check.title, verdict, "" if verdict.is_open else check.hint)
