"""The write pointer, live: the ConfigMap in both clusters, owned by one epoch while S6 lasts.

Outside S6 only Git is edited. Inside, Flux is held off the two objects by its own annotation, and every write carries the resourceVersion that was last seen under this epoch. A 409 that
comes with a higher epoch means that somebody else took over, and ends this holder; any other one is a foreign hand (Flux, where a reconciliation had begun before it was held off), and the write is
tried again.
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
_TRIES = 5  # of one write against whoever else writes the object at the same moment


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
            self._apply(colour, None, held=True)

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

    def _apply(self, colour: Colour, data: Data | None, *, held: bool) -> None:
        """Write *data*, None for what the object holds."""
        begun = self._world.systems.clock.boot()
        live = self._ours(colour) if data is None or colour not in self._versions else None
        for attempt in range(_TRIES):
            if live is not None:
                self._versions[colour] = str(live["metadata"]["resourceVersion"])
            try:
                # Force: Flux' manager owns the keys, and handing them over for these moments is the point. Safe to repeat: same epoch, same content.
                written = self._world.systems.cluster(colour).apply(
                    self._object(colour, dict((live or {}).get("data") or {}) if data is None else data, held), force=True
                )
            except Conflict as error:
                if attempt + 1 == _TRIES:
                    raise DependencyDown(
                        f"somebody keeps writing the pointer of {colour.cluster} during the switchover: {error}",
                        next_step="kubectl get configmap --show-managed-fields tells who; stop it, then bennu rotate resume",
                    ) from error
                # Raises LockLost where a later holder wrote it. Anyone else has no say here: most likely a reconciliation of Flux that began before it was held off.
                live = self._ours(colour)
                continue
            self._versions[colour] = str(written["metadata"]["resourceVersion"])
            self.took_s = max(self.took_s, self._world.systems.clock.boot() - begun)
            return

    def _object(self, colour: Colour, data: Data, held: bool) -> Json:
        ref = self._ref()
        annotations = {EPOCH: str(self._world.epoch)} | ({FLUX_RECONCILE: "disabled"} if held else {})
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": ref.name, "namespace": ref.namespace, "annotations": annotations, "resourceVersion": self._versions[colour]},
            "data": dict(data),
        }

    def _ours(self, colour: Colour) -> Json:
        """The live object, where no later epoch stands on it. Raises LockLost."""
        live = self._live(colour)
        theirs = int(annotations_of(live).get(EPOCH, "0"))
        if theirs > self._world.epoch:
            raise LockLost(f"the pointer of {colour.cluster} carries epoch {theirs}, ours is {self._world.epoch}", next_step="bennu rotate status")
        return live

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
