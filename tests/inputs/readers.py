"""What the command line does with each of its inputs: it is read as it is read there, and what it says is used as far as that takes no other system."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

from rich.console import Console

from bennu.adapters.checkpoint import FileCheckpoint
from bennu.cli.output import Format, shown
from bennu.cli.screen import records as table_of
from bennu.cli.screen import screen
from bennu.core.clusters import Colour, Group, RotationId
from bennu.core.disaster import given_up_before, sampled
from bennu.core.record import Record, parse_all, rendered
from bennu.core.requests import owed
from bennu.core.states import State
from bennu.engine.cleanup import own_writes
from bennu.engine.journal import Holder, Journal
from bennu.errors import BennuError
from bennu.lab.fleet_files import section
from bennu.manifests import cluster_config, dns_endpoint, flux_sync, ingress_routing, profile_sync, traffic_state, tree, write_service
from bennu.phases import kinds
from bennu.phases.base import Rotation
from bennu.phases.critical_servers import intent_of
from bennu.phases.single_master import left_to_watch
from bennu.ports import repository as port
from bennu.wiring import Options, groups, session
from bennu.wiring.systems import Built
from tests.sim.memory_repository import MemoryRepository
from tests.sim.pilot import ANN, POLICY, Pilot, SimSession, entered, universe
from tests.sim.seams import Taps
from tests.sim.universe import Kit, Universe

GROUP = Group("prod", "us-east-1")
ROOT = Path(__file__).parents[2]
Reader = Callable[[bytes], object]


# The journal's records: of a rotation that ended, and of one that is under way.


@cache
def journals() -> tuple[tuple[Record, ...], ...]:
    world = universe(Kit(weights=(10,)))
    Pilot(world).start()
    found = []
    for one in (world, entered(State.PROMOTED, Kit(weights=(10,)))):
        pilot = Pilot(one)
        assert pilot.session.standing().rotation
        found.append(tuple(pilot.session.journal.records))
    return tuple(found)


@cache
def notes() -> tuple[bytes, ...]:
    """As ``git log`` hands the chain's messages over, and as few records as a reader can be given."""
    whole = [b"".join(record.line().encode() + b"\n\x00\n" for record in found) for found in journals()]
    return (*whole, *(rendered(found[:4] + found[-3:]).encode() for found in journals()))


@cache
def checkpoints() -> tuple[bytes, ...]:
    return tuple(_checkpoint(rendered(found[-20:]).encode()) for found in journals())


def _checkpoint(body: bytes) -> bytes:
    return json.dumps({"format": "bennu-checkpoint-1", "tip": "f" * 40, "sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n" + body


class _Noted(MemoryRepository):
    """A repository whose journal says what it is told."""

    def __init__(self, world: Universe, records: tuple[Record, ...]) -> None:
        super().__init__(world.remote, author=ANN.name, now=world.clock.wall)
        self._records = records

    def journal(self, group: Group) -> port.Journal:
        return port.Journal("f" * 40, self._records)


class _NotedSession(SimSession):
    def __init__(self, world: Universe, records: tuple[Record, ...]) -> None:
        super().__init__(world, ANN, POLICY, Taps())
        found = replace(self._simulated.systems, repository=_Noted(world, records))
        self._simulated = Built(found, self._simulated.box)
        self._pen = Journal(found.repository, found.checkpoint, found.clock, GROUP, Holder(ANN.name, 1))


@cache
def _worlds() -> tuple[Universe, Universe]:
    return universe(Kit(weights=(10,))), entered(State.PROMOTED, Kit(weights=(10,)))


def note(raw: bytes) -> object:
    """``status`` (text, JSON, YAML, --why), and what ``start``, ``rollback``, ``promote``, ``cleanup`` and ``--dr`` judge by."""
    text = raw.decode("utf-8", "surrogateescape")
    records = tuple(record for part in text.split("\x00") for record in parse_all(part))
    here = _NotedSession(_worlds()[len(records) % 2], records)
    found = here.status()
    out = io.StringIO()
    console = Console(width=120, file=out)
    console.print(screen(found))
    console.print(table_of(here.journal.records))
    for form in (Format.JSON, Format.YAML):
        out.write(shown(found, form))
    out.getvalue().encode("utf-8", "backslashreplace")  # as the command line's streams do
    owed(records)
    given_up_before(records)
    own_writes(records, Colour.BLUE)
    standing = here.standing()
    for ask in (
        lambda: here.rotation(standing),
        lambda: here.wanted_weights(standing),
        lambda: here.proposed("", ()),
        lambda: here.refuse_rollback(standing),
        lambda: here.refuse_request("promote", standing),
        lambda: here.refuse_disaster(standing),
        lambda: here.cleanup_of("blue"),
        lambda: here.plan(""),
        lambda: sampled(standing.facts),
        lambda: intent_of(standing.facts),
        lambda: left_to_watch(replace(here.world(here.rotation(standing)), facts=standing.facts)),
    ):
        refused(ask)
    return found


def refused(ask: Callable[[], object]) -> None:
    """A judgement may say no, in words."""
    try:
        ask()
    except BennuError as error:
        assert error.code in range(2, 12), error


class CheckpointReader:
    """What ``start`` and ``resume`` do first. A body that was damaged gets a checksum that fits, every second time: then its records are read."""

    def __init__(self, state: Path) -> None:
        self._checkpoint, self._file = FileCheckpoint(state), state / "checkpoints" / "prod.us-east-1.jsonl"
        self._file.parent.mkdir(parents=True)

    def __call__(self, raw: bytes) -> object:
        if len(raw) % 2:
            raw = _checkpoint(raw.partition(b"\n")[2])
        self._file.write_bytes(raw)
        self._file.chmod(0o600)
        try:
            found = self._checkpoint.load(GROUP)
        finally:
            assert self._file.read_bytes() == raw
        assert found is not None
        return "damaged" if found.damage else found.records


# bennu.yaml


def _template(path: str) -> bytes:
    """A file of the lab's fleet, filled in."""
    text = section((ROOT / "bennu" / "lab" / "fleet" / path).read_text(encoding="utf-8"), without="external")
    provisioner = "    provisioner:\n      kind: command\n      up: [up]\n      down: [down]"
    return re.sub("@@([A-Z]+)@@", lambda found: _FILLED.get(found[1], provisioner), text).encode()


_FILLED = {
    "REMOTE": "http://127.0.0.1:1/fleet.git", "LAB": "/lab", "COLOUR": "blue", "PROMETHEUS": "9090", "DNS": "5353", "REDIS": "redis", "FENCE": "config-rewrite",
    "REDIS_HOST": "redis.database.svc.cluster.local", "OUTPUTS": '  CLUSTER_UID: "uid"\n  GATEWAY_ADDRESS: "127.0.0.1"\n',
}  # fmt: skip


@cache
def settings_files() -> tuple[bytes, ...]:
    return _template("bennu.yaml"), (ROOT / "examples" / "bennu.yaml").read_bytes()


class SettingsReader:
    """What every command does first: settings, numbers, adapters."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "bennu.yaml"
        self._environ = {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}

    def __call__(self, raw: bytes) -> object:
        self._file.write_bytes(raw)
        name = groups(Options(config=self._file, environ=self._environ))[0]
        here = session(Options(config=self._file, environ=self._environ, group=str(name)))
        assert here.policy.name
        assert here.systems
        for colour in Colour:
            assert here.world(Rotation(RotationId(here.group, 1), colour, colour.following)).directory(colour)
        return here.conf


# Manifests


@cache
def manifests() -> Mapping[str, bytes]:
    route = b"apiVersion: gateway.networking.k8s.io/v1alpha2\nkind: TCPRoute\nmetadata: {name: redis-write, namespace: database}\nspec:\n  rules:\n    - backendRefs:\n        - {name: redis, port: 6379}\n"
    found = {name: _template(f"cluster/{name}") for name in (tree.CLUSTER_CONFIG, tree.INGRESS_ROUTING, tree.PROFILE_SYNC, tree.FLUX_SYNC, tree.DNS)}
    return {**found, tree.TRAFFIC_STATE: _template(f"cluster/{tree.TRAFFIC_STATE}") + b"---\n" + route}


def traffic_state_yaml(raw: bytes) -> object:
    text, file = _text(raw), tree.TRAFFIC_STATE
    found = traffic_state.parse(text, file)
    written = [traffic_state.edited(text, state, file) for state in (found.with_authority(), traffic_state.hot("redis", "database"))]
    assert traffic_state.parse(written[1], file) == traffic_state.hot("redis", "database")
    _bytes(written)
    which = write_service.WriteService("database", "redis-write", "tcproute")
    assert write_service.leads_to(write_service.document(write_service.edited(text, which, "redis-x.database.svc.cluster.local", file), which, file), which)
    return found


def ingress_routing_yaml(raw: bytes) -> object:
    text, file, of = _text(raw), tree.INGRESS_ROUTING, ("payments", "payment-split")
    found = ingress_routing.weights(text, *of, file)
    written = ingress_routing.with_weights(text, *of, {"payment-service": 90, "payment-service-cluster-green": 10}, 8080, file)
    assert ingress_routing.weights(written, *of, file)["payment-service-cluster-green"] == 10
    again = ingress_routing.with_weights(written, *of, {"payment-service": 100, "payment-service-cluster-green": None}, 8080, file)
    assert "payment-service-cluster-green" not in ingress_routing.weights(again, *of, file)
    _bytes([written, again])
    return found


def profile_sync_yaml(raw: bytes) -> object:
    text, file, of = _text(raw), tree.PROFILE_SYNC, ("workers", "CronJob", "payments", "settlement-batch")
    found = profile_sync.variant(text, file)
    written = profile_sync.held(text, *of, file)
    assert profile_sync.held(written, *of, file) == written
    _bytes([written, profile_sync.released(written, *of, file), profile_sync.with_variant(text, "warm-reader", file)])
    return found


def cluster_config_yaml(raw: bytes) -> object:
    text, file = _text(raw), tree.CLUSTER_CONFIG
    found = cluster_config.parse(text, file)
    written = cluster_config.fresh(text, GROUP, Colour.GREEN, file)
    assert cluster_config.parse(written, file)["CLUSTER_COLOUR"] == "green"
    pinned = cluster_config.edited(written, {"CLUSTER_UID": "1", "GATEWAY_ADDRESS": "true"}, file)
    assert cluster_config.parse(pinned, file)["CLUSTER_UID"] == "1"
    _bytes([written, pinned, tree.recoloured(text, Colour.BLUE, Colour.GREEN)])
    return found


def flux_sync_yaml(raw: bytes) -> object:
    found = flux_sync.objects(_text(raw), tree.FLUX_SYNC)
    for one in found:
        kinds.ref_of(one)
        json.dumps(one, allow_nan=False)  # as it is sent to the API server
    return found


def dns_yaml(raw: bytes) -> object:
    text, file = _text(raw), tree.DNS
    found = dns_endpoint.ttl(text, file, ("flux-system", "public"))
    _bytes([dns_endpoint.edited(text, ("api.lab.test",), "ingress-green.lab.test", file, ("flux-system", "public"))])
    return found


READERS: Mapping[str, Reader] = {
    tree.TRAFFIC_STATE: traffic_state_yaml, tree.INGRESS_ROUTING: ingress_routing_yaml, tree.PROFILE_SYNC: profile_sync_yaml, tree.CLUSTER_CONFIG: cluster_config_yaml,
    tree.FLUX_SYNC: flux_sync_yaml, tree.DNS: dns_yaml,
}  # fmt: skip


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(texts: Iterable[str]) -> None:
    """Each can be committed."""
    for text in texts:
        text.encode("utf-8", "surrogateescape")
