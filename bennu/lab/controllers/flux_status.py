"""Status as Flux writes it: conditions, observed generations, and the token of ``requestedAt``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"


def now() -> str:
    """Kubernetes' time format."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def token(obj: Mapping[str, Any]) -> str:
    """The token that a human or Bennu asked with."""
    return str((obj["metadata"].get("annotations") or {}).get(REQUESTED_AT, ""))


def asked(obj: Mapping[str, Any]) -> bool:
    """Whether a reconciliation was asked for that was not attempted, by token or by a new generation."""
    status = obj.get("status") or {}
    return token(obj) != str(status.get("lastHandledReconcileAt", "")) or _condition(obj, "Ready").get("observedGeneration") != obj["metadata"].get(
        "generation"
    )


def ready(obj: Mapping[str, Any]) -> str:
    """Status of the Ready condition, empty where there is none."""
    return str(_condition(obj, "Ready").get("status", ""))


def current(obj: Mapping[str, Any]) -> bool:
    """Ready, and for the generation that there is: what a dependent waits for."""
    return ready(obj) == "True" and (obj.get("status") or {}).get("observedGeneration") == obj["metadata"].get("generation")


def progressing(obj: Mapping[str, Any], message: str) -> Json:
    """Status while it is worked on: Ready is unknown."""
    return {
        "conditions": [
            condition(obj, "Ready", "Unknown", "Progressing", "Reconciliation in progress"),
            condition(obj, "Reconciling", "True", "Progressing", message),
        ]
    }


def outcome(obj: Mapping[str, Any], *, good: bool, reason: str, message: str) -> Json:
    """Status after an attempt. As Flux: only a success observes the generation; a failure says that it will be tried again."""
    meta = obj["metadata"]
    found: Json = {"conditions": [condition(obj, "Ready", "True" if good else "False", reason, message)]}
    if good:
        found["observedGeneration"] = meta.get("generation", 1)
    else:
        found["conditions"].append(condition(obj, "Reconciling", "True", "ProgressingWithRetry", message))
    if token(obj):
        found["lastHandledReconcileAt"] = token(obj)
    return found


def condition(obj: Mapping[str, Any], kind: str, status: str, reason: str, message: str) -> Json:
    """A condition of the object's generation; its transition time stays while its status does."""
    before = _condition(obj, kind)
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message[:1000],
        "lastTransitionTime": (before.get("lastTransitionTime") if before.get("status") == status else None) or now(),
        "observedGeneration": obj["metadata"].get("generation", 1),
    }


def _condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in (obj.get("status") or {}).get("conditions") or [] if one.get("type") == kind), {})


def seconds(text: str, otherwise: float) -> float:
    """A Go duration such as ``1m0s``, in seconds."""
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text or "")
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * units[unit] for number, unit in found) or otherwise
