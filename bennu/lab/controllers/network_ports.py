"""Which real port on 127.0.0.1 stands for which container port or mirror, kept in ``<cluster dir>/ports.json``.

A port stays the same for the same key across restarts of the pod, of the controllers, of the machine: Redis writes its peer's port into its own
configuration. Ports are taken below the range from which kernels choose outgoing ones, so that nobody gets one by chance while its owner restarts.
"""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

from bennu.lab.places import write_json

_LOW, _HIGH = 20000, 32000
_TRIES = 500


class PortBook:
    """Keys are free texts such as ``pod/<namespace>/<name>/<container port>``; all users of one cluster share the object."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def port(self, key: str) -> int:
        """The port of *key*, chosen now if it has none. Raises OSError where none is free."""
        if key not in self._ports:
            self._ports[key] = self._free()
            self._write()
        return self._ports[key]

    def release(self, prefix: str) -> None:
        """Forget all keys that begin with *prefix*."""
        gone = [k for k in self._ports if k.startswith(prefix)]
        for key in gone:
            del self._ports[key]
        if gone:
            self._write()

    def _free(self) -> int:
        taken = set(self._ports.values())
        for _ in range(_TRIES):
            port = random.randrange(_LOW, _HIGH)
            if port not in taken and _bindable(port):
                return port
        raise OSError(f"no free port between {_LOW} and {_HIGH} on 127.0.0.1")

    def _write(self) -> None:
        write_json(self._file, dict(sorted(self._ports.items())))


def _bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
