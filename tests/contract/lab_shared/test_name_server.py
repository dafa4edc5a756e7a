"""The lab's name server over real sockets: what it answers, whom it obeys, and that nothing it is sent ends it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsigkeyring
import dns.update
import dns.zone
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bennu.adapters.dns import DnsOverSocket
from bennu.lab.places import LabDir
from bennu.lab.shared.name_server import Server
from bennu.ports.dns import DnsAnswer
from tests.contract.lab_node.clusters import run
from tests.contract.lab_shared.stand import SECRET, described, lab_dir, names

KEY = dns.tsigkeyring.from_text({"lab-key": SECRET})
WRONG = dns.tsigkeyring.from_text({"lab-key": "d3Jvbmc="})
UNKNOWN = dns.tsigkeyring.from_text({"other-key": SECRET})


@pytest.fixture
def lab(tmp_path: Path) -> LabDir:
    return lab_dir(tmp_path)


async def asked(port: int, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    if tcp:
        return await dns.asyncquery.tcp(query, "127.0.0.1", timeout=5, port=port)
    return await dns.asyncquery.udp(query, "127.0.0.1", timeout=5, port=port)


async def sent(port: int, update: dns.message.Message) -> str:
    """The answer's code, read from its header: dnspython's client takes no unsigned refusal of a signed message."""
    wire = update.to_wire()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(len(wire).to_bytes(2, "big") + wire)
    answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    writer.close()
    assert answer[:2] == wire[:2]
    return dns.rcode.to_text(dns.rcode.Rcode(answer[3] & 15))


def signed(keyring: Any = KEY, zone: str = "lab.test") -> dns.update.UpdateMessage:
    return dns.update.UpdateMessage(zone, keyring=keyring)


def publishing(name: str, ttl: int, kind: str, *values: str) -> dns.update.UpdateMessage:
    update = signed()
    for value in values:
        update.add(name, ttl, kind, value)
    return update


def texts(answer: dns.message.Message) -> list[str]:
    return sorted(line for rrset in answer.answer for line in rrset.to_text().splitlines())


def test_an_alias_is_answered_with_its_ttl_and_where_it_leads(lab: LabDir) -> None:
    async def story() -> None:
        described(lab, "blue", ingress_port=8081)
        async with names(lab) as port:
            assert await sent(port, publishing("api", 2, "CNAME", "ingress-blue.lab.test.")) == "NOERROR"
            for tcp in (False, True):
                answer = await asked(port, "API.lab.test.", tcp=tcp)
                assert texts(answer) == ["API.lab.test. 2 IN CNAME ingress-blue.lab.test.", "ingress-blue.lab.test. 1 IN A 127.0.0.1"]
                assert answer.flags & dns.flags.AA
            where = f"127.0.0.1:{port}"
            found = await asyncio.to_thread(DnsOverSocket(timeout_s=5).ask, "api.lab.test", where)
            assert found == DnsAnswer(where, ("ingress-blue.lab.test",), 2)

    run(story)


def test_a_load_balancer_is_known_by_address_and_service_while_it_listens(lab: LabDir) -> None:
    async def story() -> None:
        described(lab, "blue", ingress_port=8081)
        described(lab, "green")
        async with names(lab) as port:
            assert texts(await asked(port, "_http._tcp.ingress-blue.lab.test.", "SRV")) == [
                "_http._tcp.ingress-blue.lab.test. 1 IN SRV 0 0 8081 ingress-blue.lab.test."
            ]
            assert (await asked(port, "ingress-green.lab.test.")).rcode() == dns.rcode.NXDOMAIN
            (lab.cluster("blue").root / "ingress-port").write_text("8099")
            assert "8099" in texts(await asked(port, "_http._tcp.ingress-blue.lab.test.", "SRV"))[0]

    run(story)


def test_unknown_names_unknown_types_and_foreign_zones_are_told_apart(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            await sent(port, publishing("api", 2, "CNAME", "ingress-blue.lab.test."))
            nowhere = await asked(port, "gone.lab.test.")
            assert (nowhere.rcode(), [rrset.rdtype for rrset in nowhere.authority]) == (dns.rcode.NXDOMAIN, [dns.rdatatype.SOA])
            nothing = await asked(port, "ns.lab.test.", "TXT")
            assert (nothing.rcode(), nothing.answer, [rrset.rdtype for rrset in nothing.authority]) == (dns.rcode.NOERROR, [], [dns.rdatatype.SOA])
            foreign = await asked(port, "www.example.com.")
            assert (foreign.rcode(), foreign.flags & dns.flags.AA) == (dns.rcode.REFUSED, 0)
            assert texts(await asked(port, "lab.test.", "NS")) == ["lab.test. 60 IN NS ns.lab.test."]

    run(story)


def test_only_a_signed_update_of_its_own_zone_changes_anything(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            await sent(port, publishing("api", 2, "CNAME", "ingress-blue.lab.test."))
            for keyring, zone, rcode in (
                (None, "lab.test", "REFUSED"),
                (WRONG, "lab.test", "NOTAUTH"),
                (UNKNOWN, "lab.test", "NOTAUTH"),
                (KEY, "test", "NOTAUTH"),
            ):
                update = dns.update.UpdateMessage(zone, keyring=keyring)
                update.replace(dns.name.from_text("api.lab.test."), 2, "CNAME", "evil.example.com.")
                assert await sent(port, update) == rcode
            outside = publishing("api", 2, "A", "10.0.0.1")
            outside.add(dns.name.from_text("www.example.com."), 2, "A", "10.0.0.1")
            assert await sent(port, outside) == "NOTZONE"
            conditional = publishing("new", 2, "A", "10.0.0.1")
            conditional.absent("api")
            assert await sent(port, conditional) == "NOTIMP"
            assert texts(await asked(port, "api.lab.test.", "CNAME")) == ["api.lab.test. 2 IN CNAME ingress-blue.lab.test."]
            assert texts(await asked(port, "api.lab.test.", "A")) == ["api.lab.test. 2 IN CNAME ingress-blue.lab.test."]
            assert (await asked(port, "new.lab.test.")).rcode() == dns.rcode.NXDOMAIN

    run(story)


def test_records_are_added_replaced_and_deleted_one_by_one_or_whole(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            await sent(port, publishing("pool", 30, "A", "10.0.0.1", "10.0.0.2", "10.0.0.1"))
            await sent(port, publishing("pool", 30, "TXT", '"x"'))
            one = signed()
            one.delete("pool", "A", "10.0.0.1")
            await sent(port, one)
            assert texts(await asked(port, "pool.lab.test.")) == ["pool.lab.test. 30 IN A 10.0.0.2"]
            kind = signed()
            kind.delete("pool", "A")
            await sent(port, kind)
            assert (await asked(port, "pool.lab.test.")).rcode() == dns.rcode.NOERROR
            whole = signed()
            whole.delete("pool")
            await sent(port, whole)
            assert (await asked(port, "pool.lab.test.", "TXT")).rcode() == dns.rcode.NXDOMAIN
            await sent(port, publishing("api", 2, "CNAME", "a.lab.test."))
            await sent(port, publishing("api", 5, "CNAME", "b.lab.test."))
            assert texts(await asked(port, "api.lab.test.", "CNAME")) == ["api.lab.test. 5 IN CNAME b.lab.test."]

    run(story)


def test_a_restart_knows_what_was_there_and_a_transfer_tells_it(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            await sent(port, publishing("api", 2, "CNAME", "ingress-blue.lab.test."))
        async with names(lab) as port:
            zone = await asyncio.to_thread(lambda: dns.zone.from_xfr(dns.query.xfr("127.0.0.1", "lab.test", port=port, timeout=5)))
            assert zone.find_rdataset("api", "CNAME").to_text() == "2 IN CNAME ingress-blue"

    run(story)


def test_what_is_too_long_for_a_datagram_is_fetched_whole(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            await sent(port, publishing("long", 2, "TXT", *(f'"{number:0>100}"' for number in range(30))))
            assert (await asked(port, "long.lab.test.", "TXT")).flags & dns.flags.TC
            answer = await asked(port, "long.lab.test.", "TXT", tcp=True)
            assert not answer.flags & dns.flags.TC
            assert len(answer.answer[0]) == 30

    run(story)


def test_several_questions_on_one_connection_are_answered_in_turn(lab: LabDir) -> None:
    async def story() -> None:
        async with names(lab) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for name in ("ns.lab.test.", "gone.lab.test.", "ns.lab.test."):
                wire = dns.message.make_query(name, "A").to_wire()
                writer.write(len(wire).to_bytes(2, "big") + wire)
            found = []
            for _ in range(3):
                size = int.from_bytes(await reader.readexactly(2), "big")
                found.append(dns.message.from_wire(await reader.readexactly(size)).rcode())
            writer.close()
            assert found == [dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.NOERROR]

    run(story)


def test_rubbish_does_not_end_it(lab: LabDir) -> None:
    query = dns.message.make_query("ns.lab.test.", "A").to_wire()
    rubbish = [b"", b"\0", b"\0" * 11, b"\0" * 12, b"\xff" * 40, query[:-3], query[:12], query[:2] + b"\x80" + query[3:], query + b"more", bytes(range(256))]

    async def story() -> None:
        async with names(lab) as port:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wild:
                for wire in rubbish:
                    wild.sendto(wire, ("127.0.0.1", port))
            for wire in rubbish:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(len(wire).to_bytes(2, "big") + wire)
                writer.close()
                await writer.wait_closed()
            for tcp in (False, True):
                assert texts(await asked(port, "ns.lab.test.", tcp=tcp)) == ["ns.lab.test. 60 IN A 127.0.0.1"]

    run(story)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(base=st.sampled_from(["query", "update"]), places=st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=6), cut=st.integers(0, 80))
def test_no_message_however_damaged_raises(lab: LabDir, base: str, places: list[tuple[int, int]], cut: int) -> None:
    message = dns.message.make_query("ns.lab.test.", "A", use_edns=True) if base == "query" else publishing("api", 2, "A", "10.0.0.1")
    wire = bytearray(message.to_wire())
    for place, value in places:
        wire[place % len(wire)] = value
    answer = Server(lab).answer(bytes(wire[: len(wire) - cut % len(wire)]))
    assert answer is None or answer[2] & 0x80


def test_an_answer_is_not_answered(lab: LabDir) -> None:
    server = Server(lab)
    answer = server.answer(dns.message.make_query("ns.lab.test.", "A").to_wire())
    assert answer is not None
    assert server.answer(answer) is None


def test_what_it_does_not_do_is_said(lab: LabDir) -> None:
    notify = dns.message.make_query("lab.test.", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    answer = Server(lab).answer(notify.to_wire())
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP


def test_a_broken_server_is_silent_until_it_is_healed(lab: LabDir) -> None:
    server, wire = Server(lab), dns.message.make_query("ns.lab.test.", "A").to_wire()
    lab.set_fault("dns", "down")
    assert server.answer(wire) is None
    lab.clear_fault("dns")
    assert server.answer(wire) is not None
