"""How an app reads the write pointer, and whether its pods bear out what bennu.yaml says of it. Pure.

Kubernetes tells an app of a changed ConfigMap in three ways: never (environment variables, read once at a pod's start), within the kubelet's next sync (a mounted volume; not one
mounted by ``subPath``, which stays as it was), or at once (a watch of the app's own). Pod specs show the first two. A way that is slower than the declared one is refused: the pause would be
promised too short. A slower declaration than the pods need is believed.
"""

from __future__ import annotations

import enum
import re
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
