"""A TCP proxy in front of a Git server that loses the answer to a push: the host has done it, and the pusher's connection ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress


class Cutting:
    """Passes everything on. While ``left`` is above 0, a connection over which a push was asked is closed as soon as the host reports on it; ``cut`` counts those."""

    def __init__(self, upstream: int) -> None:
        self.left, self.cut = 0, 0
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        host, asked = socket.create_connection(("127.0.0.1", self._upstream)), threading.Event()
        threading.Thread(target=self._asking, args=(client, host, asked), daemon=True).start()
        with closing(host), closing(client), suppress(OSError):
            while answer := host.recv(65536):
                if self.left and asked.is_set():
                    self.left, self.cut = self.left - 1, self.cut + 1
                    client.shutdown(socket.SHUT_RDWR)  # the other thread waits in it
                    return
                client.sendall(answer)

    def _asking(self, client: socket.socket, host: socket.socket, asked: threading.Event) -> None:
        with suppress(OSError):
            while part := client.recv(65536):
                if b"POST " in part and b"/git-receive-pack " in part:
                    asked.set()
                host.sendall(part)
            host.shutdown(socket.SHUT_WR)


@contextmanager
def cutting(upstream: int) -> Iterator[Cutting]:
    """A proxy for a server on this machine."""
    found = Cutting(upstream)
    try:
        yield found
    finally:
        found.close()
