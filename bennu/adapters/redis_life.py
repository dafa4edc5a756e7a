"""Whether anybody answers at a server's address, whatever the answer is: a refusal is a sign of life, too.

It needs no password and no trust, sends nothing secret, and believes nothing that is said: one byte in reply is all that is asked for.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

from bennu.adapters.redis_tls import Tls
from bennu.ports.redis import Address

_PING = b"PING\r\n"


def lives(address: Address, seconds: float, tls: Tls | None) -> bool:
    """Whether a Redis there says anything at all (``+PONG``, ``-NOAUTH``, ``-LOADING``, a TLS alert …) within *seconds* for each of two questions: as *tls* says, and the other way."""
    hello = _client_hello(tls.name if tls is not None else address.host)
    try:
        return any(_replied(address, seconds, words) for words in ((_PING, hello) if tls is None else (hello, _PING)))
    except OSError:
        return False  # nobody listens


def _replied(address: Address, seconds: float, words: bytes) -> bool:
    """Whether one byte comes back. Raises OSError where no connection is made: a listener alone proves nothing, since a forwarder or a balancer listens for servers that are dead."""
    with socket.create_connection((address.host, address.port), timeout=seconds) as connection, suppress(OSError):
        connection.sendall(words)
        return bool(connection.recv(1))
    return False


def _client_hello(name: str) -> bytes:
    """The first message of a handshake that is not gone on with."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    handshake = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()
