"""dns.yaml: an ExternalDNS DNSEndpoint (externaldns.k8s.io/v1alpha1). Only the targets of the named records are touched."""

from __future__ import annotations

import ipaddress
from typing import Any

from bennu.errors import ConfigError
from bennu.manifests import yaml_edit, yaml_read

_KIND = "DNSEndpoint"
# (namespace, name) of the document, None where the file has only one.
Which = tuple[str, str] | None
# The types that name a place; a TXT or MX beside them is somebody's else.
_ADDRESSES = ("A", "AAAA", "CNAME", "")


def edited(text: str, records: tuple[str, ...], balancer: str, file: str, which: Which = None) -> str:
    """The file with every record of *records* pointing at *balancer* alone. Raises ConfigError for a record that isn't there once, or is of a type that cannot hold it."""
    for record in records:
        found = _endpoints(text, file, which)
        fitting = [index for index, one in enumerate(found) if _name(one.get("dnsName")) == _name(record) and _type(one) in _ADDRESSES]
        if not fitting:
            raise ConfigError(f"the DNSEndpoint has no record {record}", file=file, line=1, next_step="add it, or correct dns.records in bennu.yaml")
        if len(fitting) > 1:
            raise ConfigError(
                f"the DNSEndpoint has {len(fitting)} records {record}: which one follows the write master?",
                file=file,
                line=yaml_read.line_of(found[fitting[1]]),
                next_step="keep one",
            )
        if _type(found[fitting[0]]) not in ("", _needed(balancer)):
            raise ConfigError(
                f"record {record} has type {_type(found[fitting[0]])}, and the load balancer {balancer} needs {_needed(balancer)}",
                file=file,
                line=yaml_read.line_of(found[fitting[0]], ("recordType",)),
                next_step="correct its recordType",
            )
        text = yaml_edit.set_value(text, yaml_edit.Target(_KIND, *reversed(which or ())), ("spec", "endpoints", fitting[0], "targets"), [balancer], file)
    return text


def ttl(text: str, file: str, which: Which = None) -> int:
    """The longest recordTTL in seconds; 0 where none is said. Raises ConfigError for one that is no number."""
    longest = 0
    for one in _endpoints(text, file, which) if text else []:
        found = one.get("recordTTL") or 0
        if not isinstance(found, int) or isinstance(found, bool):
            raise ConfigError("a recordTTL is no number of seconds", file=file, line=yaml_read.line_of(one, ("recordTTL",)))
        longest = max(longest, found)
    return longest


def _endpoints(text: str, file: str, which: Which) -> list[dict[str, Any]]:
    target = yaml_edit.Target(_KIND, *reversed(which or ()))
    found = [one for one in yaml_read.objects(text, file) if target.fits(one)]
    if len(found) != 1:
        named = f" {'/'.join(which)}" if which else ""
        raise ConfigError(f"one {_KIND}{named} was expected, {len(found)} found", file=file, line=1, next_step="dns.endpoint in bennu.yaml names it")
    return yaml_read.mappings(found[0], ("spec", "endpoints"), file)


def _name(value: object) -> str:
    return str(value).rstrip(".").lower()


def _type(endpoint: dict[str, Any]) -> str:
    return str(endpoint.get("recordType") or "")


def _needed(balancer: str) -> str:
    try:
        return "AAAA" if ipaddress.ip_address(balancer).version == 6 else "A"
    except ValueError:
        return "CNAME"
