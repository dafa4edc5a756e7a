"""The lab's name server: authoritative for ``lab.test`` over UDP and TCP, with zone transfer and TSIG-signed dynamic update.

Load balancers' own names (``ingress-<colour>.lab.test``: A, and SRV for the real port) stand for a cloud provider's zone; they come from the clusters' directories.
Fault: ``dns`` = down answers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update

from bennu.lab.places import LabDir, write_json

ZONE = dns.name.from_text("lab.test.")
_HEADER, _IS_ANSWER, _OPCODE = 12, 0x80, 0x78
_UDP_LIMIT = 512
_SOA = "ns.lab.test. hostmaster.lab.test. 1 3600 600 86400 1"


class Zone:
    """Records by (name, type); kept in ``dns.json`` so that a restart knows them."""

    def __init__(self, lab: LabDir) -> None:
        self._lab, self._file = lab, lab.root / "dns.json"
        self._records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        if self._file.exists():
            for name, kind, ttl, values in json.loads(self._file.read_text(encoding="utf-8")):
                self._records[(name, kind)] = (ttl, values)

    def find(self, name: dns.name.Name, kind: str) -> dns.rrset.RRset | None:
        """The rrset, from the zone or from the load balancers."""
        key = (name.to_text().lower(), kind)
        entry = self._records.get(key) or self._balancers().get(key)
        return None if entry is None else dns.rrset.from_text(name, entry[0], "IN", kind, *entry[1])

    def knows(self, name: dns.name.Name) -> bool:
        """Whether the name exists with any type."""
        text = name.to_text().lower()
        return any(key[0] == text for key in (*self._records, *self._balancers())) or name == ZONE

    def all(self) -> list[dns.rrset.RRset]:
        """The zone's own records, for a transfer."""
        return [dns.rrset.from_text(name, ttl, "IN", kind, *values) for (name, kind), (ttl, values) in self._records.items()]

    def change(self, rrset: dns.rrset.RRset) -> None:
        """One line of an update (RFC 2136, 2.5)."""
        name, kind = rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype)
        deleting = getattr(rrset, "deleting", None)
        if deleting == dns.rdataclass.ANY:
            for key in [key for key in self._records if key[0] == name and kind in ("ANY", key[1])]:
                del self._records[key]
        elif deleting == dns.rdataclass.NONE:
            ttl, values = self._records.get((name, kind), (0, []))
            gone = {data.to_text() for data in rrset}
            self._put(name, kind, ttl, [value for value in values if value not in gone])
        else:
            # A name has one alias: another one takes its place.
            _, values = (0, list[str]()) if kind == "CNAME" else self._records.get((name, kind), (0, []))
            self._put(name, kind, rrset.ttl, [*values, *(data.to_text() for data in rrset if data.to_text() not in values)])

    def save(self) -> None:
        """Keep it."""
        write_json(self._file, [[name, kind, ttl, values] for (name, kind), (ttl, values) in self._records.items()])

    def _put(self, name: str, kind: str, ttl: int, values: list[str]) -> None:
        if values:
            self._records[(name, kind)] = (ttl, values)
        else:
            self._records.pop((name, kind), None)

    def _balancers(self) -> dict[tuple[str, str], tuple[int, list[str]]]:
        found: dict[tuple[str, str], tuple[int, list[str]]] = {
            ("lab.test.", "SOA"): (60, [_SOA]),
            ("lab.test.", "NS"): (60, ["ns.lab.test."]),
            ("ns.lab.test.", "A"): (60, ["127.0.0.1"]),
        }
        for cluster in self._lab.clusters():
            host = f"{cluster.load().lb_host}."
            port = _ingress_port(cluster.root)
            if port:
                found[(host, "A")] = (1, ["127.0.0.1"])
                found[(f"_http._tcp.{host}", "SRV")] = (1, [f"0 0 {port} {host}"])
        return found


def _ingress_port(cluster: Path) -> int:
    """What the cluster's load balancer listens on: written by the ingress pod when it does."""
    try:
        return int((cluster / "ingress-port").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


class Server:
    """Answers messages; knows no sockets."""

    def __init__(self, lab: LabDir) -> None:
        self._lab, self._zone = lab, Zone(lab)
        name, _, secret = (lab.root / "tsig.key").read_text(encoding="utf-8").strip().partition(":")
        self._keyring = dns.tsigkeyring.from_text({name: secret})

    def answer(self, wire: bytes, limit: int = 65535) -> bytes | None:
        """The wire answer to one message, truncated where it is longer than *limit* octets; None for what deserves none, and while broken."""
        # Too short for a header, or itself an answer: answering those would let two servers talk for ever.
        if self._lab.faults().get("dns") == "down" or len(wire) < _HEADER or wire[2] & _IS_ANSWER:
            return None
        try:
            query = dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.tsig.PeerError, dns.tsig.BadSignature, dns.tsig.BadTime, dns.tsig.BadKey, dns.message.UnknownTSIGKey, NotImplementedError):
            return _refusal(wire, dns.rcode.NOTAUTH)
        except (dns.exception.DNSException, ValueError):
            return _refusal(wire, dns.rcode.FORMERR)
        response = self._answered(query)
        return response.to_wire(max_size=max(limit, query.payload if query.edns >= 0 else 0), prefer_truncation=True)

    def _answered(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query)
        if isinstance(query, dns.update.UpdateMessage):
            response.set_rcode(self._updated(query))
        elif query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
        elif not query.question[0].name.is_subdomain(ZONE):
            response.set_rcode(dns.rcode.REFUSED)
        else:
            response.flags |= dns.flags.AA
            self._looked_up(query.question[0], response)
        return response

    def _looked_up(self, question: dns.rrset.RRset, response: dns.message.Message) -> None:
        if question.rdtype == dns.rdatatype.AXFR:
            soa = self._zone.find(ZONE, "SOA")
            response.answer = [one for one in (soa, self._zone.find(ZONE, "NS"), *self._zone.all(), soa) if one is not None]
            return
        kind, name = dns.rdatatype.to_text(question.rdtype), question.name
        found = self._zone.find(name, kind)
        alias = None if found is not None or kind == "CNAME" else self._zone.find(name, "CNAME")
        if alias is not None:
            response.answer.append(alias)
            found = self._zone.find(alias[0].target, kind)
        if found is not None:
            response.answer.append(found)
        elif alias is None:
            soa = self._zone.find(ZONE, "SOA")
            if soa is not None:
                response.authority.append(soa)
            if not self._zone.knows(name):
                response.set_rcode(dns.rcode.NXDOMAIN)

    def _updated(self, query: dns.update.UpdateMessage) -> dns.rcode.Rcode:
        """All of it or nothing (RFC 2136, 3.4.2.7). Emulated: no prerequisites."""
        if not query.had_tsig:
            return dns.rcode.REFUSED
        if len(query.zone) != 1 or query.zone[0].name != ZONE:
            return dns.rcode.NOTAUTH
        if query.prerequisite:
            return dns.rcode.NOTIMP
        if not all(rrset.name.is_subdomain(ZONE) for rrset in query.update):
            return dns.rcode.NOTZONE
        for rrset in query.update:
            self._zone.change(rrset)
        self._zone.save()
        return dns.rcode.NOERROR


def _refusal(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A header alone: the question's id and opcode, and why there is no answer to it."""
    return wire[:2] + bytes([wire[2] & _OPCODE | _IS_ANSWER, int(rcode)]) + bytes(8)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked by isinstance: Python 3.11's own datagram transport does not derive from DatagramTransport.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | bytes, int]) -> None:
        wire = self._server.answer(data, _UDP_LIMIT)
        if self._transport is not None and wire is not None:
            self._transport.sendto(wire, addr)


@dataclass(frozen=True)
class Listening:
    """Both sockets of a server that listens."""

    udp: asyncio.BaseTransport
    tcp: asyncio.Server

    def close(self) -> None:
        """Stop."""
        self.udp.close()
        self.tcp.close()


async def started(lab: LabDir, port: int) -> Listening:
    """Listen on 127.0.0.1, UDP and TCP. Raises OSError where one of them is taken."""
    server = Server(lab)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                wire = server.answer(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
                if wire is None:
                    break
                writer.write(len(wire).to_bytes(2, "big") + wire)
                await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(server), local_addr=("127.0.0.1", port))
    return Listening(udp, await asyncio.start_server(serve, "127.0.0.1", port))
