"""How apps are said to read the pointer, against their pods at the source; and what S6 makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.errors import GateRefused
from bennu.phases import preflight
from bennu.phases.app_pointer import readings_borne_out
from bennu.phases.base import World
from bennu.phases.kinds import CONFIGMAP, DEPLOYMENT
from bennu.phases.pointer import sets_maintenance
from bennu.ports.kubernetes import Ref
from bennu.settings import Settings
from tests.sim import fleet
from tests.sim.pilot import POLICY, Pilot, entered, universe
from tests.sim.universe import Kit, Universe

POINTER = "global-traffic-state"
BY_ENV = {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": POINTER}}]}]}
AUTO = {"reloader.stakater.com/auto": "true"}


def told(settings: Settings, *ways: str, **pointer: Any) -> Settings:
    """The settings with these ways of reading for the apps in order, and more said of the pointer."""
    tree = settings.model_dump(by_alias=True)
    group = tree["groups"][str(fleet.GROUP)]
    for app, way in zip(group["apps"], ways, strict=True):
        app["reads_pointer"] = way
    group["pointer"] |= pointer
    if "service" in ways:
        group["pointer"] |= {"mode": "service", "write_service": {"namespace": "database", "name": "redis-write", "via": "externalname"}}
    return Settings.model_validate(tree)


def asked(world: Universe, way: str) -> World:
    """What a check is asked with, its one app reading the pointer by *way*."""
    session = Pilot(world).session
    return replace(session.world(session.proposed("", ())), settings=told(world.settings, way))


def with_pods(spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> Universe:
    """A group whose payment-service runs these pods."""
    world = universe(Kit(dns=False))
    blue = world.clusters[Colour.BLUE]
    live = dict(blue.get(Ref(DEPLOYMENT, "payment-service", "payments")) or {})
    live["metadata"] |= {"annotations": dict(annotations or {})}
    live["spec"]["template"]["spec"] = dict(spec)
    blue.put(live)
    return world


def mounted(**mount: str) -> dict[str, Any]:
    volume = {"name": "pointer", "configMap": {"name": POINTER}}
    return {"volumes": [volume], "containers": [{"name": "app", "volumeMounts": [{"name": "pointer", "mountPath": "/etc/pointer", **mount}]}]}


PROJECTED = {**mounted(), "volumes": [{"name": "pointer", "projected": {"sources": [{"configMap": {"name": POINTER}}]}}]}
ONE_KEY = {"containers": [{"name": "app", "env": [{"name": "W", "valueFrom": {"configMapKeyRef": {"name": POINTER, "key": "REDIS_WRITE_HOST"}}}]}]}
READS_ONLY = {"containers": [{"name": "app", "env": [{"name": "R", "valueFrom": {"configMapKeyRef": {"name": POINTER, "key": "REDIS_READ_HOST"}}}]}]}
HASHED = {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": f"{POINTER}-5hk6f9mt2b"}}]}]}


@pytest.mark.parametrize(
    ("spec", "annotations", "way"),
    [
        ({}, {}, "watch"),
        ({}, {}, "service"),
        (READS_ONLY, {}, "watch"),
        (mounted(), {}, "file"),
        (PROJECTED, {}, "file"),
        (BY_ENV, AUTO, "env"),
        ({}, {"configmap.reloader.stakater.com/reload": f"other, {POINTER}"}, "env"),
    ],
)
def test_pods_that_read_as_they_are_said_to_pass(spec: dict[str, Any], annotations: dict[str, str], way: str) -> None:
    assert readings_borne_out(asked(with_pods(spec, annotations), way)).is_open


@pytest.mark.parametrize(
    ("spec", "annotations", "way", "words"),
    [
        (BY_ENV, {}, "watch", "has the pointer in its environment"),
        (ONE_KEY, {}, "service", "has the pointer in its environment"),
        (BY_ENV, {}, "env", "nothing restarts it"),
        (mounted(), {}, "watch", "declare file"),
        (mounted(subPath="REDIS_WRITE_HOST"), {}, "file", "subPath"),
        (mounted(), AUTO, "file", "Reloader would roll"),
        (HASHED, AUTO, "env", f"{POINTER}-5hk6f9mt2b, a copy"),
        ({}, {}, "file", "mounts no volume"),
    ],
)
def test_pods_that_would_hear_of_the_flip_later_are_refused_before_a_rotation(spec: dict[str, Any], annotations: dict[str, str], way: str, words: str) -> None:
    world = asked(with_pods(spec, annotations), way)
    finding = next(one for one in preflight.examined(world) if one.id == "apps.pointer")
    assert finding.verdict.failed
    assert "payment-service" in finding.verdict.reason
    assert words in finding.verdict.reason


def test_reloaders_search_counts_where_the_pointer_is_marked_for_it() -> None:
    world = with_pods(BY_ENV, {"reloader.stakater.com/search": "true"})
    assert readings_borne_out(asked(world, "env")).failed
    blue = world.clusters[Colour.BLUE]
    blue.patch(Ref(CONFIGMAP, POINTER, "payments"), {"metadata": {"annotations": {"reloader.stakater.com/match": "true"}}})
    assert readings_borne_out(asked(world, "env")).is_open


def test_an_app_without_a_workload_is_named_with_what_to_write() -> None:
    world = universe(Kit(dns=False))
    world.clusters[Colour.BLUE].remove(Ref(DEPLOYMENT, "payment-service", "payments"))
    assert "capacity.deployment" in readings_borne_out(asked(world, "watch")).reason


def test_start_refuses_an_app_that_would_go_on_writing_to_the_old_master() -> None:
    world = with_pods(BY_ENV)
    with pytest.raises(GateRefused, match="payment-service is said to follow by watch"):
        Pilot(world).start()


@pytest.mark.parametrize(
    ("mode", "ways", "sets"),
    [
        ("auto", ("watch", "service"), True),
        ("auto", ("watch", "file"), False),
        ("auto", ("env", "service"), False),
        ("spec", ("env", "file"), True),
        ("off", ("watch", "watch"), False),
    ],
)
def test_maintenance_mode_is_set_by_itself_only_where_every_app_sees_it_in_time(mode: str, ways: tuple[str, ...], sets: bool) -> None:
    world = universe(Kit(apps=("payment-service", "ledger-api")))
    session = Pilot(world).session
    assert sets_maintenance(replace(session.world(session.idle()), settings=told(world.settings, *ways, maintenance_mode=mode))) is sets


def seen_in_the_pause(way: str) -> tuple[set[str], list[str]]:
    """What MAINTENANCE_MODE was at the source during S6, and what the operator was told."""
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    world.settings = told(world.settings, way)
    pilot, seen = Pilot(world, policy=replace(POLICY, pause_budget_ms=100_000)), set()
    pilot.taps.before = lambda call: seen.add(world.pointer(Colour.BLUE)["MAINTENANCE_MODE"])
    outcome = pilot.resume()
    assert outcome.error is None, outcome
    return seen, [one.text for one in outcome.progress]


def test_maintenance_mode_shows_in_the_pause_of_apps_that_watch() -> None:
    assert seen_in_the_pause("watch")[0] == {"true", "false"}


def test_maintenance_mode_is_left_alone_and_said_so_where_a_file_would_lag() -> None:
    seen, lines = seen_in_the_pause("file")
    assert seen == {"false"}
    assert any("MAINTENANCE_MODE is left alone: payment-service (file)" in line for line in lines)


def test_the_switchover_refuses_above_the_budget_and_names_the_slowest_app() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(apps=("payment-service", "ledger-api"), weights=(10, 90)))
    world.settings = told(world.settings, "watch", "file")
    pilot = Pilot(world)
    outcome = pilot.resume()
    assert (outcome.code, outcome.standing.state, world.writable()) == (5, State.TRAFFIC_CANARY, ["blue"]), outcome
    assert "ledger-api 90000 ms" in str(outcome.error)
    assert "redis.blue.pause" not in pilot.taps.calls


def test_the_prediction_says_the_slowest_app_and_is_in_the_journal() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    pilot = Pilot(world)
    outcome = pilot.resume()
    assert outcome.error is None, outcome
    assert any("payment-service 50 ms" in one.text for one in outcome.progress)
    records = pilot.session.systems.repository.journal(fleet.GROUP).records
    figures = {name: value for record in records for name, value in record.data.items()}
    assert float(figures["pause.predicted_ms"]) > 50


def test_start_refuses_an_app_too_slow_for_the_promise_before_anything_is_made() -> None:
    world = with_pods(mounted())
    world.settings = told(world.settings, "file")
    with pytest.raises(GateRefused, match=r"payment-service \(file\) follows within 90 s"):
        Pilot(world).start()
