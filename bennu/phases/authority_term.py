"""The term of the write authority: how often it has moved, as ``bennu.io/term`` on the pointer objects in Git.

The epoch is the holder's, stands on live objects alone, and rises at each taking of the lock. The term is Git's: only the commit of a flip raises it, and Flux carries it into the clusters. So an admission policy
(``examples/admission``) can tell an older revision of the pointer from a newer one, also where a holder gave up and put everything back, which moves no authority and no term.
"""

from __future__ import annotations

from bennu.core.clusters import Colour
from bennu.manifests import traffic_state, tree
from bennu.phases.base import World


def stamped(world: World, master: Colour, text: str, path: str) -> str:
    """*text*, the traffic-state.yaml that gives *master* the authority, in the term that this takes: the next one, or, where Git gives it that already, as it stands."""
    if masters(world) == (master,):
        return text
    before = [traffic_state.term(found, world.path(colour, tree.TRAFFIC_STATE)) for colour, found in _texts(world).items()]
    return traffic_state.with_term(text, 1 + max(before, default=0), world.write_service, path)


def masters(world: World) -> tuple[Colour, ...]:
    """Who has the authority by Git, of the rotation's two clusters."""
    return tuple(colour for colour in (world.rotation.source, world.rotation.target) if world.is_master_in_git(colour))


def _texts(world: World) -> dict[Colour, str]:
    """Of both: the master's is always the highest, whatever a cluster that was kept has."""
    found = {colour: world.text(colour, tree.TRAFFIC_STATE) for colour in (world.rotation.source, world.rotation.target)}
    return {colour: text for colour, text in found.items() if text is not None}
