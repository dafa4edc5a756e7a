"""The write pointer, live: the ConfigMap in both clusters, and the write Service where there is one, owned by one epoch while S6 lasts.

Outside S6 only Git is edited. Inside, Flux is held off the objects by its own annotation, and every write carries the resourceVersion that was last seen under this epoch. A 409 that
comes with a higher epoch means that somebody else took over, and ends this holder; any other one is a foreign hand (Flux, where a reconciliation had begun before it was held off), and the write is
tried again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, wait
from contextlib import nullcontext
from dataclasses import dataclass, replace

from bennu.core.clusters import Colour
from bennu.core.switchover import RELEASED
from bennu.errors import DependencyDown, LockLost
from bennu.manifests import traffic_state, tree, write_service
from bennu.phases import authority_term, warm_directory
from bennu.phases.base import World
from bennu.phases.gone import silent
from bennu.phases.kinds import CONFIGMAP, EPOCH, FLUX_RECONCILE, annotations_of, ref_of
from bennu.ports.kubernetes import Conflict, Json, Ref

Data = Mapping[str, str]
OBJECTS = 4  # at the most: ConfigMap and write Service, in two clusters
_TRIES = 5  # of one write against whoever else writes the object at the same moment


@dataclass(frozen=True)
class Said:
    """What the pointer objects of one cluster say: the ConfigMap's data, and the write Service's object as Git has it (None: there is none)."""

    data: Data
    service: Json | None = None


class Pointers:
    """The pointer objects of source and target (or of *colours* alone) during one S6."""

    def __init__(self, world: World, *colours: Colour, threads: Executor | None = None) -> None:
        """*threads* do the writes of a flip, ``OBJECTS`` at once; without them it starts its own, which takes as long as a quick write."""
        self._world, self._threads = world, threads
        self._which = world.write_service
        # A dead source's objects cannot be written; Git says the same, and its Flux applies it should it return.
        self._colours = tuple(colour for colour in colours or (world.rotation.source, world.rotation.target) if not silent(world, colour))
        self._versions: dict[tuple[Colour, Ref], str] = {}
        self.took_s = 0.0  # how long the slowest of the last writes took: what a flip will cost

    def claim(self) -> None:
        """Write our epoch on all, only over a lower or equal one, and hold Flux off. Raises LockLost."""
        self.took_s = 0.0
        for colour in self._colours:
            for ref in self._refs(colour):
                self._apply(colour, ref, None, held=True)

    def flip(self, said: Mapping[Colour, Said]) -> None:
        """Put what is *said* on all objects at the same time."""
        self._all(said, held=True)

    def let_flux(self, said: Mapping[Colour, Said]) -> None:
        """Give all objects back to Flux. Only when Git says the same as *said*."""
        self._all(said, held=False)

    def names(self, colour: Colour) -> bool:
        """Whether any live pointer object names *colour* as the master: by flag and host, or by where the write Service leads."""
        hot = desired(self._world, colour)
        return any(self._points(at, hot[at]) for at in self._colours)

    def says_master(self, colour: Colour) -> bool:
        """Whether the live pointer of *colour* says that it is the master itself."""
        return self._data(colour).get(self._world.conf.pointer.keys.master) == "true"

    def _points(self, at: Colour, hot: Said) -> bool:
        data = self._data(at)
        if all(data.get(key) == hot.data.get(key) for key in self._world.conf.pointer.keys.authority):
            return True
        return hot.service is not None and self._leads_as(at, hot.service)

    def matches(self, said: Mapping[Colour, Said]) -> bool:
        """Whether all live objects say what is *said*."""
        return all(
            {key: self._data(colour).get(key) for key in wanted.data} == dict(wanted.data)
            and (wanted.service is None or self._leads_as(colour, wanted.service))
            for colour, wanted in said.items()
            if colour in self._colours
        )

    def flux_is_off(self) -> bool:
        """Whether Flux is held off any object."""
        return any(annotations_of(self._live(colour, ref)).get(FLUX_RECONCILE) == "disabled" for colour in self._colours for ref in self._refs(colour))

    def _leads_as(self, colour: Colour, service: Json) -> bool:
        which = self._which
        return which is not None and write_service.leads_to(self._live(colour, ref_of(service)), which) == write_service.leads_to(service, which)

    def _data(self, colour: Colour) -> dict[str, str]:
        return dict(self._live(colour, self._ref()).get("data") or {})

    def _content(self, ref: Ref, obj: Json) -> Json:
        """The part of an object that a flip writes."""
        if self._which is not None and ref.kind != CONFIGMAP:
            return {"spec": write_service.moving(obj, self._which)}
        return {"data": dict(obj.get("data") or {})}

    def _all(self, said: Mapping[Colour, Said], *, held: bool) -> None:
        with self._world.systems.crew(OBJECTS) if self._threads is None else nullcontext(self._threads) as threads:
            writes = [
                threads.submit(self._apply, colour, ref, content, held=held)
                for colour, one in said.items()
                if colour in self._colours
                for ref, content in self._contents(one)
            ]
            wait(writes)
            for done in writes:
                done.result()

    def _contents(self, said: Said) -> Iterator[tuple[Ref, Json]]:
        yield self._ref(), {"data": dict(said.data)}
        if said.service is not None:
            ref = ref_of(said.service)
            yield ref, self._content(ref, said.service)

    def _apply(self, colour: Colour, ref: Ref, content: Json | None, *, held: bool) -> None:
        """Write *content*, None for what the object holds: our manager must own what a flip will write, and leave nothing out that an earlier epoch of ours owns."""
        begun = self._world.systems.clock.boot()
        live = self._ours(colour, ref) if content is None or (colour, ref) not in self._versions else None
        for attempt in range(_TRIES):
            if live is not None:
                self._versions[colour, ref] = str(live["metadata"]["resourceVersion"])
            wanted = content if content is not None else self._content(ref, live or {})
            try:
                # Force: Flux' manager owns the fields, and handing them over for these moments is the point. Safe to repeat: same epoch, same content.
                written = self._world.systems.cluster(colour).apply(self._object(colour, ref, wanted, held), force=True)
            except Conflict as error:
                if attempt + 1 == _TRIES:
                    raise DependencyDown(
                        f"somebody keeps writing the pointer of {colour.cluster} during the switchover: {error}",
                        next_step=f"kubectl get {ref.kind.kind.lower()} --show-managed-fields tells who; stop it, then bennu rotate resume",
                    ) from error
                # Raises LockLost where a later holder wrote it. Anyone else has no say here: most likely a reconciliation of Flux that began before it was held off.
                live = self._ours(colour, ref)
                continue
            self._versions[colour, ref] = str(written["metadata"]["resourceVersion"])
            self.took_s = max(self.took_s, self._world.systems.clock.boot() - begun)
            return

    def _object(self, colour: Colour, ref: Ref, content: Json, held: bool) -> Json:
        annotations = {EPOCH: str(self._world.epoch)} | ({FLUX_RECONCILE: "disabled"} if held else {})
        meta = {"name": ref.name, "namespace": ref.namespace, "annotations": annotations, "resourceVersion": self._versions[colour, ref]}
        return {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind, "metadata": meta, **content}

    def _ours(self, colour: Colour, ref: Ref) -> Json:
        """The live object, where no later epoch stands on it. Raises LockLost."""
        live = self._live(colour, ref)
        said = annotations_of(live).get(EPOCH, "")
        # Anything else was written by hand: no holder's epoch, and written over.
        theirs = int(said) if said.isascii() and said.isdigit() else 0
        if theirs > self._world.epoch:
            raise LockLost(f"the pointer of {colour.cluster} carries epoch {theirs}, ours is {self._world.epoch}", next_step="bennu rotate status")
        return live

    def _live(self, colour: Colour, ref: Ref) -> Json:
        found = self._world.systems.cluster(colour).get(ref)
        if found is None:
            raise DependencyDown(
                f"{colour.cluster} has no {ref.kind.kind} {ref.namespace}/{ref.name}",
                next_step="check that its Kustomization applies traffic-state.yaml",
            )
        return found

    def _refs(self, colour: Colour) -> tuple[Ref, ...]:
        """The ConfigMap, and what moves the write Service, in the version that the file has."""
        if self._which is None:
            return (self._ref(),)
        path = self._world.path(colour, tree.TRAFFIC_STATE)
        text = self._world.systems.repository.read(path) or ""
        return self._ref(), ref_of(write_service.document(text, self._which, path))

    def _ref(self) -> Ref:
        where = self._world.conf.pointer.configmap
        return Ref(CONFIGMAP, where.name, where.namespace)


def answering(world: World) -> Pointers:
    """Both clusters' objects, or the source's alone where the target's API does not answer. For whoever knows already that nothing was promoted."""
    both = Pointers(world)
    try:
        both.says_master(world.rotation.target)
    except DependencyDown:
        return Pointers(world, world.rotation.source)
    return both


def released(world: World) -> dict[str, str]:
    """The journal's fact that the authority has moved, now."""
    return {RELEASED: world.systems.clock.wall().isoformat(timespec="milliseconds")}


def desired(world: World, master: Colour, *, maintenance: bool = False) -> dict[Colour, Said]:
    """What both pointers say when *master* has the authority: computed as the commit computes it, from the files in Git."""
    found: dict[Colour, Said] = {}
    for colour in (world.rotation.source, world.rotation.target):
        path = world.path(colour, tree.TRAFFIC_STATE)
        text = edited(world, colour, master, world.systems.repository.read(path) or "", path)
        which = world.write_service
        found[colour] = Said(traffic_state.data(text, path), write_service.document(text, which, path) if which is not None else None)
    if maintenance:
        key = world.conf.pointer.keys.maintenance
        found = {colour: replace(said, data={**said.data, key: "true"}) for colour, said in found.items()}
    return found


def edited(world: World, colour: Colour, master: Colour, text: str, path: str) -> str:
    """traffic-state.yaml of *colour* when *master* has the authority, in the term that this begins."""
    return authority_term.stamped(world, master, warm_directory.pointer_text(world, colour, master, text, path), path)


def sets_maintenance(world: World) -> bool:
    """Whether MAINTENANCE_MODE goes true during the pause: ``auto`` only where every app follows by a watch or the write Service (a mounted file would lag longer than the pause)."""
    mode = world.conf.pointer.maintenance_mode
    return mode == "spec" or (mode == "auto" and all(app.reads_pointer in ("watch", "service") for app in world.conf.apps))
