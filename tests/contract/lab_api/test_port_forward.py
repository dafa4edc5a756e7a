"""Port-forward as the Python client does it, to a real listener that stands for the pod's port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.stream import portforward

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def echo() -> Iterator[int]:
    """A TCP server that answers each line with itself, in capitals."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    connection.sendall(line.upper())

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def pod(api: Any, port: int) -> None:
    annotations = {"lab.bennu.io/port.6379": str(port)}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "redis-0", "annotations": annotations},
        "spec": {"containers": [{"name": "redis", "image": "i:1"}]},
    }
    assert api.call("POST", PODS, body).code == 201


@pytest.fixture
def core(api: Any) -> client.CoreV1Api:
    configuration = client.Configuration()
    configuration.host = api.url
    configuration.ssl_ca_cert = str(api.ca)
    configuration.api_key = {"authorization": f"Bearer {api.token}"}
    return client.CoreV1Api(client.ApiClient(configuration))


def lines(stream: Any, *texts: bytes) -> list[bytes]:
    stream.settimeout(10)
    found = []
    for text in texts:
        stream.sendall(text)
        reply = b""
        while not reply.endswith(b"\n"):
            piece = stream.recv(65536)
            assert piece, "the stream ended early"
            reply += piece
        found.append(reply)
    return found


def test_bytes_reach_the_pods_port_and_come_back(api: Any, core: client.CoreV1Api, echo: int) -> None:
    pod(api, echo)
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "redis-0", "default", ports="6379")
    try:
        assert lines(forwarded.socket(6379), b"ping\n", b"x" * 100_000 + b"\n") == [b"PING\n", b"X" * 100_000 + b"\n"]
        assert forwarded.error(6379) is None
    finally:
        forwarded.close()


def test_several_forwards_do_not_mix(api: Any, core: client.CoreV1Api, echo: int) -> None:
    pod(api, echo)
    open_ones = [portforward(core.connect_get_namespaced_pod_portforward, "redis-0", "default", ports="6379") for _ in range(3)]
    try:
        assert [lines(one.socket(6379), f"n{number}\n".encode()) for number, one in enumerate(open_ones)] == [[b"N0\n"], [b"N1\n"], [b"N2\n"]]
    finally:
        for one in open_ones:
            one.close()


def test_a_port_where_nobody_listens_is_an_error_not_a_silence(api: Any, core: client.CoreV1Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    pod(api, port)
    forwarded = portforward(core.connect_get_namespaced_pod_portforward, "redis-0", "default", ports="6379")
    stream = forwarded.socket(6379)
    stream.settimeout(10)
    assert stream.recv(1) == b""
    assert "failed to connect" in str(forwarded.error(6379))


def test_forwarding_needs_its_own_right(api: Any) -> None:
    api.call("POST", "/api/v1/namespaces/default/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bob"}})
    token = api.call("POST", "/api/v1/namespaces/default/serviceaccounts/bob/token", {"spec": {}}).body["status"]["token"]
    refused = api.call("GET", f"{PODS}/redis-0/portforward?ports=6379", token=token)
    assert refused.code == 403
    assert 'cannot get resource "pods/portforward"' in refused.body["message"]
