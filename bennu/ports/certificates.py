"""X.509 certificates, as far as a gate needs them."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Certificates(Protocol):
    """Reads PEM."""

    def not_after(self, pem: str) -> datetime:
        """The end of validity of the first certificate, zone UTC. Raises ValueError for what is no certificate."""

    def fingerprints(self, pem: str) -> frozenset[str]:
        """SHA-256 of each certificate in a bundle, hex."""
