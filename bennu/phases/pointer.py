"""The write pointer, live: the ConfigMap in both clusters, owned by one epoch while S6 lasts.

Outside S6 only Git is edited. Inside, Flux is held off the two objects by its own annotation, and every write carries the resourceVersion that this epoch wrote: a
409 means that somebody else took over, and ends this holder.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from bennu.core.clusters import Colour
from bennu.errors import DependencyDown, LockLost
from bennu.manifests import traffic_state, tree
from bennu.phases import warm_directory
from bennu.phases.base import World
from bennu.phases.kinds import CONFIGMAP, EPOCH, FLUX_RECONCILE, annotations_of
from bennu.ports.kubernetes import Conflict, Json, Ref

Data = Mapping[str, str]


class Pointers:
    """The pointer objects of source and target during one S6."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._versions: dict[Colour, str] = {}
        self.took_s = 0.0  # how long the slower of the last writes took: what a flip will cost

    def claim(self) -> None:
        """Write our epoch on both, only over a lower or equal one, and hold Flux off. Raises LockLost."""
        self.took_s = 0.0
        for colour in (self._world.rotation.source, self._world.rotation.target):
            live = self._live(colour)
            theirs = int(annotations_of(live).get(EPOCH, "0"))
            if theirs > self._world.epoch:
                raise LockLost(f"the pointer of {colour.cluster} carries epoch {theirs}, ours is {self._world.epoch}", next_step="bennu rotate status")
            self._versions[colour] = str(live["metadata"]["resourceVersion"])
            self._apply(colour, dict(live.get("data") or {}), held=True)

    def flip(self, data: Mapping[Colour, Data]) -> None:
        """Put *data* on both objects at the same time."""
        self._both(data, held=True)

    def let_flux(self, data: Mapping[Colour, Data]) -> None:
        """Give both objects back to Flux. Only when Git says the same as *data*."""
        self._both(data, held=False)

    def names(self, colour: Colour) -> bool:
        """Whether either live pointer names *colour* as the master: by flag, or by where writes go."""
        hot = desired(self._world, colour)
        return any(self._points(at, colour, hot) for at in (self._world.rotation.source, self._world.rotation.target))

    def says_master(self, colour: Colour) -> bool:
        """Whether the live pointer of *colour* says that it is the master itself."""
        return (self._live(colour).get("data") or {}).get(self._world.conf.pointer.keys.master) == "true"

    def _points(self, at: Colour, colour: Colour, hot: Mapping[Colour, Data]) -> bool:
        data, wanted = dict(self._live(at).get("data") or {}), hot[at]
        return all(data.get(key) == wanted.get(key) for key in self._world.conf.pointer.keys.authority)

    def matches(self, data: Mapping[Colour, Data]) -> bool:
        """Whether both live objects hold *data*."""
        return all({key: (self._live(colour).get("data") or {}).get(key) for key in wanted} == dict(wanted) for colour, wanted in data.items())

    def flux_is_off(self) -> bool:
        """Whether Flux is held off either object."""
        colours = (self._world.rotation.source, self._world.rotation.target)
        return any(annotations_of(self._live(colour)).get(FLUX_RECONCILE) == "disabled" for colour in colours)

    def _both(self, data: Mapping[Colour, Data], *, held: bool) -> None:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(self._apply, colour, wanted, held=held) for colour, wanted in data.items()]:
                done.result()

    def _apply(self, colour: Colour, data: Data, *, held: bool) -> None:
        ref = self._ref()
        annotations = {EPOCH: str(self._world.epoch)} | ({FLUX_RECONCILE: "disabled"} if held else {})
        obj = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ref.name, "namespace": ref.namespace, "annotations": annotations, "resourceVersion": self._versions.get(colour, "")},
            "data": dict(data),
        }
        begun = self._world.systems.clock.boot()
        try:
            # Force: Flux' manager owns the keys, and handing them over for these moments is the point. Safe to repeat: same epoch, same content.
            live = self._world.systems.cluster(colour).apply(obj, force=True)
        except Conflict as error:
            raise LockLost(
                f"somebody else wrote the pointer of {colour.cluster} during the switchover: {error}", next_step="bennu rotate status --why"
            ) from error
        self._versions[colour] = str(live["metadata"]["resourceVersion"])
        self.took_s = max(self.took_s, self._world.systems.clock.boot() - begun)

    def _live(self, colour: Colour) -> Json:
        found = self._world.systems.cluster(colour).get(self._ref())
        if found is None:
            raise DependencyDown(
                f"{colour.cluster} has no ConfigMap {self._ref().namespace}/{self._ref().name}",
                next_step="check that its Kustomization applies traffic-state.yaml",
            )
        return found

    def _ref(self) -> Ref:
        where = self._world.conf.pointer.configmap
        return Ref(CONFIGMAP, where.name, where.namespace)


def desired(world: World, master: Colour, *, maintenance: bool = False) -> dict[Colour, Data]:
    """What both pointers say when *master* has the authority: computed as the commit computes it, from the files in Git."""
    found: dict[Colour, Data] = {}
    for colour in (world.rotation.source, world.rotation.target):
        path = world.path(colour, tree.TRAFFIC_STATE)
        text = world.systems.repository.read(path) or ""
        found[colour] = traffic_state.data(edited(world, colour, master, text, path), path)
    if maintenance:
        found = {colour: {**data, world.conf.pointer.keys.maintenance: "true"} for colour, data in found.items()}
    return found


def edited(world: World, colour: Colour, master: Colour, text: str, path: str) -> str:
    """traffic-state.yaml of *colour* when *master* has the authority."""
    state = warm_directory.hot_state(world, text, path) if colour is master else warm_directory.warm_state(world, colour, master, text, path)
    return traffic_state.edited(text, state, path, world.conf.pointer.keys)


def sets_maintenance(world: World) -> bool:
    """Whether MAINTENANCE_MODE goes true during the pause: ``auto`` only where every app follows by a watch or the write Service (a mounted file would lag longer than the pause)."""
    mode = world.conf.pointer.maintenance_mode
    return mode == "spec" or (mode == "auto" and all(app.reads_pointer in ("watch", "service") for app in world.conf.apps))
