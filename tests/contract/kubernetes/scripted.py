"""An HTTPS server that answers as it is told, and the two kinds of proxy that people put before a real one."""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.contract.kubernetes.pki import Pair


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Answer:
    """``lines``: sent one by one as a chunked stream instead of *body*. ``hang_up``: the connection is closed without an answer."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: tuple[Any, ...] | None = None
    hang_up: bool = False
    silent_until: threading.Event | None = None


Script = Callable[[Request], Answer]


class Scripted:
    """What was asked, and what is answered."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.port = 0

    def seen(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]


@contextmanager
def serving(script: Script, pair: Pair | None, client_ca: str = "") -> Iterator[Scripted]:
    """A server on a free port of 127.0.0.1; https if a certificate *pair* is given, asking for a client certificate of *client_ca* if that is."""
    scripted = Scripted(script)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # clients that hang up are part of the tests

    server = Server(("127.0.0.1", 0), _handler(scripted))
    if pair is not None:
        server.socket = _context(pair, client_ca).wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scripted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(scripted: Scripted) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, _body(raw))
            scripted.requests.append(request)
            answer = scripted.script(request)
            if answer.silent_until is not None:
                answer.silent_until.wait(20)
            if answer.hang_up:
                self.close_connection = True
                return
            self._send(answer)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _answer

        def _send(self, answer: Answer) -> None:
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.lines is None:
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in answer.lines:
                chunk = json.dumps(line).encode() + b"\n"
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()


def _context(pair: Pair, client_ca: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_text(pair.certificate + pair.key)
        context.load_cert_chain(path)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_ca)
    return context


@dataclass
class Proxy:
    """A proxy that ran: its URL, and the targets that were asked for (host as the client named it)."""

    url: str
    targets: list[tuple[str, int]] = field(default_factory=list)


@contextmanager
def http_proxy(credential: str = "") -> Iterator[Proxy]:
    """Speaks CONNECT and nothing else; *credential* is what Proxy-Authorization must say."""

    def greet(client: socket.socket, proxy: Proxy) -> socket.socket | None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        if method != "CONNECT" or (credential and f"proxy-authorization: basic {credential}".lower() not in [line.lower() for line in lines]):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        host, _, port = target.rpartition(":")
        proxy.targets.append((host, int(port)))
        upstream = socket.create_connection(("127.0.0.1", int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return upstream

    with _proxying("http", greet) as proxy:
        yield proxy


@contextmanager
def socks5_proxy() -> Iterator[Proxy]:
    """Speaks SOCKS5 without authentication. Every name leads to 127.0.0.1, as behind a bastion."""

    def greet(client: socket.socket, proxy: Proxy) -> socket.socket | None:
        _, methods = client.recv(2)
        client.recv(methods)
        client.sendall(b"\x05\x00")
        _, _, _, kind = client.recv(4)
        host = socket.inet_ntoa(client.recv(4)) if kind == 1 else client.recv(client.recv(1)[0]).decode()
        port = int.from_bytes(client.recv(2), "big")
        proxy.targets.append((host, port))
        upstream = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        return upstream

    with _proxying("socks5", greet) as proxy:
        yield proxy


@contextmanager
def _proxying(scheme: str, greet: Callable[[socket.socket, Proxy], socket.socket | None]) -> Iterator[Proxy]:
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
    opened: list[socket.socket] = []

    def serve(client: socket.socket) -> None:
        with suppress(OSError):
            upstream = greet(client, proxy)
            if upstream is None:
                client.close()
                return
            opened.append(upstream)
            threading.Thread(target=_pipe, args=(upstream, client), daemon=True).start()
            _pipe(client, upstream)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                opened.append(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        for one in (listener, *opened):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
