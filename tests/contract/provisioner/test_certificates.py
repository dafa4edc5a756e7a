"""Certificates as gates read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bennu.adapters.certificates import PemCertificates
from tests.contract.kubernetes.pki import Authority


def test_the_end_of_validity_is_in_utc() -> None:
    end = PemCertificates().not_after(Authority().pem)
    assert end.tzinfo is UTC
    assert timedelta(hours=23) < end - datetime.now(UTC) < timedelta(hours=25)


def test_a_bundle_has_one_fingerprint_a_certificate() -> None:
    one, two = Authority("one"), Authority("two")
    both = PemCertificates().fingerprints(one.pem + two.pem)
    assert len(both) == 2
    assert PemCertificates().fingerprints(one.pem) < both
    assert all(len(print_) == 64 for print_ in both)


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        PemCertificates().not_after(text)
    with pytest.raises(ValueError, match=r".+"):
        PemCertificates().fingerprints(text)
