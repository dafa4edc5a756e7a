"""An emulated Vault: the little of KV version 2 that is read, over HTTP on loopback. For machines without a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def emulated(secrets: Mapping[str, Mapping[str, str]], token: str, ttl_s: int = 0) -> Iterator[str]:
    """Its address. *secrets* by path below the mount ``secret``; *ttl_s* is what is left of the token, 0 = it never ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix("/v1/secret/data/")
            if self.headers.get("X-Vault-Token") != token:
                return self._answer(403, {"errors": ["permission denied"]})
            if path == "/v1/auth/token/lookup-self":
                return self._answer(200, {"data": {"ttl": ttl_s, "expire_time": "2031-01-01T00:00:00.123456789Z" if ttl_s else None}})
            if path not in secrets:
                return self._answer(404, {"errors": []})
            return self._answer(200, {"data": {"data": dict(secrets[path]), "metadata": {"version": 1}}})

        def _answer(self, code: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
