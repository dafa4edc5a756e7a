"""Every number of the specification, once, with its unit and its reason.

``SPEC`` is the specification's own. ``LAB`` scales the *times* for a rehearsal on loopback and leaves the criteria alone, save where a few seconds cannot bring the samples that it counts, and
where a laptop's own load would decide; the screen says which policy runs. Names end in their unit (``_s`` seconds, ``_ms``, ``_bytes``).
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass

from bennu.errors import UsageError


@dataclass(frozen=True)
class Policy:
    """Numbers that decide. See the specification's section named in each comment."""

    name: str = "spec"
    # Phase details: how long each phase may take before "Rotation Stuck" (upper ends of the spec's timeline, doubled: a slow cloud is no failure).
    provisioning_timeout_s: float = 1800
    bootstrapping_timeout_s: float = 1200
    linking_timeout_s: float = 600
    # From a commit to objects in the cluster: Flux' interval and a slow build (a group's flux.max_reconcile).
    reconcile_timeout_s: float = 600
    # How long what may run only once may take to stop (the slowest workload's stop_within).
    stop_timeout_s: float = 60
    syncing_timeout_s: float = 3600
    switchover_timeout_s: float = 120  # "Switchover Timeout > 120 seconds"
    dns_timeout_s: float = 1800
    draining_timeout_s: float = 3600
    # Phase 4 and the Lag Threshold invariant.
    max_lag_bytes: int = 1024
    lag_soak_s: float = 60
    # Phase 5.
    canary_weights: tuple[int, ...] = (10, 20, 50, 90)
    canary_window_s: float = 600
    canary_max_window_s: float = 1800
    min_success: float = 0.999
    max_p99_ms: float = 200
    max_restarts: int = 3  # fewer than, in restart_window_s
    restart_window_s: float = 300
    # A rate above 99.9 % cannot be seen to fail in fewer requests than this; below it the gate says "unknown", never "open".
    min_requests: int = 1000
    max_sample_age_s: float = 60
    promote_recheck_s: float = 60  # the last weight's gate, again, before a promote that comes later
    # Phase 6: the spec allows 30–60 s; ours is bounded by the dead-man's switch.
    pause_budget_ms: int = 2000
    pause_ms: int = 500
    catch_up_share: float = 0.25  # catching up must take less than this share of the pause (facts.md)
    # A missed catch-up is tried again, this often, with a growing distance.
    switchover_tries: int = 3
    retry_s: float = 5
    # Single Master, watched while a rotation runs: two masters are to be found within 2 s, and a finding takes two readings.
    watch_s: float = 0.5
    watch_after_release_s: float = 120
    # Phase 7.
    dns_ttl_s: int = 300
    # Phase 8: requests a second that may still reach the source.
    residual_rps: float = 0.5
    drain_window_s: float = 60
    # A fence by manifest: a ConfigMap is in a running pod after the kubelet's sync (60 s) and the age of its cache, 90 s at the most.
    kubelet_sync_s: float = 90
    # Performance requirements.
    poll_s: float = 2.0
    status_s: float = 1.0
    heartbeat_s: float = 15
    request_poll_s: float = 5.0
    # Row 24 of the fault catalogue: outside S6 a silent Git remote is tried again with backoff, this long; the monitors go on meanwhile.
    git_silence_s: float = 300
    # Row 21 of the fault catalogue: a journal takes a few MB; what a broken hand-over would lose is kept in files beside it.
    min_free_bytes: int = 64 << 20
    # Bootstrapping: an issuer that expires in mid-rotation breaks the mesh. The spec's longest rotation is 3 h; doubled.
    rotation_s: float = 6 * 3600
    # Link probes: this many polls in a row must agree before traffic is taken back (hysteresis, row 47 of the fault catalogue).
    link_failures: int = 3


SPEC = Policy()
LAB = Policy(
    name="lab",
    provisioning_timeout_s=60,
    bootstrapping_timeout_s=90,
    linking_timeout_s=60,
    reconcile_timeout_s=60,
    syncing_timeout_s=60,
    dns_timeout_s=60,
    draining_timeout_s=90,
    lag_soak_s=3,
    canary_window_s=4,
    canary_max_window_s=20,
    # Here two clusters, their users and the judge share one laptop's processors: what is measured is the laptop. A payment broken to be slow takes 500 ms.
    max_p99_ms=400,
    # 4 s at 10 % of about 120 requests a second bring about 48; a single error among them shows as less than 99.9 %.
    min_requests=20,
    max_sample_age_s=5,
    promote_recheck_s=3,
    watch_after_release_s=2,
    dns_ttl_s=2,
    drain_window_s=3,
    kubelet_sync_s=2,
    retry_s=1,
    poll_s=0.25,
    status_s=0.5,
    heartbeat_s=5,
    request_poll_s=1.0,
    git_silence_s=15,
)

NAMED = {"spec": SPEC, "lab": LAB}
# What the configuration may override, by name.
NUMBERS = tuple(field.name for field in dataclasses.fields(Policy) if field.type in ("int", "float"))
_WHOLE = frozenset(field.name for field in dataclasses.fields(Policy) if field.type == "int")
_SHARES = frozenset({"min_success", "catch_up_share"})
_MAY_BE_ZERO = frozenset({"residual_rps"})


def named(name: str) -> Policy:
    """The policy called *name*; UsageError for another."""
    try:
        return NAMED[name]
    except KeyError:
        raise UsageError(f"there is no policy {name!r}", next_step=f"choose one of {', '.join(NAMED)}") from None


def overridden(policy: Policy, changes: Mapping[str, float]) -> Policy:
    """*policy* with numbers of the configuration put in, in the unit that each name ends in. UsageError for a name that isn't one, and for a number that cannot be meant."""
    return dataclasses.replace(policy, **{name: _checked(name, value) for name, value in changes.items()})  # type: ignore[arg-type]  # the names are checked


def _checked(name: str, value: float) -> float | int:
    if name not in NUMBERS:
        close = difflib.get_close_matches(name, NUMBERS, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"there is no policy number {name!r}", next_step=f"{hint}known: {', '.join(sorted(NUMBERS))}")
    if not math.isfinite(value) or value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        raise UsageError(f"policy number {name} cannot be {value}", next_step="it must be more than 0")
    if name in _SHARES and value > 1:
        raise UsageError(f"policy number {name} cannot be {value}", next_step="write a share, from 0 to 1")
    if name not in _WHOLE:
        return value
    if value != int(value):
        raise UsageError(f"policy number {name} cannot be {value}", next_step="write a whole number")
    return int(value)
