"""What name servers answer, each asked directly; no cache, no search list. Whether a change has spread enough is not decided here."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bennu.errors import DependencyDown, UsageError
from bennu.ports.dns import DnsAnswer

if TYPE_CHECKING:
    from dns.message import Message
    from dns.name import Name
    from dns.rrset import RRset

AUTHORITATIVE = "authoritative"


@dataclass(frozen=True)
class _Where:
    """A name server's address, and the name under which the operator knows it."""

    host: str
    port: int
    shown: str


class DnsOverSocket:
    """The port ``Dns`` with dnspython: UDP, then TCP where an answer was cut short.

    *resolver* (``host`` or ``host:port``) is who is asked for a zone's name servers and their addresses; empty: the system's.
    """

    def __init__(self, resolver: str = "", timeout_s: float = 3.0) -> None:
        self._resolver = resolver
        self._timeout_s = timeout_s

    def ask(self, record: str, server: str) -> DnsAnswer:
        """See the port. ``authoritative`` asks all of the zone's name servers that answer, and joins what they say: a straggler shows up as a second target."""
        name = _name(record)
        if server != AUTHORITATIVE:
            return self._asked(name, self._where(server), server)
        answers, silent = [], []
        for where in self._authorities(name):
            try:
                answers.append(self._asked(name, where, AUTHORITATIVE))
            except DependencyDown as error:
                silent.append(error)
        if not answers:
            raise silent[0] if silent else DependencyDown(f"the zone of {record} names no server that can be reached")
        targets = tuple(dict.fromkeys(target for answer in answers for target in answer.targets))
        return DnsAnswer(AUTHORITATIVE, targets, max(answer.ttl_s for answer in answers))

    def _asked(self, name: Name, where: _Where, server: str) -> DnsAnswer:
        first = self._exchange(name, "A", where)
        here = [rrset for rrset in first.answer if rrset.name == name]
        alias = _of_type(here, "CNAME")
        if alias is not None:
            return DnsAnswer(server, _targets([alias]), alias.ttl)
        second = self._exchange(name, "AAAA", where)
        found = [rrset for rrset in (_of_type(here, "A"), _of_type((r for r in second.answer if r.name == name), "AAAA")) if rrset is not None]
        return DnsAnswer(server, _targets(found), min((rrset.ttl for rrset in found), default=0))

    def _exchange(self, name: Name, rdtype: str, where: _Where) -> Message:
        """One question, one answer. NXDOMAIN is an answer; SERVFAIL and REFUSED are none."""
        import dns.exception
        import dns.message
        import dns.query
        import dns.rcode

        question = dns.message.make_query(name, rdtype)
        try:
            answer, _ = dns.query.udp_with_fallback(question, where.host, timeout=self._timeout_s, port=where.port)
        except dns.exception.Timeout:
            raise _down(where, "no answer in time") from None
        except (OSError, dns.exception.DNSException) as error:
            raise _down(where, getattr(error, "strerror", None) or str(error) or type(error).__name__) from None
        if answer.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
            raise _down(where, f"it answered {dns.rcode.to_text(answer.rcode())} for {name}")
        return answer

    def _where(self, server: str) -> _Where:
        """``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address; a name is looked up first."""
        host, port = _split(server)
        try:
            return _Where(str(ipaddress.ip_address(host)), port, server)
        except ValueError:
            pass
        addresses = self._addresses(_name(host))
        if not addresses:
            raise DependencyDown(f"the name server {host} has no address")
        return _Where(addresses[0], port, server)

    def _authorities(self, name: Name) -> Sequence[_Where]:
        """The zone's name servers: up from *name* until somebody names them."""
        asked = self._upstream()
        zone = name
        while True:
            answer = self._exchange(zone, "NS", asked)
            named = _of_type((rrset for rrset in answer.answer if rrset.name == zone), "NS")
            if named is not None:
                break
            if len(zone.labels) <= 2:
                raise DependencyDown(f"no name server is known for {name}", next_step="check dns.records, and whether this machine resolves the zone")
            zone = zone.parent()
        # A name server's own port is 53, except where the whole zone is served by the resolver that was configured (a private view, a rehearsal).
        hosts = [rdata.target for rdata in named]
        return [_Where(address, asked.port, str(host).rstrip(".")) for host in hosts for address in self._addresses(host)[:1]]

    def _addresses(self, name: Name) -> list[str]:
        asked = self._upstream()
        found = []
        for rdtype in ("A", "AAAA"):
            answer = self._exchange(name, rdtype, asked)
            found += [rdata.address for rrset in answer.answer if _kind(rrset) == rdtype for rdata in rrset]
        return found

    def _upstream(self) -> _Where:
        if self._resolver:
            host, port = _split(self._resolver)
            return _Where(host, port, self._resolver)
        import dns.resolver

        try:
            system = dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            raise DependencyDown("this machine has no name server configured (/etc/resolv.conf)", next_step="name resolvers in dns.verify") from None
        host = str(system.nameservers[0])
        return _Where(host, system.port, host)


def _name(text: str) -> Name:
    import dns.exception
    import dns.name

    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError):
        raise UsageError(f"{text!r} is not a DNS name") from None


def _split(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        return server.strip("[]"), 53
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{server!r} is not a name server", next_step="write host, host:port or [v6-address]:port")
    return host.strip("[]"), int(port)


def _kind(rrset: RRset) -> str:
    import dns.rdatatype

    return dns.rdatatype.to_text(rrset.rdtype)


def _of_type(rrsets: Iterable[RRset], kind: str) -> RRset | None:
    return next((rrset for rrset in rrsets if _kind(rrset) == kind), None)


def _targets(rrsets: Iterable[RRset]) -> tuple[str, ...]:
    return tuple(sorted(rdata.to_text().rstrip(".") for rrset in rrsets for rdata in rrset))


def _down(where: _Where, why: str) -> DependencyDown:
    return DependencyDown(f"the name server {where.shown} does not serve: {why}", next_step="check dns.verify in bennu.yaml, and the server")
