"""Whether the source's ExternalDNS writes the group's records at all: asked before a rotation, since S7 would wait for it in vain."""

from __future__ import annotations

from bennu.core import external_dns
from bennu.core.verdict import Verdict, failed, opened
from bennu.phases.base import World
from bennu.phases.kinds import BY_NAME
from bennu.ports.kubernetes import Json, Ref


def record_writer(world: World) -> Verdict:
    """Its flags at the source: DNSEndpoints read, the group's owner, no domain filter in the way."""
    dns = world.conf.dns
    if dns is None:
        return opened("no DNS record is configured")
    where = dns.controller
    if where is None:
        return opened("ExternalDNS runs outside the group's clusters: its flags cannot be seen from here")
    live = world.source.get(Ref(BY_NAME[where.kind], where.name, where.namespace))
    if live is None:
        return failed(f"{where.kind} {where.namespace}/{where.name} is not at the source")
    return external_dns.writes(_writer(live), dns.txt_owner, dns.records)


def _writer(workload: Json) -> external_dns.Writer:
    """Of the container that is ExternalDNS by image or name, else of the first: charts put proxies and exporters beside it."""
    containers = workload.get("spec", {}).get("template", {}).get("spec", {}).get("containers") or [{}]
    container = next((one for one in containers if "external-dns" in f"{one.get('image', '')} {one.get('name', '')}"), containers[0])
    environment = {str(one.get("name")): str(one["value"]) for one in container.get("env") or [] if "value" in one}
    return external_dns.writer([str(word) for word in [*(container.get("command") or []), *(container.get("args") or [])]], environment)
