"""S5 TRAFFIC_CANARY: the traffic moves in steps, each behind its gate; then a human is waited for.

All routes move in one commit and the worst app decides. When the link or a gate fails, the weights go back to the source by themselves.
"""

from __future__ import annotations

from datetime import datetime

from bennu.core.canary import Sample, Thresholds, thresholds, worst_app
from bennu.core.clusters import Colour
from bennu.core.gates import link_ready
from bennu.core.invariants import blind_mirror
from bennu.core.policy import Policy
from bennu.core.states import Event, State
from bennu.core.verdict import Verdict, opened, shut, unknown, worst
from bennu.manifests import ingress_routing, tree
from bennu.phases.base import Effect, GateStep, Pen, Phase, Seen, Step, World
from bennu.phases.data_syncing import DATA_MONITOR, write_sample
from bennu.phases.kinds import DEPLOYMENT, HTTPROUTE, POD, available, labels_of
from bennu.phases.mesh_linking import MONITOR as LINK_MONITOR
from bennu.phases.mesh_linking import mirror_name, view
from bennu.phases.pointer_back import LEFT, PointerBack
from bennu.phases.reconciled import FluxStep
from bennu.ports.kubernetes import Json, Ref
from bennu.ports.metrics import RouteRef
from bennu.ports.repository import Edit


def routed(world: World, at: Colour, elsewhere: Colour, weight: int | None) -> tuple[Edit, ...]:
    """ingress-routing.yaml of cluster *at* with *weight* percent going to *elsewhere*; None removes Bennu's backend again."""
    path = world.path(at, tree.INGRESS_ROUTING)
    text = world.systems.repository.read(path)
    if text is None:
        return ()
    for app in world.conf.apps:
        mirror = mirror_name(world, app.service.name, elsewhere)
        wanted = {app.service.name: 100 - (weight or 0), mirror: weight}
        text = ingress_routing.with_weights(text, app.route.namespace, app.route.name, wanted, app.service.port, path)
    return (Edit(path, text),)


class Capacity(GateStep):
    """The target must be able to carry the share before it gets it."""

    title = "the target's capacity"
    awaits = "enough ready pods at the target"

    def __init__(self, weight: int) -> None:
        self.id = f"traffic-canary.capacity-{weight}"  # type: ignore[misc]  # one instance a weight
        self.title = f"capacity for {weight} %"  # type: ignore[misc]
        self._weight = weight

    def act(self, world: World, pen: Pen) -> Effect:
        """Changes nothing; notes how far the source has written, which nobody could ask it any more if it died."""
        return Effect(write_sample(world, world.systems.redis(world.rotation.source).observe()) if world.conf.redis else {})

    def gate(self, world: World) -> Verdict:
        """Ready pods at the target ≥ ready at the source × weight × headroom, for each app that says how; and the gateway at its minimum."""
        verdicts = [
            _capacity(world, app.capacity.deployment, app.service.namespace, self._weight, app.capacity.headroom) for app in world.conf.apps if app.capacity
        ]
        minimum = world.conf.mesh.gateway.min_replicas
        gateway = world.target.get(Ref(DEPLOYMENT, "linkerd-gateway", world.conf.mesh.multicluster_namespace))
        ready = available(gateway) if gateway else 0
        verdicts.append(opened("gateway ready") if ready >= minimum else shut(f"the target's gateway has {ready} of {minimum} replicas ready"))
        # The Blind Mirror rule: no traffic is sent to a mirror whose Link is not ready. A gate, so that one missed probe waits instead of ending the canary.
        return worst([*verdicts, blind_mirror(link_ready(view(world, world.rotation.source, world.rotation.target)))])


def _capacity(world: World, deployment: str, namespace: str, weight: int, headroom: float) -> Verdict:
    here, there = (cluster.get(Ref(DEPLOYMENT, deployment, namespace)) for cluster in (world.source, world.target))
    if here is None or there is None:
        return unknown(f"Deployment {namespace}/{deployment} is not in both clusters")
    need = max(1, -(-int(available(here) * weight * headroom) // 100))
    if available(there) < need:
        return shut(f"{deployment}: {available(there)} of {need} pods ready at the target")
    return opened(f"{deployment}: {available(there)} pods ready, {need} needed")


class Weight(FluxStep):
    """Move the routes to one weight."""

    def __init__(self, weight: int) -> None:
        super().__init__()
        self.id = f"traffic-canary.weight-{weight}"  # type: ignore[misc]
        self.title = f"{weight} % of the traffic to the target"  # type: ignore[misc]
        self.subject = f"Send {weight} % of the traffic to {{target}}"  # type: ignore[misc]
        self._weight = weight

    def where(self, world: World) -> tuple[Colour, ...]:
        """The source: its route does the splitting."""
        return (world.rotation.source,)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """The source's route."""
        return routed(world, world.rotation.source, world.rotation.target, self._weight)

    def then(self, world: World) -> Verdict:
        """The live route has the weight."""
        return live_weight(world, world.rotation.source, world.rotation.target, self._weight)


def live_weight(world: World, at: Colour, elsewhere: Colour, weight: int) -> Verdict:
    """Whether every app's live HTTPRoute in *at* sends *weight* percent to *elsewhere*."""
    verdicts = []
    for app in world.conf.apps:
        route = world.systems.cluster(at).get(Ref(HTTPROUTE, app.route.name, app.route.namespace))
        mirror = mirror_name(world, app.service.name, elsewhere)
        found = _weight_of(route or {}, mirror)
        verdicts.append(opened(f"{app.name}: {weight} %") if found == weight else shut(f"{app.name}: the live route has {found} %, waiting for {weight} %"))
    return worst(verdicts)


def _weight_of(route: Json, backend: str) -> int:
    total = [b for rule in route.get("spec", {}).get("rules") or [] for b in rule.get("backendRefs") or []]
    return next((int(b.get("weight", 1)) for b in total if b.get("name") == backend), 0)


class Watch(GateStep):
    """The gate over one window."""

    awaits = "the success rate, latency and restarts over the window"

    def __init__(self, weight: int, window_s: float) -> None:
        self.id = f"traffic-canary.watch-{weight}"  # type: ignore[misc]
        self.title = f"watching {weight} %"  # type: ignore[misc]
        self._window = window_s
        self._since: float | None = None
        self._restarts: dict[str, int] = {}

    def gate(self, world: World) -> Verdict:
        """Fails at once on a measured failure; opens only after the whole window; unknown extends it."""
        now = world.systems.clock.boot()
        if self._since is None:
            self._since = now
            return shut("the window begins")
        elapsed = now - self._since
        verdict = judged(world, max(min(elapsed, self._window), 1.0), self._restarts)
        if verdict.failed or elapsed >= self._window:
            return verdict
        return Verdict(shut("").answer, f"{elapsed:.0f} of {self._window:.0f} s: {verdict.reason}", figures=verdict.figures)

    def glance(self, world: World) -> Verdict:
        """Over a whole window that ends now, whoever watched it."""
        return judged(world, self._window, {})

    def timeout_s(self, policy: Policy) -> float:
        """The longest window."""
        return max(policy.canary_max_window_s, self._window + 1)


def judged(world: World, window_s: float, restarts_before: dict[str, int]) -> Verdict:
    """All apps' samples over the last *window_s* seconds, judged; *restarts_before* remembers the pods' counts at the window's begin."""
    samples = tuple(_sample(world, index, window_s, restarts_before) for index in range(len(world.conf.apps)))
    limits = {app.name: limits_of(world, index) for index, app in enumerate(world.conf.apps)}
    return worst_app(samples, limits, world.policy.max_restarts) if samples else opened("no app is declared")


def limits_of(world: World, index: int) -> Thresholds:
    """The policy's thresholds with the group's own put in (later per app)."""
    base, canary = thresholds(world.policy), world.conf.canary
    success = canary.success.min if canary.success and canary.success.min is not None else base.min_success
    p99 = canary.p99.max * 1000 if canary.p99 and canary.p99.max is not None else base.max_p99_ms
    return Thresholds(success, p99, base.min_requests, base.max_age_s)


def _sample(world: World, index: int, window_s: float, before: dict[str, int]) -> Sample:
    app = world.conf.apps[index]
    backend = mirror_name(world, app.service.name, world.rotation.target)
    route = RouteRef(app.route.namespace, app.route.name, app.service.name, backend)
    traffic = world.systems.metrics.traffic(world.rotation.source, route, window_s)
    return Sample(app.name, traffic.requests, traffic.failures, traffic.p99_ms, traffic.age_s, _restarts(world, app.service.namespace, app.name, before))


def _restarts(world: World, namespace: str, app: str, before: dict[str, int]) -> int:
    """Container restarts of the app's pods at the target since the window began, and those of the policy's last minutes that a restart time tells."""
    since = world.systems.clock.wall().timestamp() - world.policy.restart_window_s
    count = 0
    for pod in world.target.list(POD, namespace=namespace):
        if app not in (labels_of(pod).get("app"), labels_of(pod).get("app.kubernetes.io/name")):
            continue
        for status in pod.get("status", {}).get("containerStatuses") or []:
            key = f"{pod['metadata']['name']}/{status.get('name')}"
            known = before.setdefault(key, int(status.get("restartCount", 0)))
            recent = int(status.get("restartCount", 0)) - known
            finished = (status.get("lastState") or {}).get("terminated", {}).get("finishedAt")
            count += recent if recent else int(bool(finished) and _after(str(finished), since) and known > 0)
    return count


def _after(text: str, since: float) -> bool:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() >= since
    except ValueError:
        return False


class ToSource(FluxStep):
    """All traffic back to the source."""

    id = "traffic-canary.to-source"
    title = "all traffic back to the source"
    subject = "Send all traffic back to {source}"
    why = "The canary ended without a promotion."

    def where(self, world: World) -> tuple[Colour, ...]:
        """The source."""
        return (world.rotation.source,)

    def edits(self, world: World) -> tuple[Edit, ...]:
        """Without Bennu's backend."""
        return routed(world, world.rotation.source, world.rotation.target, None)

    def observe(self, world: World) -> Seen:
        """Already so where the branch says so and the live route too."""
        seen = super().observe(world)
        return seen if not seen.already else Seen(live_weight(world, world.rotation.source, world.rotation.target, 0).is_open, seen.detail)

    def then(self, world: World) -> Verdict:
        """The live route sends nothing to the target."""
        return live_weight(world, world.rotation.source, world.rotation.target, 0)


def weights(world: World) -> tuple[int, ...]:
    """The group's own weights, else the policy's."""
    return tuple(world.conf.canary.weights or world.policy.canary_weights)


def _steps(world: World) -> tuple[Step, ...]:
    window = world.conf.canary.window or world.policy.canary_window_s
    found: list[Step] = [PointerBack()] if world.facts.get(LEFT) else []
    # A promote that comes after a pause goes straight to the last weight, whose gate runs again for a short window (design §5).
    passed = world.facts.get("canary.passed") == "true"
    for weight in weights(world)[-1:] if passed else weights(world):
        found += [Capacity(weight), Weight(weight), Watch(weight, min(window, world.policy.promote_recheck_s) if passed else window)]
    return tuple(found)


def _vigil(world: World) -> Step:
    """The last weight's gate goes on for as long as a human is waited for."""
    return Watch(weights(world)[-1], world.conf.canary.window or world.policy.canary_window_s)


def _retreat(world: World) -> tuple[Step, ...]:
    return (ToSource(),)


PHASE = Phase(
    State.TRAFFIC_CANARY, Event.HEALTH_VALIDATED, _steps, monitors=(LINK_MONITOR, DATA_MONITOR), confirm=lambda world: "promote", vigil=_vigil, retreat=_retreat
)
