"""Faults that are about processes: ``redis:<colour>`` and ``pod:<colour>/<namespace>/<name>``, each ``kill``, ``stop`` or ``cont``.

A kill is done once, when the fault appears or its text changes (``kill#2`` kills again); a stop lasts until the fault says ``cont`` or is cleared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Signal = Callable[[str], None]


class ProcessFaults:
    """The faults of one cluster. ``redis(what)`` signals its Redis servers, ``pod(namespace, name, what)`` one pod."""

    def __init__(self, colour: str, redis: Signal, pod: Callable[[str, str, str], None]) -> None:
        self._colour = colour
        self._redis = redis
        self._pod = pod
        self._seen: dict[str, str] = {}

    def told(self, faults: Mapping[str, str]) -> None:
        """Act on what is new, and undo stops that were cleared."""
        mine = {k: v for k, v in faults.items() if k == f"redis:{self._colour}" or k.startswith(f"pod:{self._colour}/")}
        for fault, value in mine.items():
            if self._seen.get(fault) != value:
                self._act(fault, value.partition("#")[0])
        for fault, value in self._seen.items():
            if fault not in mine and value.startswith("stop"):
                self._act(fault, "cont")
        self._seen = mine

    def _act(self, fault: str, what: str) -> None:
        kind, _, target = fault.partition(":")
        if kind == "redis":
            self._redis(what)
            return
        parts = target.split("/")
        if len(parts) == 3:
            self._pod(parts[1], parts[2], what)
