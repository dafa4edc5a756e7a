"""The pointers after an S6 that was given up: at the source, without the maintenance flag, Flux on. What a silent API kept from being put back is said, noted, and done by the next run."""

from __future__ import annotations

from bennu.errors import DependencyDown
from bennu.phases.base import Effect, Pen, Seen, Step, World
from bennu.phases.pointer import Pointers, desired

LEFT = "pointer.left"  # the cluster whose objects could not be put back; empty for none


def put_back(world: World, pen: Pen) -> dict[str, str]:
    """What can be put back now; the journal's fact. The target's API may be gone with the target; the source's may not (DependencyDown)."""
    key = world.conf.pointer.keys.maintenance
    try:
        _restore(world, Pointers(world))
    except DependencyDown as down:
        try:
            _restore(world, Pointers(world, world.rotation.source))
        except DependencyDown as silent:
            silent.changed = f"the source is writable; a pointer may still say {key}, with Flux held off it"
            silent.next_step = "bennu rotate resume, which puts it back"
            raise
        pen.tell(f"{down.message}: the pointer of {world.rotation.target.cluster} may still say {key}, with Flux held off it; the next resume puts it back")
        return {LEFT: world.rotation.target.value}
    return {LEFT: ""}


def _restore(world: World, pointers: Pointers) -> None:
    wanted = desired(world, world.rotation.source)
    if pointers.flux_is_off() or not pointers.matches(wanted):
        # Safe to repeat: the content is what Git says, so Flux and we write the same.
        pointers.claim()
        pointers.let_flux(wanted)


class PointerBack(Step):
    """The canary's first step where an earlier S6 left a pointer behind: no traffic goes to a cluster that still says maintenance."""

    id = "traffic-canary.pointer-back"
    title = "the pointer that was left behind"

    def observe(self, world: World) -> Seen:
        """Never already: the objects are read anew."""
        return Seen(False)

    def act(self, world: World, pen: Pen) -> Effect:
        """Both, as the source's mastership has it. Raises DependencyDown while the API is still silent."""
        _restore(world, Pointers(world))
        return Effect({LEFT: ""})
