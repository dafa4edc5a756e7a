"""What ExternalDNS was started with, and what that means for the group's records."""

from __future__ import annotations

import pytest

from bennu.core.external_dns import Writer, writer, writes

RECORDS = ("api.acme.com", "checkout.acme.com")
GOOD = ("--source=crd", "--txt-owner-id=acme", "--policy=upsert-only")


def test_flags_are_read_in_both_spellings_and_defaults_are_external_dns_own() -> None:
    assert writer((), {}) == Writer("default", (), (), "sync")
    assert writer(("--source=service", "--source=crd", "--txt-owner-id=acme"), {}).sources == ("service", "crd")
    assert writer(("--source", "crd", "--txt-owner-id", "acme", "--domain-filter", "acme.com"), {}) == Writer("acme", ("crd",), ("acme.com",), "sync")
    assert writer(("--debug", "--source=crd"), {}).sources == ("crd",)


def test_the_environment_counts_and_a_flag_outranks_it() -> None:
    environment = {"EXTERNAL_DNS_SOURCE": "ingress\ncrd", "EXTERNAL_DNS_TXT_OWNER_ID": "by-env", "PATH": "/bin"}
    assert writer((), environment) == Writer("by-env", ("ingress", "crd"), (), "sync")
    assert writer(("--txt-owner-id=by-flag",), environment).owner == "by-flag"


def test_a_writer_that_reads_endpoints_under_the_groups_owner_will_do() -> None:
    assert writes(writer(GOOD, {}), "acme", RECORDS).is_open
    assert writes(writer(GOOD, {}), None, RECORDS).is_open
    assert writes(writer((*GOOD, "--domain-filter=acme.com."), {}), "acme", RECORDS).is_open


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--source=service", "--txt-owner-id=acme"), "--source=crd"),
        (("--source=crd",), "as default, and dns.txt_owner is acme"),
        ((*GOOD, "--domain-filter=example.com"), "leaves out api.acme.com, checkout.acme.com"),
        ((*GOOD, "--domain-filter=pi.acme.com"), "leaves out api.acme.com"),
        (("--source=crd", "--txt-owner-id=acme", "--policy=create-only"), "create-only"),
    ],
)
def test_one_that_would_leave_the_records_alone_is_named(arguments: tuple[str, ...], word: str) -> None:
    found = writes(writer(arguments, {}), "acme", RECORDS)
    assert not found.is_open
    assert word in found.reason
