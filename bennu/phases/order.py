"""The runbook: the phases of a rotation in their order. Read from top to bottom, it is what happens."""

from __future__ import annotations

from bennu.phases import bootstrapping, data_syncing, draining, mesh_linking, promoted_alone, provisioning, switchover_locked, traffic_canary
from bennu.phases.base import Phase

PHASES: tuple[Phase, ...] = (
    provisioning.PHASE,  # S1: directory, infrastructure, identity
    bootstrapping.PHASE,  # S2: Flux, profile, Linkerd
    mesh_linking.PHASE,  # S3: Links both ways
    data_syncing.PHASE,  # S4: Redis follows
    traffic_canary.PHASE,  # S5: 10, 20, 50, 90 %, each behind its gate; then a human's promote
    switchover_locked.PHASE,  # S6: fence, prove, promote
    promoted_alone.PHASE,  # S7: route, DNS, TTL; in a disaster by the target alone
    draining.PHASE,  # S8: the old cluster goes
)
