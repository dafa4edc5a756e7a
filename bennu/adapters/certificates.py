"""X.509 certificates with ``cryptography``: validity and fingerprints, nothing else. It verifies no chain."""

from __future__ import annotations

from datetime import datetime


class PemCertificates:
    """The port ``Certificates``."""

    def not_after(self, pem: str) -> datetime:
        """See the port."""
        from cryptography import x509

        return x509.load_pem_x509_certificates(pem.encode())[0].not_valid_after_utc

    def fingerprints(self, pem: str) -> frozenset[str]:
        """See the port. Raises ValueError for a text without a certificate."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        return frozenset(certificate.fingerprint(hashes.SHA256()).hex() for certificate in x509.load_pem_x509_certificates(pem.encode()))
