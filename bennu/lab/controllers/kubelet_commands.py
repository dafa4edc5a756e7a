"""From a Pod's container to the command that stands for it: image, arguments, environment, paths.

Pure: it neither reads the API nor starts anything; what ConfigMaps, Secrets and the file system say comes in as a :class:`Surroundings`. The rules are the
lab's Kubelet contract: an image ``bennu.lab/<program>`` is a module of :mod:`bennu.lab.pods`, ``valkey`` and ``redis`` images are the real server, all others
run nothing and are *emulated*.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

_REFERENCE = re.compile(r"\$(?:\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
_LAB_IMAGE = re.compile(r"^bennu\.lab/([a-z][a-z0-9_]*)(?::[^/]*)?$")
_REDIS_IMAGE = re.compile(r"^(?:[^/]+/)*(?:valkey|redis)(?::[^/]*)?(?:@[^/]*)?$")
_REDIS_BINARIES = ("valkey-server", "redis-server")


class ContainerConfigError(Exception):
    """The container cannot be made: a ConfigMap, Secret or key it needs is not there (``CreateContainerConfigError``)."""


@dataclass(frozen=True)
class Command:
    """What to execute: ``argv`` and the whole environment of the process."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True)
class Surroundings:
    """What a container's command depends on beside its own spec.

    ``value_of(source)`` answers an ``env[].valueFrom``; ``mounts`` maps a mountPath to the real directory; ``ports`` a containerPort to the real one;
    ``base`` is the environment that every process gets.
    """

    value_of: Callable[[Json], str | None]
    mounts: Mapping[str, Path] = field(default_factory=dict)
    ports: Mapping[int, int] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)
    redis_server: str = "valkey-server"


def lab_program(image: str) -> str | None:
    """The module of :mod:`bennu.lab.pods` which the image names, or None."""
    match = _LAB_IMAGE.match(image)
    return match.group(1) if match else None


def is_redis(image: str) -> bool:
    """Whether the image is Valkey's or Redis' own server (any registry, any tag)."""
    return bool(_REDIS_IMAGE.match(image))


def is_emulated(image: str) -> bool:
    """Whether nothing runs for this image: its container is just said to be Running."""
    return lab_program(image) is None and not is_redis(image)


def expanded(text: str, env: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced as Kubernetes does: unknown names stay as they are, ``$$(NAME)`` is the escape."""

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return env.get(name, match.group(0))

    return _REFERENCE.sub(one, text)


def relocated(argument: str, mounts: Mapping[str, Path]) -> str:
    """An absolute path under a mountPath, rewritten to the real directory; also after ``=``, as in ``--config=/config/a``."""
    head, equals, tail = argument.rpartition("=")
    path = tail if equals else argument
    for mount in sorted(mounts, key=len, reverse=True):
        bare = mount.rstrip("/")
        if path == bare or path.startswith(bare + "/"):
            return f"{head}{equals}{mounts[mount]}{path[len(bare) :]}"
    return argument


def environment(container: Json, around: Surroundings) -> dict[str, str]:
    """The container's variables: ``value`` (with references to earlier ones), ``valueFrom``; ``PORT_<containerPort>`` beside them.

    Raises ContainerConfigError where a source that isn't optional has no value.
    """
    env = dict(around.base)
    for port, real in around.ports.items():
        env[f"PORT_{port}"] = str(real)
    for entry in container.get("env") or []:
        name = str(entry["name"])
        source = entry.get("valueFrom")
        if source is None:
            env[name] = expanded(str(entry.get("value", "")), env)
            continue
        value = around.value_of(source)
        if value is None and not _optional(source):
            raise ContainerConfigError(f"no value for variable {name}: {_described(source)} does not exist")
        if value is not None:
            env[name] = value
    return env


def command_of(container: Json, around: Surroundings) -> Command:
    """The command of a container that isn't emulated. Raises ContainerConfigError (see :func:`environment`)."""
    env = environment(container, around)
    image = str(container.get("image", ""))
    given = [*(container.get("command") or []), *(container.get("args") or [])]
    args = [relocated(expanded(str(a), env), around.mounts) for a in given]
    program = lab_program(image)
    if program is not None:
        return Command((sys.executable, "-m", f"bennu.lab.pods.{program}", *args), env)
    if args and Path(args[0]).name in _REDIS_BINARIES:
        args = args[1:]
    port = _first_port(container, around.ports)
    last = ("--port", str(port)) if port is not None else ()
    return Command((around.redis_server, *args, *last), env)


def _first_port(container: Json, ports: Mapping[int, int]) -> int | None:
    for entry in container.get("ports") or []:
        return ports.get(int(entry["containerPort"]))
    return None


def _optional(source: Json) -> bool:
    return any(isinstance(ref, Mapping) and bool(ref.get("optional")) for ref in source.values())


def _described(source: Json) -> str:
    for kind, ref in source.items():
        if kind == "fieldRef":
            return f"field {ref.get('fieldPath')}"
        return f"{kind.removesuffix('KeyRef')} {ref.get('name')!r}, key {ref.get('key')!r}"
    return "an empty source"
