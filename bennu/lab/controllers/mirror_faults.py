"""Faults of links: ``link:<importing>-<exporting>`` is ``cut`` or ``stall``, in that direction alone.

A direction is named by who dials: streams of ``link:blue-green`` start in blue and end in green, and carry bytes both ways.
"""

from __future__ import annotations

from collections.abc import Mapping

from bennu.lab.controllers.mirror_proxies import Proxies
from bennu.lab.controllers.outbound_pipe import Flow

_FLOWS = {"cut": Flow.CUT, "stall": Flow.STALL}


class LinkFaults:
    """Turns the valves of one importing cluster."""

    def __init__(self, importing: str, proxies: Proxies) -> None:
        self._prefix = f"link:{importing}-"
        self._proxies = proxies
        self._turned: set[str] = set()

    def told(self, faults: Mapping[str, str]) -> None:
        """Turn what is named, open what is named no more."""
        wanted = {k.removeprefix(self._prefix): _FLOWS.get(v, Flow.OPEN) for k, v in faults.items() if k.startswith(self._prefix)}
        for colour in self._turned | set(wanted):
            self._proxies.turn(colour, wanted.get(colour, Flow.OPEN))
        self._turned = set(wanted)
