"""What the world says of a group now: for ``status``, ``clusters`` and ``rotate status --why``. Asks only, changes nothing; what can't be asked is said, not guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bennu.core.clusters import Colour, Role
from bennu.core.gates import link_ready
from bennu.core.standing import Standing
from bennu.core.states import State
from bennu.core.status import AppView, ClusterView, Survey
from bennu.errors import BennuError
from bennu.manifests import ingress_routing, tree
from bennu.phases.base import World
from bennu.phases.data_syncing import lag_point
from bennu.phases.kinds import CONFIGMAP, HTTPROUTE
from bennu.phases.mesh_linking import directions, mirror_name, view
from bennu.ports.kubernetes import Ref
from bennu.ports.metrics import RouteRef

T = TypeVar("T")


def surveyed(world: World, standing: Standing) -> Survey:
    """Everything that one screen shows. Systems that do not answer leave None and a line in ``problems``."""
    problems: list[str] = []
    clusters = tuple(_cluster(world, colour, standing, problems) for colour in Colour if colour.value in world.conf.clusters)
    both = standing.open and all(view.exists for view in clusters if view.colour in (standing.source, standing.target))
    apps = tuple(_app(world, index, problems) for index in range(len(world.conf.apps))) if both else ()
    links = _links(world) if both and standing.state.number >= State.MESH_LINKING.number else ()
    lag = None
    if both and world.conf.redis and State.DATA_SYNCING.number <= standing.state.number <= State.TRAFFIC_CANARY.number:
        lag = _asked(lambda: lag_point(world), problems)
    said = tuple(dict.fromkeys(problems))
    return Survey(clusters, apps, links, _dns(world), lag.lower if lag else None, lag.upper if lag else None, said)


def _asked(question: Callable[[], T], problems: list[str]) -> T | None:
    try:
        return question()
    except BennuError as error:
        problems.append(error.message)
        return None


def _cluster(world: World, colour: Colour, standing: Standing, problems: list[str]) -> ClusterView:
    state = world.state(colour)
    if state is None:
        return ClusterView(colour, exists=False, role=Role.ABSENT)
    in_git = state.is_write_master
    role = _role(colour, in_git, standing)
    local: list[str] = []
    version = _asked(lambda: world.systems.cluster(colour).version(), local)
    if version is None and colour is standing.target and standing.state is State.PROVISIONING:
        # A target that is being provisioned has a directory before it has an API.
        return ClusterView(colour, exists=False, role=role, problem=local[0] if local else "", master_in_git=in_git)
    # A Redis that is reached by itself says who writes, whether the API answers or not.
    redis = _asked(lambda: world.systems.redis(colour).observe(), local) if world.conf.redis else None
    live = _asked(lambda: _live_master(world, colour), local) if version is not None else None
    problems += local
    return ClusterView(
        colour,
        exists=version is not None,
        role=role,
        version=version or "",
        problem=local[0] if local else "",
        master_in_git=in_git,
        master_live=live,
        redis_master=redis.is_master if redis else None,
        redis_link_up=redis.link_up if redis and not redis.is_master else None,
        redis_offset=redis.offset if redis else None,
        redis_keys=redis.keys if redis else None,
        ingress_rps=_asked(lambda: world.systems.metrics.ingress_rps(colour, max(world.policy.drain_window_s, 5)), []),
    )


def _role(colour: Colour, in_git: bool, standing: Standing) -> Role:
    if in_git:
        return Role.ACTIVE
    if standing.open and colour is standing.source and standing.state.number >= State.PROMOTED.number:
        return Role.DRAINING
    return Role.WARM


def _live_master(world: World, colour: Colour) -> bool | None:
    where = world.conf.pointer.configmap
    live = world.systems.cluster(colour).get(Ref(CONFIGMAP, where.name, where.namespace))
    return None if live is None else (live.get("data") or {}).get(world.conf.pointer.keys.master) == "true"


def _app(world: World, index: int, problems: list[str]) -> AppView:
    app = world.conf.apps[index]
    mirror = mirror_name(world, app.service.name, world.rotation.target)
    path = world.path(world.rotation.source, tree.INGRESS_ROUTING)
    text = world.systems.repository.read(path)
    wanted = None if text is None else ingress_routing.weights(text, app.route.namespace, app.route.name, path).get(mirror, 0)
    live = _asked(lambda: world.source.get(Ref(HTTPROUTE, app.route.name, app.route.namespace)), problems)
    backends = [b for rule in (live or {}).get("spec", {}).get("rules") or [] for b in rule.get("backendRefs") or []]
    share = next((int(b.get("weight", 1)) for b in backends if b.get("name") == mirror), 0)
    window = min(world.conf.canary.window or world.policy.canary_window_s, 60)
    route = RouteRef(app.route.namespace, app.route.name, app.service.name, mirror)
    seen = _asked(lambda: world.systems.metrics.traffic(world.rotation.source, route, window), problems)
    success = None
    if seen is not None and seen.requests and seen.failures is not None:
        success = 1 - seen.failures / seen.requests
    return AppView(app.name, wanted, share, seen.requests if seen else None, success, seen.p99_ms if seen else None)


def _links(world: World) -> tuple[tuple[str, str, str], ...]:
    found = []
    for importing, exporting in directions(world):
        problems: list[str] = []
        seen = _asked(lambda i=importing, e=exporting: link_ready(view(world, i, e)), problems)  # type: ignore[misc]
        arrow = f"{importing.cluster} → {exporting.cluster}"
        found.append((arrow, seen.answer.value, seen.reason) if seen else (arrow, "unknown", problems[0]))
    return tuple(found)


def _dns(world: World) -> tuple[tuple[str, str, str], ...]:
    dns = world.conf.dns
    found = []
    for record in dns.records if dns else []:
        for server in (dns.verify if dns else None) or ["authoritative"]:
            answer = _asked(lambda r=record, s=server: world.systems.dns.ask(r, s), [])  # type: ignore[misc]
            found.append((record, server, ", ".join(answer.targets) or "no record" if answer else "no answer"))
    return tuple(found)
