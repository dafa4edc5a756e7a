"""Stands for ExternalDNS: DNSEndpoint objects → the lab's name server by dynamic update (RFC 2136, TSIG), owned through TXT records.

As the real one: it acts only while its Deployment runs; under policy ``sync`` it deletes records of its own owner id that it no longer sees in *its own* cluster, which is
how a second cluster with the same owner can delete a live record. Emulated: A and CNAME records only.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.zone

from bennu.lab.controllers.network_informers import Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext

KIND = Watched("externaldns.k8s.io/v1alpha1", "DNSEndpoint")
ZONE = "lab.test"
_PREFIX = "externaldns-"
_OWNER = re.compile(r'external-dns/owner=([^,"]*)')
_PERIOD = 1.0  # the real one's --interval is a minute; scaled


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Flags:
    """From the Deployment's arguments."""

    owner: str
    policy: str


def flags(deployment: dict[str, Any] | None) -> Flags | None:
    """None where it doesn't run (no Deployment, or no available replica)."""
    if deployment is None or not (deployment.get("status") or {}).get("availableReplicas"):
        return None
    containers = deployment["spec"]["template"]["spec"]["containers"]
    args = dict(arg.lstrip("-").split("=", 1) for arg in containers[0].get("args") or [] if "=" in arg)
    return Flags(args.get("txt-owner-id", "default"), args.get("policy", "sync"))


@dataclass(frozen=True)
class Record:
    """One endpoint. Names and targets without the final dot; ``ttl`` in seconds."""

    name: str
    kind: str
    targets: tuple[str, ...]
    ttl: int


def _wanted(obj: dict[str, Any]) -> Iterator[Record]:
    """A DNSEndpoint's endpoints that are in the zone and complete; the others are passed over, as by the real one."""
    for one in obj["spec"].get("endpoints") or []:
        name, kind = str(one.get("dnsName", "")).rstrip(".").lower(), str(one.get("recordType", ""))
        targets = tuple(str(target).rstrip(".") for target in one.get("targets") or [])
        if name.endswith(f".{ZONE}") and kind in ("A", "CNAME") and targets:
            yield Record(name, kind, targets, int(one.get("recordTTL") or 300))
        else:
            _log.info("endpoint %r of DNSEndpoint %s is skipped", name, obj["metadata"]["name"])


class Records:
    """The records of one cluster."""

    def __init__(self, ctx: ControllerContext, endpoints: Informer, deployments: Informer) -> None:
        self._ctx, self._endpoints, self._deployments = ctx, endpoints, deployments

    async def look(self) -> float | None:
        """Compare wanted with what the server has, and send the difference."""
        running = flags(self._deployments.get("external-dns", "external-dns"))
        if running is not None:
            try:
                await self._synchronised(running)
            except (OSError, EOFError, dns.exception.DNSException) as problem:
                _log.info("will try again: %r", problem)  # the name server is away, or refuses
        return _PERIOD

    async def _synchronised(self, running: Flags) -> None:
        wanted = {one.name: one for obj in self._endpoints for one in _wanted(obj)}
        current, owners = await asyncio.to_thread(self._zone)
        update = dns.update.UpdateMessage(ZONE, **self._tsig())
        for name, one in wanted.items():
            # A record of another owner, or of nobody, is silently skipped, as the real one does.
            foreign = (name in current or name in owners) and owners.get(name) != running.owner
            same = current.get(name) == (one.kind, sorted(one.targets), one.ttl) and name in owners
            if foreign or same or (running.policy == "create-only" and name in current):
                continue
            update.delete(_relative(name))
            for target in one.targets:
                update.add(_relative(name), one.ttl, one.kind, f"{target}." if one.kind == "CNAME" else target)
            update.replace(_relative(_PREFIX + name), one.ttl, "TXT", f'"heritage=external-dns,external-dns/owner={running.owner}"')
        if running.policy == "sync":
            for name, owner in owners.items():
                if owner == running.owner and name not in wanted:
                    update.delete(_relative(name))
                    update.delete(_relative(_PREFIX + name))
        if update.update:
            answer = await asyncio.to_thread(dns.query.tcp, update, "127.0.0.1", 3, self._port())
            if answer.rcode() != dns.rcode.NOERROR:
                raise OSError(f"update refused: {dns.rcode.to_text(answer.rcode())}")

    def _zone(self) -> tuple[dict[str, tuple[str, list[str], int]], dict[str, str]]:
        zone = dns.zone.from_xfr(dns.query.xfr("127.0.0.1", ZONE, port=self._port(), timeout=3, relativize=False), relativize=False)
        current: dict[str, tuple[str, list[str], int]] = {}
        owners: dict[str, str] = {}
        for name, ttl, data in zone.iterate_rdatas():
            text = name.to_text(omit_final_dot=True)
            if data.rdtype == dns.rdatatype.TXT and text.startswith(_PREFIX):
                owner = _OWNER.search(data.to_text())
                owners[text.removeprefix(_PREFIX)] = owner[1] if owner else ""
            elif data.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.A):
                kind, targets, _ = current.get(text, (dns.rdatatype.to_text(data.rdtype), [], ttl))
                current[text] = (kind, sorted([*targets, data.to_text().rstrip(".")]), ttl)
        return current, owners

    def _port(self) -> int:
        return int(self._ctx.cluster.lab.load().ports["dns"])

    def _tsig(self) -> dict[str, Any]:
        name, _, secret = (self._ctx.cluster.lab.root / "tsig.key").read_text(encoding="utf-8").strip().partition(":")
        return {"keyring": dns.tsigkeyring.from_text({name: secret}), "keyname": name}


def _relative(name: str) -> str:
    return name.removesuffix(f".{ZONE}")


async def run(ctx: ControllerContext) -> None:
    """Follow until the context's stop event is set."""
    endpoints, deployments = shared(ctx.client, KIND), shared(ctx.client, Watched("apps/v1", "Deployment"))
    async with following([endpoints, deployments]) as changed:
        await reconcile(ctx.stop, changed, Records(ctx, endpoints, deployments).look)
