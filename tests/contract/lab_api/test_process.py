"""The server as its own process, as the lab starts it: up at once, quiet about tokens, gone at SIGTERM even while somebody watches."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from bennu.lab.places import ClusterDir, ClusterFacts

TOKEN = "a-very-secret-token"


def cluster(api: Any, root: Path) -> ClusterDir:
    """A cluster directory with the test CA's certificate and a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    home = root / "clusters" / "blue"
    home.mkdir(parents=True)
    for name in ("server.crt", "server.key"):
        (home / name).write_bytes((api.root / name).read_bytes())
    (home / "token").write_text(TOKEN + "\n")
    url = f"https://127.0.0.1:{port}"
    facts = ClusterFacts("blue", "prod/us-east-1", url, str(api.ca), str(home / "token"), "the-uid", 1, 2, 3, "ingress-blue.lab.test", str(home / "volumes"))
    ClusterDir(home).save(facts)
    return ClusterDir(home)


@contextmanager
def started(place: ClusterDir, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen([sys.executable, "-m", "bennu.lab.kubeapi", "--cluster", str(place.root)], stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def get(place: ClusterDir, path: str) -> Any:
    facts = place.load()
    request = urllib.request.Request(facts.api_url + path, headers={"Authorization": f"Bearer {TOKEN}"})
    return urllib.request.urlopen(request, context=ssl.create_default_context(cafile=facts.ca_file), timeout=10)


def answers(place: ClusterDir, process: subprocess.Popen[bytes]) -> bool:
    """Ask until it answers; every try is a connection attempt, refused at once while nobody listens."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with get(place, "/readyz"):
                return True
        except urllib.error.URLError:
            os.sched_yield()
    return False


def test_it_serves_ends_at_sigterm_and_tells_nobody_the_token(api: Any, tmp_path: Path) -> None:
    place, log = cluster(api, tmp_path), tmp_path / "kubeapi.log"
    with started(place, log) as process:
        assert answers(place, process)
        with get(place, "/api/v1/namespaces/kube-system") as response:
            assert b'"uid":"the-uid"' in response.read()
        with closing(get(place, "/api/v1/namespaces?watch=1")) as watching:
            assert b'"ADDED"' in watching.readline()
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(5) == 0
            assert time.monotonic() - asked < 2
    assert TOKEN not in log.read_text()


def test_a_taken_port_is_said_in_one_line(api: Any, tmp_path: Path) -> None:
    place, log = cluster(api, tmp_path), tmp_path / "kubeapi.log"
    port = int(place.load().api_url.rsplit(":", 1)[1])
    with socket.create_server(("127.0.0.1", port)), started(place, log) as process:
        assert process.wait(20) == 1
    assert log.read_text().startswith("kubeapi: ")
    assert len(log.read_text().splitlines()) == 1
