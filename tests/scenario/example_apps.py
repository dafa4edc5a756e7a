"""The four example apps as pods of the lab: their Deployments in the fleet's catalog, the ledgers of what was acknowledged to them, and a stand-in for Reloader."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from bennu.lab.client import ApiClient
from bennu.lab.fleet_files import git
from bennu.phases.kinds import REQUESTED_AT
from tests.scenario.rehearsal import Rehearsal

EXAMPLES = Path(__file__).parents[2] / "examples" / "apps"
WAYS = ("watch", "service", "file", "env")
COLOURS = ("blue", "green")
EVERY_S = 0.02
"""Between two entries of an app: what the shortest pause that is seen can be."""
_RELOAD = "configmap.reloader.stakater.com/reload"
_HOME = "clusters/prod/us-east-1/cluster-blue"
_WRITE_SERVICE = """---
# One name in every cluster: it leads to the write master. Bennu alone writes it.
apiVersion: v1
kind: Service
metadata: {name: redis-write, namespace: database}
spec: {type: ExternalName, externalName: redis.database.svc.cluster.local}
"""
_KUSTOMIZATION = """    - apiVersion: kustomize.toolkit.fluxcd.io/v1
      kind: Kustomization
      metadata:
        name: ledgers
        namespace: flux-system
      spec:
        interval: 1m
        retryInterval: 1s
        prune: true
        path: ./catalogs/apps/ledgers
        sourceRef: {kind: GitRepository, name: flux-system}
"""
Json = dict[str, Any]


def code() -> str:
    """The programs as a ConfigMap, which stands for the image."""
    data = {"ledger.py": (EXAMPLES / "ledger.py").read_text(encoding="utf-8")}
    data |= {f"{way}.py": (EXAMPLES / way / "app.py").read_text(encoding="utf-8") for way in WAYS}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ledger-code", "namespace": "payments"}, "data": data})


def deployment(way: str) -> str:
    """deployment.yaml of *way* for the lab: one replica, its code from the ConfigMap, a pace, and a ledger that outlives pod and cluster."""
    found: list[Json] = list(yaml.safe_load_all((EXAMPLES / way / "deployment.yaml").read_text(encoding="utf-8")))
    spec = next(one for one in found if one["kind"] == "Deployment")["spec"]
    spec["replicas"] = 1
    pod = spec["template"]["spec"]
    items = [{"key": "ledger.py", "path": "ledger.py"}, {"key": f"{way}.py", "path": f"{way}/app.py"}]
    pod["volumes"] = [*pod.get("volumes", []), {"name": "code", "configMap": {"name": "ledger-code", "items": items}}]
    container = pod["containers"][0]
    assert container["image"] == "registry.example/ledger:1"
    container["image"] = "bennu.lab/python"
    container["volumeMounts"] = [*container.get("volumeMounts", []), {"name": "code", "mountPath": "/app"}]
    # The lab's pods are processes of one file system: the mounted volume lies below the pod's own directory.
    own = {"ACKNOWLEDGED": "$(BENNU_LAB_CLUSTER).$(POD_NAME)", "EVERY_S": str(EVERY_S), "POINTER": "$(BENNU_LAB_CLUSTER)/pods/payments-$(POD_NAME)/pointer"}
    kept = [one for one in container["env"] if one["name"] not in own]
    container["env"] = [*kept, *({"name": name, "value": value} for name, value in own.items())]
    return yaml.safe_dump_all(found)


def furnished(here: Rehearsal) -> None:
    """The fleet with the four apps and the write Service, committed; one canary weight, since the canary is not what is looked at."""

    def edit(path: str, old: str, new: str) -> None:
        text = (here.fleet / path).read_text(encoding="utf-8")
        assert old in text
        (here.fleet / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    catalog = here.fleet / "catalogs" / "apps" / "ledgers"
    catalog.mkdir()
    for way in WAYS:
        (catalog / f"{way}.yaml").write_text(deployment(way), encoding="utf-8")
    (catalog / "code.yaml").write_text(code(), encoding="utf-8")
    edit(f"{_HOME}/profile-sync.yaml", "  resources:\n", f"  resources:\n{_KUSTOMIZATION}")
    state = here.fleet / _HOME / "traffic-state.yaml"
    state.write_text(state.read_text(encoding="utf-8") + _WRITE_SERVICE, encoding="utf-8")
    service = "mode: service\n      write_service: {namespace: database, name: redis-write, via: externalname}"
    edit("bennu.yaml", "mode: configmap-watch", service)
    # As a group with apps that read a file has it: one of them might be shown the maintenance for longer than it lasts.
    edit("bennu.yaml", "maintenance_mode: auto", "maintenance_mode: 'off'")
    edit("bennu.yaml", "    both:\n", '    both:\n      - {kind: Deployment, namespace: payments, name: "ledger-*"}\n')
    edit("bennu.yaml", "weights: [10, 20, 50, 90]", "weights: [90]")
    git(here.fleet, "add", "--all")
    git(here.fleet, "commit", "--quiet", "--no-gpg-sign", "-m", "Add the ledgers")
    git(here.fleet, "push", "--quiet", str(here.lab.root / "git" / "fleet.git"), "HEAD:main")
    asyncio.run(_hurried(here, "blue"))


async def _hurried(here: Rehearsal, colour: str) -> None:
    async with ApiClient.of(here.lab.cluster(colour)) as client:
        for source in await client.list("source.toolkit.fluxcd.io/v1", "GitRepository", "flux-system"):
            await client.patch(source, {"metadata": {"annotations": {REQUESTED_AT: str(time.time())}}})


@dataclass(frozen=True)
class Entry:
    """An acknowledged write: when (nanoseconds of the machine's monotonic clock), by which pod."""

    at: int
    identity: str
    pod: str


def entries(here: Rehearsal, colour: str, way: str) -> list[Entry]:
    """Everything that was acknowledged to the app *way* in *colour*, in the order of time."""
    found = []
    for file in (here.lab.root / "clusters").glob(f"{colour}.ledger-{way}-*"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        found += [Entry(int(line.split()[0]), line.split()[1], file.name) for line in lines if line.endswith("\n")]
    return sorted(found, key=lambda one: one.at)


def pause_ms(found: list[Entry], begin: int, end: int) -> float:
    """The longest time between two acknowledgements of which at least one lies between *begin* and *end*."""
    gaps = [later.at - earlier.at for earlier, later in pairwise(found) if later.at > begin and earlier.at < end]
    return max(gaps) / 1e6


@contextmanager
def reloader(here: Rehearsal, colours: tuple[str, ...]) -> Iterator[None]:
    """Restarts what is annotated when the pointer's data changes, as Reloader does: by a change of the pod template. Emulated; the rolling restart is the lab's own."""
    ended = threading.Event()
    threads = [threading.Thread(target=lambda colour=colour: asyncio.run(_reloading(here, colour, ended)), daemon=True) for colour in colours]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(15)


async def _reloading(here: Rehearsal, colour: str, ended: threading.Event) -> None:
    known = ""
    async with ApiClient.of(here.lab.cluster(colour)) as client:
        watching = asyncio.create_task(asyncio.to_thread(ended.wait))
        async with aclosing(client.watch("v1", "ConfigMap", "payments")) as events:
            while not ended.is_set():
                event = asyncio.ensure_future(anext(events))
                await asyncio.wait([event, watching], return_when=asyncio.FIRST_COMPLETED)
                if not event.done():
                    event.cancel()
                    await asyncio.gather(event, return_exceptions=True)
                    break
                _, found = event.result()
                if found["metadata"]["name"] != "global-traffic-state":
                    continue
                digest = hashlib.sha256(json.dumps(found.get("data"), sort_keys=True).encode()).hexdigest()
                if known and digest != known:
                    await _restarted(client, digest)
                known = digest


async def _restarted(client: ApiClient, digest: str) -> None:
    for one in await client.list("apps/v1", "Deployment", "payments"):
        if "global-traffic-state" in (one["metadata"].get("annotations") or {}).get(_RELOAD, "").split(","):
            await client.patch(one, {"spec": {"template": {"metadata": {"annotations": {"reloader.stakater.com/last-reloaded-from": digest}}}}})
