"""Infrastructure that costs nothing: clusters exist from ``up`` to ``down``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bennu.core.clusters import Colour
from bennu.errors import StoppedSafe
from bennu.ports.provisioner import Order, Talk


class MemoryProvisioner:
    """Port ``Provisioner``. ``failures`` is how often ``up`` still fails half-way; ``made`` and ``destroyed`` let a test build and take down its world; ``deeds`` are
    what was done in truth, in order.
    """

    def __init__(self) -> None:
        self.clusters: dict[Colour, Mapping[str, str]] = {}
        self.failures = 0
        self.deeds: list[str] = []
        self.made: Callable[[Order], Mapping[str, str]] = lambda order: {"cluster": order.colour.cluster}
        self.destroyed: Callable[[Order], None] = lambda order: None

    def up(self, order: Order, talk: Talk) -> Mapping[str, str]:
        talk(f"making {order.colour.cluster}")
        if self.failures:
            self.failures -= 1
            raise StoppedSafe(
                f"the provisioner's up for {order.colour.cluster} failed (exit 1)", changed="what the tool made so far is kept", next_step="bennu rotate resume"
            )
        if order.colour not in self.clusters:
            self.deeds.append(f"made {order.colour}")
            self.clusters[order.colour] = dict(self.made(order))
        return dict(self.clusters[order.colour])

    def outputs(self, order: Order) -> Mapping[str, str] | None:
        found = self.clusters.get(order.colour)
        return None if found is None else dict(found)

    def knows(self, order: Order) -> bool | None:
        return order.colour in self.clusters

    def down(self, order: Order, talk: Talk) -> None:
        talk(f"destroying {order.colour.cluster}")
        if self.clusters.pop(order.colour, None) is not None:
            self.deeds.append(f"destroyed {order.colour}")
            self.destroyed(order)
