"""The contract of ``Dns``, of real servers on loopback and of the one in memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from bennu.adapters.dns import DnsOverSocket
from bennu.errors import DependencyDown, UsageError
from bennu.ports.dns import Dns, DnsAnswer
from tests.sim.memory_dns import MemoryDns


class NameServer:
    """Answers from a list of resource records, over UDP and TCP on one port. ``truncating``: UDP answers are cut short."""

    def __init__(self) -> None:
        self.records: list[str] = []
        self.rcode = dns.rcode.NOERROR
        self.truncating = False
        self._closed = False
        self._udp, self._tcp = _bound()
        self.port = int(self._udp.getsockname()[1])
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, daemon=True).start()

    @property
    def where(self) -> str:
        return f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._closed = True
        for one in (self._udp, self._tcp):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _answer(self, wire: bytes) -> dns.message.Message:
        query = dns.message.from_wire(wire)
        answer = dns.message.make_response(query)
        answer.set_rcode(self.rcode)
        asked = query.question[0]
        for line in self.records:
            name, ttl, kind, *rest = line.split()
            rrset = dns.rrset.from_text(name, int(ttl), "IN", kind, " ".join(rest))
            if rrset.name == asked.name and rrset.rdtype in {asked.rdtype, dns.rrset.from_text(name, 1, "IN", "CNAME", "a.").rdtype}:
                known = answer.find_rrset(answer.answer, rrset.name, rrset.rdclass, rrset.rdtype, create=True)
                for rdata in rrset:
                    known.add(rdata, rrset.ttl)
        return answer

    def _serve_udp(self) -> None:
        with suppress(OSError):
            while True:
                wire, peer = self._udp.recvfrom(4096)
                if self._closed:
                    return
                answer = self._answer(wire)
                if self.truncating:
                    answer.answer = []
                    answer.flags |= dns.flags.TC
                self._udp.sendto(answer.to_wire(), peer)

    def _serve_tcp(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._tcp.accept()
                with client:
                    size = int.from_bytes(client.recv(2), "big")
                    wire = self._answer(client.recv(size)).to_wire()
                    client.sendall(len(wire).to_bytes(2, "big") + wire)


def _bound() -> tuple[socket.socket, socket.socket]:
    """UDP and TCP on one free port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        try:
            return udp, socket.create_server(udp.getsockname())
        except OSError:  # somebody's TCP connection has the number
            udp.close()


class World(Protocol):
    """A resolver, one server of its, and a way to publish."""

    dns: Dns
    server: str

    def publish(self, record: str, kind: str, *targets: str, ttl_s: int) -> None: ...


class RealWorld:
    def __init__(self, server: NameServer) -> None:
        self.dns: Dns = DnsOverSocket(timeout_s=2)
        self.server = server.where
        self._server = server

    def publish(self, record: str, kind: str, *targets: str, ttl_s: int) -> None:
        self._server.records += [f"{record}. {ttl_s} {kind} {target}{'.' if kind == 'CNAME' else ''}" for target in targets]


class MemoryWorld:
    def __init__(self) -> None:
        memory = MemoryDns()
        self.dns: Dns = memory
        self._memory = memory
        self.server = "10.0.0.1"

    def publish(self, record: str, kind: str, *targets: str, ttl_s: int) -> None:
        self._memory.publish(record, *targets, ttl_s=ttl_s, servers=(self.server,))


@pytest.fixture
def server() -> Iterator[NameServer]:
    found = NameServer()
    yield found
    found.close()


@pytest.fixture(params=["real", "memory"])
def world(request: pytest.FixtureRequest) -> World:
    return RealWorld(request.getfixturevalue("server")) if request.param == "real" else MemoryWorld()


def test_an_alias_is_told_with_its_time_to_live(world: World) -> None:
    world.publish("api.lab.test", "CNAME", "ingress-green.lab.test", ttl_s=2)
    assert world.dns.ask("api.lab.test", world.server) == DnsAnswer(world.server, ("ingress-green.lab.test",), 2)


def test_addresses_are_told_too(world: World) -> None:
    world.publish("api.lab.test", "A", "10.0.0.7", "10.0.0.8", ttl_s=300)
    assert world.dns.ask("api.lab.test", world.server) == DnsAnswer(world.server, ("10.0.0.7", "10.0.0.8"), 300)


def test_a_name_that_is_not_there_has_no_targets(world: World) -> None:
    assert world.dns.ask("gone.lab.test", world.server).targets == ()


def test_a_name_that_does_not_exist_at_all_has_no_targets(server: NameServer) -> None:
    server.rcode = dns.rcode.NXDOMAIN
    assert DnsOverSocket().ask("gone.lab.test", server.where) == DnsAnswer(server.where, (), 0)


def test_addresses_of_both_families_are_joined(server: NameServer) -> None:
    server.records = ["api.lab.test. 60 A 10.0.0.7", "api.lab.test. 30 AAAA fd00::7"]
    assert DnsOverSocket().ask("api.lab.test", server.where) == DnsAnswer(server.where, ("10.0.0.7", "fd00::7"), 30)


def test_an_answer_that_is_too_long_for_udp_is_fetched_over_tcp(server: NameServer) -> None:
    server.records, server.truncating = ["api.lab.test. 5 CNAME ingress-blue.lab.test."], True
    assert DnsOverSocket().ask("api.lab.test", server.where).targets == ("ingress-blue.lab.test",)


def test_a_server_that_fails_is_a_dependency_that_is_down(server: NameServer) -> None:
    server.rcode = dns.rcode.SERVFAIL
    with pytest.raises(DependencyDown, match="SERVFAIL"):
        DnsOverSocket().ask("api.lab.test", server.where)


def test_a_silent_server_is_given_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        with pytest.raises(DependencyDown, match="no answer in time"):
            DnsOverSocket(timeout_s=0.2).ask("api.lab.test", f"127.0.0.1:{mute.getsockname()[1]}")


def test_the_authoritative_servers_are_found_up_the_tree_and_joined(server: NameServer) -> None:
    server.records = [
        "api.lab.test. 5 CNAME ingress-green.lab.test.",
        "lab.test. 60 NS ns1.lab.test.",
        "ns1.lab.test. 60 A 127.0.0.1",
    ]
    assert DnsOverSocket(server.where).ask("api.lab.test", "authoritative") == DnsAnswer("authoritative", ("ingress-green.lab.test",), 5)


def test_a_zone_that_nobody_serves_is_said(server: NameServer) -> None:
    with pytest.raises(DependencyDown, match="no name server is known"):
        DnsOverSocket(server.where).ask("api.lab.test", "authoritative")


@pytest.mark.parametrize("name_server", ["127.0.0.1:dns", "127.0.0.1:99999"])
def test_a_server_that_is_no_address_is_a_usage_error(name_server: str) -> None:
    with pytest.raises(UsageError):
        DnsOverSocket().ask("api.lab.test", name_server)


def test_a_name_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not a DNS name"):
        DnsOverSocket().ask("a..b", "127.0.0.1")
