"""The canary's verdict over one window: success rate, latency, restarts, by numbers that a proxy counted.

Only a measured failure fails. No traffic, no data, stale data and too few requests are *unknown*: the window is extended, then a human decides, so that a
healthy quiet cluster is not punished and a blind one is not promoted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeGuard

from bennu.core.policy import Policy
from bennu.core.verdict import Verdict, failed, opened, shut, unknown, worst


@dataclass(frozen=True)
class Thresholds:
    """Of one app. ``min_success`` a fraction, ``max_p99_ms`` milliseconds."""

    min_success: float
    max_p99_ms: float
    min_requests: int
    max_age_s: float


@dataclass(frozen=True)
class Sample:
    """What was measured at the target's backend of one app. None = nothing can be said."""

    app: str
    requests: float | None
    failures: float | None
    p99_ms: float | None
    age_s: float | None
    restarts: int | None


def thresholds(policy: Policy) -> Thresholds:
    """The policy's own."""
    return Thresholds(policy.min_success, policy.max_p99_ms, policy.min_requests, policy.max_sample_age_s)


def judged(sample: Sample, limits: Thresholds, max_restarts: int) -> Verdict:
    """One app's verdict. A restart loop is judged first: it needs no traffic to be seen."""
    app = sample.app
    if sample.restarts is not None and sample.restarts >= max_restarts:
        return failed(f"{app}: {sample.restarts} pod restarts, fewer than {max_restarts} are allowed", (f"{app}.restarts", str(sample.restarts)))
    if not _counted(sample.requests) or not _counted(sample.failures):
        return unknown(f"{app}: no series for the target's backend yet")
    if not _counted(sample.age_s) or sample.age_s > limits.max_age_s:
        age = f"{sample.age_s:.0f} s" if _counted(sample.age_s) else "unknown"
        return unknown(f"{app}: the newest sample is too old ({age}, at most {limits.max_age_s:.0f} s)")
    if sample.requests < 1:
        return unknown(f"{app}: no requests at the target in the window")
    success = 1 - min(sample.failures / sample.requests, 1.0)
    figures = (
        (f"{app}.requests", f"{sample.requests:.0f}"),
        (f"{app}.success", f"{success:.5f}"),
        (f"{app}.p99_ms", "-" if sample.p99_ms is None or math.isnan(sample.p99_ms) else f"{sample.p99_ms:.1f}"),
    )
    # The point estimate must be above the threshold, and a failure must have been counted often enough not to be one stray request of a thin window.
    if success <= limits.min_success and sample.failures >= 1:
        if sample.requests >= limits.min_requests or sample.failures >= 5:
            return Verdict(
                failed("").answer,
                f"{app}: success rate {success:.3%}, above {limits.min_success:.1%} is needed ({sample.requests:.0f} requests)",
                True,
                figures,
            )
        return Verdict(shut("").answer, f"{app}: success rate {success:.3%} over only {sample.requests:.0f} requests", False, figures)
    if sample.requests < limits.min_requests:
        return Verdict(unknown("").answer, f"{app}: {sample.requests:.0f} of {limits.min_requests} requests needed", False, figures)
    if sample.p99_ms is None or math.isnan(sample.p99_ms):
        return Verdict(unknown("").answer, f"{app}: no latency data", False, figures)
    if sample.p99_ms >= limits.max_p99_ms:
        return Verdict(failed("").answer, f"{app}: p99 latency {sample.p99_ms:.0f} ms, below {limits.max_p99_ms:.0f} ms is needed", True, figures)
    if sample.restarts is None:
        return Verdict(unknown("").answer, f"{app}: the restarts of its pods cannot be counted", False, figures)
    return Verdict(opened("").answer, f"{app}: {success:.3%} of {sample.requests:.0f} requests, p99 {sample.p99_ms:.0f} ms", False, figures)


def _counted(value: float | None) -> TypeGuard[float]:
    """Prometheus answers NaN for 0/0 and Inf for x/0: neither was counted, and no comparison with NaN is true."""
    return value is not None and math.isfinite(value)


def worst_app(samples: tuple[Sample, ...], limits: dict[str, Thresholds], max_restarts: int) -> Verdict:
    """All apps move together, so the verdict is the worst app's."""
    return worst(judged(sample, limits[sample.app], max_restarts) for sample in samples)
