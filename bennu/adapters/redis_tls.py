"""TLS to a Redis: only the authority that the settings name is trusted, and the certificate must carry the server's name.

The name is told apart from the address, since a port-forward or a pod's address is in no certificate. There is no way to switch verification off.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


class Untrusted(Exception):
    """No trusted TLS connection came about: the server's certificate, the authority, or the client's own certificate. Carries no key."""


@dataclass(frozen=True)
class Tls:
    """How a server is trusted. The callables are asked at each connection, so that what was renewed is used.

    ``authority`` gives PEM certificates; ``name`` must be in the server's certificate; ``client`` gives certificate and key (PEM) where the server asks for them
    (``tls-auth-clients``), None where it does not.
    """

    authority: Callable[[], str]
    name: str
    client: Callable[[], tuple[str, str]] | None = None

    def secured(self, plain: socket.socket) -> ssl.SSLSocket:
        """*plain* with TLS on it. Raises Untrusted, and OSError for what the network does; *plain* is closed then."""
        try:
            return self._context().wrap_socket(plain, server_hostname=self.name)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise Untrusted(f"its certificate is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            plain.close()
            raise Untrusted(f"no TLS connection came about: {error.reason or error}") from None
        except Exception:
            plain.close()
            raise

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies, and checks the name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cadata=self.authority())
        except (ssl.SSLError, ValueError):
            raise Untrusted("the authority that redis[].tls names is no PEM certificate") from None
        if self.client is not None:
            _present(context, *self.client())
        return context


def shown_end(connection: ssl.SSLSocket) -> datetime:
    """When the server's certificate ends."""
    shown = connection.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def _present(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Certificate and key lie in a file of 0600 for the moment that OpenSSL reads it (it takes no key from memory)."""
    with tempfile.TemporaryDirectory(prefix="bennu-") as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{certificate}\n{key}\n", encoding="utf-8")
        try:
            context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise Untrusted(f"certificate and key of redis[].tls.client_secret do not fit: {error.reason}") from None
