"""A pointer that somebody else writes while S6 holds it: a reconciliation of Flux that began before it was held off, and one who never stops."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from bennu.core.clusters import Colour
from bennu.core.states import State
from bennu.phases.kinds import CONFIGMAP
from bennu.ports.kubernetes import Ref
from tests.sim.pilot import Pilot, at_rest, entered
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

POINTER = Ref(CONFIGMAP, "global-traffic-state", "payments")


def late_flux(world: Universe, colour: Colour, *, times: int) -> tuple[Taps, Callable[[], None]]:
    """Taps without hands yet, and what a late reconciliation does: Git's keys as they were before the switchover, everybody else's annotations left alone."""
    before = dict(world.pointer(colour))
    left = [times]

    def strike() -> None:
        if left[0]:
            left[0] -= 1
            live = world.clusters[colour].at(POINTER)
            assert live is not None
            # A key of its own: what changes nothing gets no new resourceVersion, and would go unnoticed.
            world.clusters[colour].put({**copy.deepcopy(dict(live)), "data": before | {"WRITTEN_LATE": str(left[0])}}, "kustomize-controller")

    return Taps(), strike


@pytest.mark.parametrize("colour", [Colour.BLUE, Colour.GREEN])
@pytest.mark.parametrize("place", ["before", "after"])
def test_a_late_reconciliation_does_not_keep_the_pointers_from_the_new_master(colour: Colour, place: str) -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    taps, strike = late_flux(world, colour, times=1)
    at_attach: list[str] = []

    def look(call: str) -> None:
        if call == f"kubernetes.{colour}.apply" and "redis.blue.fence" in taps.calls:
            strike()

    def attaching(call: str) -> None:
        if place == "before":
            look(call)
        if call == "redis.blue.attach":
            at_attach.extend(world.pointer(one)["IS_WRITE_MASTER"] for one in (Colour.BLUE, Colour.GREEN))

    taps.before = attaching
    if place == "after":
        taps.after = look
    outcome = Pilot(world, taps=taps).resume()
    assert outcome.error is None, outcome
    assert at_attach == ["false", "true"]
    at_rest(world, Colour.GREEN)


def test_one_who_never_stops_writing_is_named_and_a_resume_finishes() -> None:
    world = entered(State.SWITCHOVER_LOCKED, Kit(weights=(10, 90)))
    taps, strike = late_flux(world, Colour.GREEN, times=999)

    def look(call: str) -> None:
        if call == "kubernetes.green.apply" and "redis.blue.fence" in taps.calls:
            strike()

    taps.before = look
    outcome = Pilot(world, taps=taps).resume()
    assert outcome.code == 8, outcome
    assert "keeps writing the pointer of cluster-green" in str(outcome.error)
    assert Pilot(world).resume().error is None
    at_rest(world, Colour.GREEN)
