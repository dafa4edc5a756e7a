"""``examples/admission/policy.yaml``, judged by a CEL engine: what an API server with it refuses of a write to the pointer objects.

What it leaves out of an API server: types beyond CEL's own, cost limits. Variables are evaluated in order, all of them, before the validations.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import celpy
import yaml
from celpy.adapter import json_to_cel
from celpy.celtypes import MapType, StringType

from bennu.core.clusters import Colour
from bennu.phases.kinds import CONFIGMAP, SERVICE
from bennu.ports.kubernetes import Json, Kind, Ref
from tests.sim.seams import Taps
from tests.sim.universe import Universe

FILE = Path(__file__).parents[2] / "examples" / "admission" / "policy.yaml"
TCPROUTE = Kind("gateway.networking.k8s.io/v1alpha2", "TCPRoute")
RESOURCES = {CONFIGMAP: "configmaps", SERVICE: "services", TCPROUTE: "tcproutes"}
OBJECTS = (Ref(CONFIGMAP, "global-traffic-state", "payments"), Ref(SERVICE, "redis-write", "database"), Ref(TCPROUTE, "redis-write", "database"))
BENNU, FLUX = "bennu", "kustomize-controller"


@dataclass(frozen=True)
class Write:
    """One request: from *before* to *after* (None: deleted), by a field manager."""

    ref: Ref
    before: Json
    after: Json | None
    manager: str = FLUX

    def request(self) -> dict[str, Any]:
        """As the policy sees it."""
        options = {"options": {"fieldManager": self.manager}} if self.manager else {}
        operation = "DELETE" if self.after is None else "UPDATE"
        return {
            "operation": operation,
            "name": self.ref.name,
            "namespace": self.ref.namespace,
            "resource": {"resource": RESOURCES.get(self.ref.kind, "configmaps")},
            **options,
        }


@cache
def _program(expression: str) -> Any:
    env = celpy.Environment()
    return env.program(env.compile(expression))


def documents() -> tuple[dict[str, Any], ...]:
    """The file's objects: policy, binding."""
    return tuple(yaml.safe_load_all(FILE.read_text(encoding="utf-8")))


_SPEC = documents()[0]["spec"]


def refusals(write: Write) -> tuple[str, ...]:
    """The messages of the validations that fail, the policy's order; empty where the write is admitted, or none of the policy's business."""
    seen: dict[str, Any] = {
        "request": json_to_cel(write.request()),
        "object": json_to_cel(_plain(write.after)),
        "oldObject": json_to_cel(_plain(write.before)),
    }
    if not all(_program(one["expression"]).evaluate(seen) for one in _SPEC["matchConditions"]):
        return ()
    variables = MapType()
    seen["variables"] = variables
    for one in _SPEC["variables"]:
        variables[StringType(one["name"])] = _program(one["expression"]).evaluate(seen)
    failed = [one for one in _SPEC["validations"] if not _program(one["expression"]).evaluate(seen)]
    return tuple(str(_program(one["messageExpression"]).evaluate(seen)) if "messageExpression" in one else one["message"] for one in failed)


def _plain(obj: Json | None) -> Any:
    if obj is None:
        return None
    found = {key: obj[key] for key in ("metadata", "data", "spec") if key in obj}
    return {**found, "metadata": {key: value for key, value in obj["metadata"].items() if key in ("name", "namespace", "annotations", "labels")}}


@dataclass
class Guard:
    """Every write to the pointer objects of a simulated world, judged: what Bennu does between the two taps of an effect is Bennu's, the rest is Flux'. A new object is no update."""

    world: Universe
    refused: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    judged: int = 0
    _last: dict[tuple[Colour, Ref], Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = self._now()

    @property
    def taps(self) -> Taps:
        """For a pilot."""
        return Taps(before=lambda call: self._look(FLUX), after=lambda call: self._look(BENNU if call.startswith("kubernetes") else FLUX))

    def _now(self) -> dict[tuple[Colour, Ref], Json]:
        found: dict[tuple[Colour, Ref], Json] = {}
        for colour, cluster in self.world.clusters.items():
            for ref in OBJECTS:
                live = cluster.at(ref)
                if live is not None:
                    found[colour, ref] = copy.deepcopy(live)
        return found

    def _look(self, manager: str) -> None:
        now = self._now()
        for key, before in self._last.items():
            after = now.get(key)
            # A cluster that is taken down, or made anew, takes its objects with it.
            if after is None or after == before or not _same(before, after):
                continue
            self.judged += 1
            said = refusals(Write(key[1], before, after, manager))
            if said:
                self.refused.append((f"{manager} at {key[0]}", said))
        self._last = now


def _same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return bool(before["metadata"]["uid"] == after["metadata"]["uid"])
