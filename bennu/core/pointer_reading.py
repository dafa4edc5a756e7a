"""How an app reads the write pointer, and whether its pods bear out what bennu.yaml says of it. Pure.

Kubernetes tells an app of a changed ConfigMap in three ways: never (environment variables, read once at a pod's start), within the kubelet's next sync (a mounted volume; not one
mounted by ``subPath``, which stays as it was), or at once (a watch of the app's own). Pod specs show the first two. A way that is slower than the declared one is refused: the pause would be
promised too short. A slower declaration than the pods need is believed.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bennu.core.verdict import Verdict, failed, opened

# Kustomize's suffix: ten characters of a hash, without vowels and what looks like others.
_HASHED = "{}-[bcdfghjkmnpqrstvwxz2456789]{{10}}"


class Way(enum.StrEnum):
    """As bennu.yaml names them (``apps[].reads_pointer``)."""

    WATCH = "watch"
    FILE = "file"
    ENV = "env"
    SERVICE = "service"


# From the pointer's write until the slowest pod goes by it, in milliseconds: what the pause is promised with where bennu.yaml has no measured figure (``apps[].follows_within``).
FOLLOWS_MS: Mapping[Way, float] = {
    # Tens of milliseconds, measured over the lab's API server.
    Way.WATCH: 50,
    # The kubelet looks at its volumes once a minute (``syncFrequency``), with up to half as much again of jitter: 60 to 90 s on real clusters. A watch by the kubelet, its default, renews only what it finds then.
    Way.FILE: 90_000,
    # A rolling restart: a signal, up to 30 s of grace, a start and its readiness, for each batch of pods. No document can know it: minutes, so two.
    Way.ENV: 120_000,
    # The slowest of its shapes, below.
    Way.SERVICE: 30_000,
}
# The write Service by how it is pointed elsewhere (``pointer.write_service.via``).
VIA_MS: Mapping[str, float] = {
    # The proxies are told by their own watch; not measured on a real Linkerd yet, so a second instead of the tens of milliseconds that a watch takes.
    "tcproute": 1_000,
    # A resolver may hold the old name: 30 s in kubeadm's and most clouds' CoreDNS (``ttl 30``, ``cache 30``), and as much in NodeLocal DNSCache. Clients that cache for longer, as JVMs do, are not in it.
    "externalname": 30_000,
}


@dataclass(frozen=True)
class Reading:
    """One app: how it reads, ``via`` of the write Service (empty for none of ours), and what its owner measured, in milliseconds (None: nothing)."""

    app: str
    way: Way
    via: str = ""
    measured_ms: float | None = None

    @property
    def follows_ms(self) -> float:
        """Until its slowest pod goes by the new pointer."""
        if self.measured_ms is not None:
            return self.measured_ms
        return VIA_MS[self.via] if self.way is Way.SERVICE and self.via else FOLLOWS_MS[self.way]


def slowest(readings: Iterable[Reading]) -> Reading | None:
    """The app that the pause lasts for; None for no app. Of several, the first."""
    return max(readings, key=lambda one: one.follows_ms, default=None)


def within_budget(found: Reading | None, budget_ms: float) -> Verdict:
    """Whether the slowest app alone would break the promise: known before a rotation begins, unlike the round trips."""
    if found is None:
        return opened("no app is declared")
    words = f"{found.app} ({found.way}) follows within {_span(found.follows_ms)}"
    if found.follows_ms <= budget_ms:
        return opened(words)
    return failed(f"{words}, and at most {_span(budget_ms)} of pause are promised (switchover.pause_budget)")


def _span(milliseconds: float) -> str:
    return f"{milliseconds / 1000:g} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


@dataclass(frozen=True)
class Taken:
    """What a workload's pods take of the pointer, by its spec. ``env``: a key that moves with the authority stands in their environment. ``file``: one is mounted; ``frozen``: by ``subPath``.

    ``copies`` are ConfigMaps whose names are the pointer's with a hash. ``rolled``: an annotation has Reloader restart the pods when the pointer changes.
    """

    env: bool = False
    file: bool = False
    frozen: bool = False
    copies: tuple[str, ...] = ()
    rolled: bool = False


def is_copy(name: str, pointer: str) -> bool:
    """Whether *name* is what Kustomize's ``configMapGenerator`` makes of *pointer*: another object at each change, so that the pods never see the flip."""
    return re.fullmatch(_HASHED.format(re.escape(pointer)), name) is not None


def borne_out(way: Way, taken: Taken) -> Verdict:
    """Whether pods that take *taken* follow the pointer by *way*, in words that name what to change."""
    if taken.copies:
        return failed(f"reads {', '.join(taken.copies)}, a copy that no flip changes: generate the pointer without a name suffix (disableNameSuffixHash)")
    if way is Way.ENV:
        return _restarted(taken)
    if taken.rolled:
        return failed(f"is said to follow by {way}, and Reloader would roll all its pods at the flip: take the annotation away, or declare env")
    if taken.env:
        return failed(f"is said to follow by {way}, but has the pointer in its environment, which changes at a restart only: declare env")
    if taken.frozen:
        return failed("mounts the pointer by subPath, which the kubelet never updates: mount the whole volume")
    if way is Way.FILE:
        return opened("a mounted file") if taken.file else failed("is said to read a mounted file, but mounts no volume of the pointer")
    return failed(f"is said to follow by {way}, but mounts the pointer as a file: declare file") if taken.file else opened(str(way))


def _restarted(taken: Taken) -> Verdict:
    """The environment is read once; somebody must start the pods anew."""
    if taken.rolled:
        return opened("the environment, and Reloader restarts it")
    return failed("reads the pointer at its start, and nothing restarts it at the flip: annotate it for Reloader, or use the write Service")
