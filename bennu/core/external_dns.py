"""What an ExternalDNS was started with, and whether it will write a group's records. Pure.

Flags as of ExternalDNS 0.14–0.16: ``--name=value`` or ``--name value``, or ``EXTERNAL_DNS_NAME`` in the environment. A record of another owner is skipped in silence, and the
DNSEndpoint source is off by default: in both cases the promotion would wait for a name server that nobody tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bennu.core.verdict import Verdict, failed, opened

_PREFIX = "EXTERNAL_DNS_"


@dataclass(frozen=True)
class Writer:
    """``owner`` by ``--txt-owner-id``; ``sources`` and ``domains`` (``--domain-filter``) as given; ``policy`` as given."""

    owner: str
    sources: tuple[str, ...]
    domains: tuple[str, ...]
    policy: str


def writer(arguments: Sequence[str], environment: Mapping[str, str]) -> Writer:
    """From a container's arguments and literal environment. The defaults are ExternalDNS' own."""
    given: dict[str, list[str]] = {}
    for name, value in environment.items():
        if name.startswith(_PREFIX):
            given[name.removeprefix(_PREFIX).lower().replace("_", "-")] = value.split("\n")
    spoken: dict[str, list[str]] = {}
    name = ""
    for word in arguments:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            spoken.setdefault(name, [])
            if equals:
                spoken[name].append(value)
                name = ""
        elif name:
            spoken[name].append(word)
            name = ""
    given |= spoken  # a flag outranks the environment
    last = {name: values[-1] for name, values in given.items() if values}
    return Writer(last.get("txt-owner-id", "default"), tuple(given.get("source", ())), tuple(given.get("domain-filter", ())), last.get("policy", "sync"))


def writes(found: Writer, owner: str | None, records: Sequence[str]) -> Verdict:
    """Whether it will write *records* from a DNSEndpoint. *owner* is the group's one owner, None where bennu.yaml doesn't say it."""
    if "crd" not in found.sources:
        return failed("ExternalDNS does not read DNSEndpoints: start it with --source=crd")
    if owner is not None and found.owner != owner:
        return failed(f"ExternalDNS owns its records as {found.owner}, and dns.txt_owner is {owner}: it would skip the records of the other without a word")
    outside = [record for record in records if found.domains and not any(_within(record, domain) for domain in found.domains)]
    if outside:
        return failed(f"ExternalDNS' --domain-filter leaves out {', '.join(outside)}")
    if found.policy == "create-only":
        return failed("ExternalDNS runs with --policy=create-only: it would never move a record")
    return opened(f"owner {found.owner}, policy {found.policy}")


def _within(record: str, domain: str) -> bool:
    name, zone = record.rstrip(".").lower(), domain.strip(".").lower()
    return name == zone or name.endswith(f".{zone}")
