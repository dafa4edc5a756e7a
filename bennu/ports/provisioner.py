"""Makes and destroys the infrastructure of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from bennu.core.clusters import Colour, Group


@dataclass(frozen=True)
class Order:
    """Which cluster, for which rotation (passed to the user's commands as ``BENNU_*`` variables)."""

    group: Group
    colour: Colour
    rotation: str


Talk = Callable[[str], None]


class Provisioner(Protocol):
    """``command`` or ``terraform``. Both are idempotent by contract: ``up`` on a cluster that exists reports its outputs, ``down`` on none is a success."""

    def up(self, order: Order, talk: Talk) -> Mapping[str, str]:
        """Create; returns the outputs (strings). *talk* gets each line the tool prints. Raises StoppedSafe if it fails half-way (state kept), LockHeld for a locked state."""

    def outputs(self, order: Order) -> Mapping[str, str] | None:
        """The outputs of an existing cluster, None if there is none (or it cannot tell)."""

    def knows(self, order: Order) -> bool | None:
        """Whether it has this cluster; None where it cannot tell (``kind: command`` without an ``outputs`` command)."""

    def down(self, order: Order, talk: Talk) -> None:
        """Destroy."""
