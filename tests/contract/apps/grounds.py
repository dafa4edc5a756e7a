"""Two clusters (the lab's API servers), two real servers that replicate, Bennu's own hand-over; and what stands for the parts of a cluster by which an app hears of the flip.

Real: both API servers and their watch, Redis, the hand-over, the example apps as processes. Stand-ins, each with a period of its own: the kubelet that renews a mounted volume, Reloader and the
restart that it causes, the resolver that holds an ExternalName for its TTL.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.file_journal import FileRepository
from benchmarks.file_pointer import NAME, NAMESPACE, SERVICE, SERVICE_NAMESPACE, TEMPLATE
from benchmarks.grounds import Grounds, Node
from benchmarks.section import GROUP, Done, Options, Seams, Section, settings
from bennu.core.clusters import Colour
from bennu.engine.journal import Journal
from bennu.manifests import traffic_state, tree, write_service
from bennu.phases.base import Systems, World
from bennu.phases.kinds import CONFIGMAP
from bennu.phases.kinds import SERVICE as SERVICE_KIND
from bennu.ports.kubernetes import Kubernetes, Ref
from bennu.settings import Settings
from tests.contract.kubernetes.clusters import TOKEN, LabCluster, lab
from tests.contract.kubernetes.pki import Authority
from tests.contract.redis.servers import RealHands, pair, until

EXAMPLES = Path(__file__).parents[3] / "examples" / "apps"
PASSWORD = "open-sesame"
LOCAL = f"{SERVICE}.{SERVICE_NAMESPACE}.svc.cluster.local"
WRITE = write_service.WriteService(SERVICE_NAMESPACE, "redis-write", "externalname")
WRITE_NAME = f"{WRITE.name}.{WRITE.namespace}.svc.cluster.local"
DOCUMENT = (
    f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {WRITE.name}, namespace: {WRITE.namespace}}}\nspec: {{type: ExternalName, externalName: {LOCAL}}}\n"
)


def mirror(colour: Colour) -> str:
    return f"{SERVICE}-{colour.cluster}.{SERVICE_NAMESPACE}.svc.cluster.local"


def told() -> Settings:
    """The benchmarks' settings with a write Service."""
    found = settings().model_dump(by_alias=True)
    service = {"namespace": WRITE.namespace, "name": WRITE.name, "via": WRITE.via}
    found["groups"][str(GROUP)]["pointer"] |= {"mode": "service", "write_service": service}
    return Settings.model_validate(found)


@dataclass
class HandOver(Section):
    """The benchmarks' hand-over with those settings."""

    told: Settings = field(default_factory=told)

    def _world(self, systems: Systems, journal: Journal) -> World:
        return replace(super()._world(systems, journal), settings=self.told)


@dataclass(frozen=True)
class Stage:
    """Blue is the master, green its replica. The app runs in blue."""

    blue: LabCluster
    green: LabCluster
    source: RealHands
    target: RealHands
    folder: Path

    def handed_over(self) -> Done:
        """Bennu's S6."""
        grounds = Grounds(_node(self.source), _node(self.target), self.folder / "unused", self.folder / "state", PASSWORD)
        texts = {colour: _text(colour) for colour in (Colour.BLUE, Colour.GREEN)}
        layout = told().repository.layout.clusters
        files = {f"{tree.cluster_dir(layout, GROUP, colour)}/{tree.TRAFFIC_STATE}": text for colour, text in texts.items()}
        apis: dict[Colour, Kubernetes] = {Colour.BLUE: self.blue.api, Colour.GREEN: self.green.api}
        seams = Seams(cluster=lambda colour, real: apis[colour], repository=lambda real: FileRepository(self.folder / "state", files))
        return HandOver(grounds, seams, Options()).run()

    def pointer(self) -> dict[str, str]:
        """The live ConfigMap's data in blue."""
        live = self.blue.api.get(Ref(CONFIGMAP, NAME, NAMESPACE))
        assert live is not None
        return dict(live["data"])

    @property
    def hosts(self) -> Path:
        """What the cluster's DNS says."""
        return self.folder / "hosts"


def _node(hands: RealHands) -> Node:
    return Node(hands.address, hands.address, hands.address)


def _text(colour: Colour) -> str:
    warm = traffic_state.warm(SERVICE, SERVICE_NAMESPACE, mirror=f"{SERVICE}-{Colour.BLUE.cluster}")
    text = traffic_state.edited(TEMPLATE + DOCUMENT, traffic_state.hot(SERVICE, SERVICE_NAMESPACE) if colour is Colour.BLUE else warm, "f")
    return write_service.edited(text, WRITE, LOCAL if colour is Colour.BLUE else mirror(Colour.BLUE), "f")


def _furnished(cluster: LabCluster, colour: Colour, other: RealHands) -> None:
    for name in (NAMESPACE, SERVICE_NAMESPACE):
        cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for obj in yaml.safe_load_all(_text(colour)):
        cluster.api.apply(obj)
    peer = Colour.GREEN if colour is Colour.BLUE else Colour.BLUE
    meta = {"name": f"{SERVICE}-{peer.cluster}", "namespace": SERVICE_NAMESPACE}
    subsets = [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"port": other.address.port}]}]
    cluster.api.apply({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets})


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    authority = Authority()
    with ExitStack() as stack:
        places = [folder / name for name in ("blue", "green", "redis", "state")]
        for place in places:
            place.mkdir()
        blue, green = (stack.enter_context(lab(place, authority)) for place in places[:2])
        source, target = stack.enter_context(pair("valkey", folder / "redis"))
        assert isinstance(source, RealHands) and isinstance(target, RealHands)
        target.server.replicate(source.address)
        until(lambda: target.server.observe().link_up and any(one.state == "online" for one in source.server.observe().replicas), "the target follows")
        until(lambda: not target.server.observe().saving_or_loading, "the target has written its file")
        _furnished(blue, Colour.BLUE, target)
        _furnished(green, Colour.GREEN, source)
        account = folder / "account"
        account.mkdir()
        (account / "token").write_text(TOKEN)
        (account / "ca.crt").write_text(authority.pem)
        stage = Stage(blue, green, source, target, folder)
        resolved(stage)
        yield stage


def resolved(stage: Stage) -> None:
    """DNS as it is now: the local Service, the mirror, and the write Service's CNAME followed."""
    ports = {LOCAL: stage.source.address.port, mirror(Colour.GREEN): stage.target.address.port}
    live = stage.blue.api.get(Ref(SERVICE_KIND, WRITE.name, WRITE.namespace))
    assert live is not None
    ports[WRITE_NAME] = ports[write_service.leads_to(live, WRITE)]
    _replaced(stage.hosts, "".join(f"{name} 127.0.0.1 {port}\n" for name, port in ports.items()))


def mounted(stage: Stage) -> None:
    """The volume as the kubelet writes it: a file for each key."""
    (stage.folder / "volume").mkdir(exist_ok=True)
    for key, value in stage.pointer().items():
        _replaced(stage.folder / "volume" / key, value)


def _replaced(file: Path, text: str) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)


class App:
    """One example as a process; ``restart`` is what Reloader's rolling restart comes down to for one pod."""

    def __init__(self, stage: Stage, way: str) -> None:
        self._stage, self._way = stage, way
        self.ledger = stage.folder / "acknowledged"
        self._process = self._started()

    def restart(self) -> None:
        self.stop()
        self._process = self._started()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)

    def acknowledged(self) -> list[tuple[int, str]]:
        """(nanoseconds, id) of every acknowledged write."""
        lines = self.ledger.read_text(encoding="utf-8").splitlines(keepends=True) if self.ledger.exists() else []
        return [(int(line.split()[0]), line.split()[1]) for line in lines if line.endswith("\n")]

    def _started(self) -> subprocess.Popen[bytes]:
        place = self._stage.folder
        own = {"ACKNOWLEDGED": str(self.ledger), "HOSTS": str(self._stage.hosts), "REDIS_PASSWORD": PASSWORD, "POINTER": str(place / "volume")}
        own |= {"API": self._stage.blue.url, "ACCOUNT": str(place / "account"), "REDIS_WRITE_HOST": self._stage.pointer()["REDIS_WRITE_HOST"]}
        return subprocess.Popen([sys.executable, str(EXAMPLES / self._way / "app.py")], env={**os.environ, **own})


@contextmanager
def every(seconds: float, act: Any) -> Iterator[None]:
    """*act* once a period, as kubelets and caches do, from now on."""
    ended = threading.Event()

    def go() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
