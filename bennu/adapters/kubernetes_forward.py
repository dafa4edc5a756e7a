"""Port-forward: a listening socket on loopback whose connections reach a pod's port through the API server.

One WebSocket (``v4.channel.k8s.io``) a connection, through the same proxy and with the same trust as every other request. It does not follow a pod that is replaced:
connections then fail, and the caller asks for a new forward.

Two threads pump each connection. Whoever ends first only shuts both sockets down, which wakes the other; the file descriptors are closed when both have ended. Closed any
earlier, a descriptor's number can be the next connection's already while OpenSSL still writes to it, and one connection's ciphertext lands in another's stream (seen).
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from bennu.adapters.kubernetes_credentials import Grant
from bennu.adapters.kubernetes_transport import Transport
from bennu.errors import DependencyDown, GateRefused

if TYPE_CHECKING:
    from websocket import WebSocket

T = TypeVar("T")

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1  # the two channels of the first (only) port
_CHUNK = 64 * 1024


@contextmanager
def forwarded(transport: Transport, path: str, port: int) -> Iterator[tuple[str, int]]:
    """A local (host, port) while the context is open. The first connection is made before it opens, so that what is refused is refused here.

    Raises GateRefused (403: pods/portforward is not allowed), DependencyDown.
    """
    target = f"{path}?ports={port}"
    first = _opened(transport, target)
    listener = socket.create_server(("127.0.0.1", 0))
    forward = _Forward(transport, target, listener, first)
    accepting = threading.Thread(target=forward.serve, name="bennu-port-forward", daemon=True)
    accepting.start()
    try:
        host, local = listener.getsockname()[:2]
        yield str(host), int(local)
    finally:
        forward.close()
        accepting.join(timeout=2)


class _Forward:
    """Accepts local connections and pumps each through a WebSocket of its own."""

    def __init__(self, transport: Transport, target: str, listener: socket.socket, first: WebSocket) -> None:
        self._transport = transport
        self._target = target
        self._listener = listener
        self._spare: WebSocket | None = first
        self._lock = threading.Lock()
        self._open: set[tuple[socket.socket, WebSocket]] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def serve(self) -> None:
        while True:
            try:
                local, _ = self._listener.accept()
            except OSError:
                return  # closed: the context ended
            thread = threading.Thread(target=self._connect, args=(local,), name="bennu-port-forward-connection", daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            pairs, spare = list(self._open), self._spare
            self._spare = None
        # Wakes accept() on Linux; macOS wakes on close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if spare is not None:
            _wake(spare)
            _closed(spare)
        for local, remote in pairs:
            _cut(local)
            _wake(remote)
        for thread in self._threads:
            thread.join(timeout=2)

    def _connect(self, local: socket.socket) -> None:
        with self._lock:
            remote, self._spare = self._spare, None
        try:
            remote = remote or _opened(self._transport, self._target)
        except (DependencyDown, GateRefused):
            # The client of the local port sees its connection closed; it knows what it was for.
            local.close()
            return
        pair = (local, remote)
        with self._lock:
            if not self._closed:
                self._open.add(pair)
        if pair in self._open:
            local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outward = threading.Thread(target=_pump_out, args=pair, name="bennu-port-forward-out", daemon=True)
            outward.start()
            _pump_in(remote, local)
            outward.join()  # it ends: both its sockets are shut down
        with self._lock:
            self._open.discard(pair)
        local.close()
        _closed(remote)


def _pump_out(local: socket.socket, remote: WebSocket) -> None:
    from websocket import WebSocketException

    try:
        while data := local.recv(_CHUNK):
            remote.send_binary(bytes([_DATA]) + data)
    except (OSError, WebSocketException):
        pass  # the other direction ends too
    _cut(local)
    _wake(remote)


def _pump_in(remote: WebSocket, local: socket.socket) -> None:
    from websocket import WebSocketException

    greeted = set()
    try:
        while frame := remote.recv():
            data = frame if isinstance(frame, bytes) else frame.encode()
            channel, payload = data[0], data[1:]
            if channel not in greeted:
                greeted.add(channel)  # each channel begins with the port's number, two bytes
                payload = payload[2:]
            if channel == _ERROR and payload:
                return  # the kubelet says why (connection refused …) and the stream is dead
            if channel == _DATA and payload:
                local.sendall(payload)
    except (OSError, WebSocketException):
        pass
    finally:
        _cut(local)
        _wake(remote)


def _opened(transport: Transport, target: str) -> WebSocket:
    """A WebSocket to *target*, with the credential renewed once if it is refused."""
    grant = transport.credentials.current()
    try:
        return _handshaken(transport, target, grant)
    except _Unauthorized:
        fresh = transport.credentials.renewed(grant)
        if fresh is not None:
            with contextlib.suppress(_Unauthorized):
                return _handshaken(transport, target, fresh)
        raise DependencyDown(f"the API of {transport.context} refuses the credential (401 Unauthorized)", next_step="log in again") from None


class _Unauthorized(Exception):
    """The handshake was answered with 401."""


def _handshaken(transport: Transport, target: str, grant: Grant) -> WebSocket:
    from websocket import WebSocket, WebSocketBadStatusException, WebSocketException

    remote = WebSocket(enable_multithread=True, skip_utf8_validation=True)
    secure = transport.server.url.startswith("https")
    url = ("wss" if secure else "ws") + transport.server.url[len("https" if secure else "http") :] + target
    headers = [f"Authorization: {grant.authorization}"] if grant.authorization else []
    sock: socket.socket | _Shared | None = None
    try:
        sock = dial(transport, grant)
        remote.connect(url, socket=sock, header=headers, subprotocols=[_PROTOCOL], suppress_origin=True)  # type: ignore[no-untyped-call]
    except WebSocketBadStatusException as error:
        if sock is not None:
            sock.close()
        raise _refused(transport, target, error.status_code, getattr(error, "resp_body", None)) from None
    except (OSError, WebSocketException, http.client.HTTPException) as error:
        if sock is not None:
            sock.close()
        words = getattr(error, "strerror", None) or str(error)
        raise DependencyDown(f"no port-forward through the API of {transport.context} ({transport.server.url}): {words}") from None
    sock.settimeout(None)
    return remote


def _refused(transport: Transport, target: str, status: int, body: bytes | str | None) -> Exception:
    pod = target.split("?", maxsplit=1)[0].removeprefix("/api/v1/namespaces/").removesuffix("/portforward").replace("/pods/", "/")
    if status == 401:
        return _Unauthorized()
    if status == 403:
        return GateRefused(
            f"the API of {transport.context} does not allow to create pods/portforward for {pod}",
            next_step="have the verb granted, or run Bennu inside the cluster and set reach: direct",
        )
    text = body.decode(errors="replace") if isinstance(body, bytes) else body or ""
    return DependencyDown(f"no port-forward to pod {pod} of {transport.context}: HTTP {status} {text[:200]}".rstrip())


def dial(transport: Transport, grant: Grant) -> socket.socket | _Shared:
    """A connected (and, for https, verified TLS) socket to the API server, through the proxy where there is one."""
    parts = urlsplit(transport.server.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    context, proxy = transport.dialled(grant)
    sock = _through(proxy, (host, port), transport.patience.connect_s)
    sock.settimeout(transport.patience.read_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if context is None:
        return sock
    try:
        return _Shared(context.wrap_socket(sock, server_hostname=transport.server.tls_server_name or host))
    except BaseException:
        sock.close()
        raise


def _through(proxy: str, target: tuple[str, int], timeout: float) -> socket.socket:
    if not proxy:
        return socket.create_connection(target, timeout=timeout)
    parts = urlsplit(proxy)
    if parts.scheme.startswith("socks"):
        import socks

        found: socket.socket = socks.create_connection(
            target,
            timeout=timeout,
            proxy_type=socks.SOCKS5,
            proxy_addr=parts.hostname,
            proxy_port=parts.port or 1080,
            proxy_rdns=True,
            proxy_username=unquote(parts.username) if parts.username else None,
            proxy_password=unquote(parts.password) if parts.password else None,
        )
        return found
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=timeout, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
    headers = {"Proxy-Authorization": "Basic " + base64.b64encode(pair).decode()} if parts.username else {}
    connection.set_tunnel(*target, headers=headers)
    connection.connect()
    return connection.sock


class _Shared:
    """A TLS socket that one thread may read while another writes. OpenSSL allows no two calls at once on one connection (and Python has no lock of its own before 3.13),
    so each call is made without blocking under a lock, and waited for outside of it.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock, self._lock = sock, threading.Lock()
        self._timeout: float | None = sock.gettimeout()
        sock.setblocking(False)

    def recv(self, size: int) -> bytes:
        """As a socket's."""
        return self._made(lambda: self._sock.recv(size))

    def send(self, data: bytes) -> int:
        """As a socket's."""
        return self._made(lambda: self._sock.send(data))

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """As a socket's."""
        return self._timeout

    def fileno(self) -> int:
        """As a socket's."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """Of the TCP connection alone: SSLSocket's own takes the TLS state away under the thread that reads."""
        socket.socket.shutdown(self._sock, how)

    def close(self) -> None:
        """As a socket's."""
        self._sock.close()

    def _made(self, call: Callable[[], T]) -> T:
        while True:
            try:
                with self._lock:
                    return call()
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._sock.fileno(), event)
        if not poll.poll(None if self._timeout is None else self._timeout * 1000):
            raise TimeoutError("timed out")


def _cut(local: socket.socket) -> None:
    with contextlib.suppress(OSError):
        local.shutdown(socket.SHUT_RDWR)


def _wake(remote: WebSocket) -> None:
    sock = remote.sock
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _closed(remote: WebSocket) -> None:
    with contextlib.suppress(OSError):
        remote.shutdown()  # type: ignore[no-untyped-call]
