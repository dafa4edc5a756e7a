"""The nine states of a rotation, the events between them, and the status beside the state."""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """S0–S8 of the specification, in order."""

    IDLE_STABLE = "IDLE_STABLE"
    PROVISIONING = "PROVISIONING"
    BOOTSTRAPPING = "BOOTSTRAPPING"
    MESH_LINKING = "MESH_LINKING"
    DATA_SYNCING = "DATA_SYNCING"
    TRAFFIC_CANARY = "TRAFFIC_CANARY"
    SWITCHOVER_LOCKED = "SWITCHOVER_LOCKED"
    PROMOTED = "PROMOTED"
    DRAINING = "DRAINING"

    @property
    def number(self) -> int:
        """0 for S0 … 8 for S8."""
        return list(State).index(self)


class Event(enum.StrEnum):
    """What moves a rotation from one state to the next."""

    START = "start"
    CLUSTER_READY = "cluster-ready"
    FLUX_READY = "flux-ready"
    LINK_READY = "link-ready"
    REPLICATION_COMPLETE = "replication-complete"
    HEALTH_VALIDATED = "health-validated"
    PROMOTION_COMPLETE = "promotion-complete"
    DNS_UPDATED = "dns-updated"
    CLEANUP_COMPLETE = "cleanup-complete"
    ROLLBACK = "rollback"
    ABORT = "abort"
    REVERSE = "reverse"
    KEEP_SOURCE = "keep-source"
    DISASTER = "disaster"


class Status(enum.StrEnum):
    """How the run stands inside its state."""

    RUNNING = "running"
    PAUSED = "paused"
    FAILED = "failed"
    ABORTING = "aborting"
    DONE = "done"


class Direction(enum.StrEnum):
    """Which list of steps the run follows."""

    FORWARD = "forward"
    ROLLBACK = "rollback"  # S1–S5 → IDLE_STABLE at the source
    REVERSE = "reverse"  # S7 → S6 with the roles swapped → S5 → IDLE_STABLE at the source
