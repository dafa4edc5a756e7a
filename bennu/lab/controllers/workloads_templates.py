"""What all workload controllers share: the pod that a template asks for, who owns it, how ready it is.

Pure: objects in, objects out. It decides nothing; each kind's own module does.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

TEMPLATE_HASH = "pod-template-hash"
# Kubernetes' own alphabet for generated names: no vowels, so no words.
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


@dataclass(frozen=True)
class Plan:
    """What a workload wants done next: objects to create, pods' names to delete, and the status it has now."""

    create: tuple[Json, ...] = ()
    delete: tuple[str, ...] = ()
    status: Json = field(default_factory=dict)


def hash_of(template: Mapping[str, Any]) -> str:
    """Ten characters that differ whenever the template does."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_SAFE[b % len(_SAFE)] for b in digest[:10])


def suffix() -> str:
    """Five random characters, as generated pod names end in."""
    return "".join(random.choices(_SAFE, k=5))


def owner_reference(owner: Mapping[str, Any]) -> Json:
    """The controller reference to *owner* that its pods carry."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controller_of(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The owner reference of the controller, or None."""
    for ref in obj["metadata"].get("ownerReferences") or []:
        if ref.get("controller"):
            return dict(ref)
    return None


def pod_of(owner: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> Json:
    """The pod that *owner*'s template asks for, with *labels* beside the template's own."""
    template = copy.deepcopy(owner["spec"]["template"])
    meta = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": {**(meta.get("labels") or {}), **labels},
            "annotations": dict(meta.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": template.get("spec") or {},
    }


def is_terminating(obj: Mapping[str, Any]) -> bool:
    """Whether deletion was asked for."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def phase_of(pod: Mapping[str, Any]) -> str:
    """The pod's phase; Pending before the kubelet said anything."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether the pod's Ready condition is True."""
    return condition_of(pod, "Ready").get("status") == "True"


def condition_of(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """The condition of type *kind*, or an empty one."""
    for condition in (obj.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def conditions_after(obj: Mapping[str, Any], wanted: list[Json], now: str) -> list[Json]:
    """*wanted* with ``lastTransitionTime`` kept where the status didn't change, else *now* (RFC 3339)."""
    done = []
    for condition in wanted:
        before = condition_of(obj, condition["type"])
        same = before.get("status") == condition["status"]
        done.append({**condition, "lastTransitionTime": before.get("lastTransitionTime", now) if same else now})
    return done
