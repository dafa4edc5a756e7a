"""The lab's provisioner: ``python -m bennu.lab.provision up|down|outputs --lab <dir> --colour <colour>``.

``up`` makes a cluster out of nothing: an API server and its controllers as new processes, a node, a kubeconfig context, and the Secrets that a secret store controller
would bring. ``down`` ends exactly those processes. Both are idempotent. The outputs are one JSON object on the last line.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bennu.core.clusters import Colour
from bennu.errors import BennuError, DependencyDown, StoppedSafe
from bennu.lab import faults, spawn
from bennu.lab.certs import Authority, Subject
from bennu.lab.client import ApiClient
from bennu.lab.controllers.processes_book import end_survivors
from bennu.lab.pacing import period
from bennu.lab.places import ClusterDir, ClusterFacts, LabDir, write_json, write_private

GROUP = "prod/us-east-1"
_READY_S = 30.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, distinct from each other."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def up(lab: LabDir, colour: str) -> Mapping[str, str]:
    """Make the cluster, or complete it; its outputs. Raises StoppedSafe where it does not come up."""
    cluster = lab.cluster(colour)
    with _exclusive(lab, colour):
        if not cluster.exists:
            _made(lab, cluster, colour)
        _running(cluster)
        try:
            asyncio.run(_ready(cluster))
        except (TimeoutError, BennuError) as error:
            raise StoppedSafe(f"cluster {colour} did not come up: {error}", changed="its processes run", next_step=f"see {cluster.root}/logs") from None
        _context_added(lab, cluster)
        found = outputs(lab, colour) or {}
        write_json(cluster.root / "outputs.json", dict(found))
        return found


def outputs(lab: LabDir, colour: str) -> Mapping[str, str] | None:
    """What the cluster offers; None where there is none."""
    cluster = lab.cluster(colour)
    if not cluster.exists:
        return None
    facts = cluster.load()
    return {
        "api_server": facts.api_url,
        "gateway_address": "127.0.0.1",
        "gateway_port": str(facts.gateway_port),
        "gateway_probe_port": str(facts.gateway_probe_port),
        "lb_host": facts.lb_host,
    }


def down(lab: LabDir, colour: str) -> int:
    """End the cluster's processes and remove it; how many were ended."""
    cluster = lab.cluster(colour)
    with _exclusive(lab, colour):
        if not cluster.exists:
            return 0
        processes = cluster.load().processes
        # The controllers first: they end their pods themselves, while the API still answers.
        ended = spawn.end([processes[name] for name in ("controllers",) if name in processes])
        ended += len(end_survivors(cluster.root / "pids.json"))
        ended += spawn.end([processes[name] for name in processes if name != "controllers"])
        _context_removed(lab, colour)
        faults.forgotten(lab, colour)
        # Started by somebody who was killed before the process was written down.
        ended += spawn.end(spawn.strays(cluster.root))
        shutil.rmtree(cluster.root)
        return ended


def _made(lab: LabDir, cluster: ClusterDir, colour: str) -> None:
    api, gateway, probe, metrics = free_ports(4)
    root = cluster.root
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(root / "token", secrets.token_urlsafe(32))
    certificate, key = Authority.load(lab.root).issued(Subject("127.0.0.1", ("localhost",), ("127.0.0.1",)), timedelta(days=365))
    write_private(root / "server.crt", certificate)
    write_private(root / "server.key", key)
    cluster.save(
        ClusterFacts(
            colour=colour,
            group=GROUP,
            api_url=f"https://127.0.0.1:{api}",
            ca_file=str(lab.root / "ca.crt"),
            token_file=str(root / "token"),
            uid=str(uuid.uuid4()),
            gateway_port=gateway,
            gateway_probe_port=probe,
            metrics_port=metrics,
            lb_host=f"ingress-{colour}.lab.test",
            volumes=str(root / "volumes"),
        )
    )


def _running(cluster: ClusterDir) -> None:
    """Start what does not live."""
    facts = cluster.load()
    processes = dict(facts.processes)
    for name in ("kubeapi", "controllers"):
        if name not in processes or not spawn.alive(processes[name]):
            processes[name] = spawn.start([f"bennu.lab.{name}", "--cluster", str(cluster.root)], cluster.root / "logs" / f"{name}.log")
            cluster.save(replace(facts, processes=processes))


async def _ready(cluster: ClusterDir) -> None:
    """The API answers, the node is Ready, the Secrets are there."""
    async with ApiClient.of(cluster) as client, asyncio.timeout(_READY_S):
        while True:
            try:
                nodes = await client.list("v1", "Node")
                if any(c["type"] == "Ready" and c["status"] == "True" for n in nodes for c in n.get("status", {}).get("conditions", [])):
                    break
            except (OSError, DependencyDown):
                pass
            # An inherent period: nothing tells when a server that is starting answers.
            await period(0.05)
        for obj in _secrets(cluster.lab):
            await client.apply(obj, "lab-secret-store")


def _secrets(lab: LabDir) -> Iterator[dict[str, Any]]:
    """Stands for External Secrets: what every cluster of the group gets from the store."""
    password = (lab.root / "redis-password").read_text(encoding="utf-8").strip()
    git = (lab.root / "git-password").read_text(encoding="utf-8").strip()
    for namespace in ("database", "payments", "flux-system"):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    for namespace in ("database", "payments"):
        yield _secret(namespace, "redis-auth", {"redis-password": password})
    yield _secret("flux-system", "flux-system", {"username": "lab", "password": git})


def _secret(namespace: str, name: str, values: Mapping[str, str]) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name, "namespace": namespace}, "data": data}


def _context_added(lab: LabDir, cluster: ClusterDir) -> None:
    facts = cluster.load()
    name = f"lab-{facts.colour}"
    authority = base64.b64encode((lab.root / "ca.crt").read_bytes()).decode()
    config = _without(_kubeconfig(lab), name)
    config["clusters"].append({"name": name, "cluster": {"server": facts.api_url, "certificate-authority-data": authority}})
    config["users"].append({"name": name, "user": {"token": Path(facts.token_file).read_text(encoding="utf-8").strip()}})
    config["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    config["current-context"] = config.get("current-context") or name
    write_private(lab.root / "kubeconfig", yaml.safe_dump(config))


def _context_removed(lab: LabDir, colour: str) -> None:
    name = f"lab-{colour}"
    config = _without(_kubeconfig(lab), name)
    if config.get("current-context") == name:
        config["current-context"] = config["contexts"][0]["name"] if config["contexts"] else ""
    write_private(lab.root / "kubeconfig", yaml.safe_dump(config))


def _kubeconfig(lab: LabDir) -> dict[str, Any]:
    path = lab.root / "kubeconfig"
    found = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return found or {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [], "current-context": ""}


def _without(config: dict[str, Any], name: str) -> dict[str, Any]:
    return {**config, **{part: [one for one in config[part] if one["name"] != name] for part in ("clusters", "users", "contexts")}}


@contextmanager
def _exclusive(lab: LabDir, colour: str) -> Iterator[None]:
    """One provisioning of a colour at a time."""
    lab.root.joinpath("clusters").mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(lab.root / "clusters" / f".{colour}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bennu.lab.provision")
    parser.add_argument("verb", choices=("up", "down", "outputs"))
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--colour", required=True, type=lambda text: Colour.parse(text).value)
    asked = parser.parse_args(arguments)
    lab = LabDir(asked.lab)
    try:
        if asked.verb == "up":
            print(json.dumps(dict(up(lab, asked.colour))))
        elif asked.verb == "down":
            print(f"{down(lab, asked.colour)} processes of cluster {asked.colour} ended")
        else:
            found = outputs(lab, asked.colour)
            if found is None:
                print(f"there is no cluster {asked.colour}", file=sys.stderr)
                return 1
            print(json.dumps(dict(found)))
    except BennuError as error:
        print(error.message, file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
