from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bennu.adapters.kubernetes import KubernetesApi
from bennu.adapters.kubernetes_credentials import Manners
from bennu.adapters.kubernetes_transport import Patience
from bennu.ports.kubernetes import Kubernetes
from tests.contract.kubernetes import configs
from tests.contract.kubernetes.clusters import UID, Cluster, LabCluster, MemoryCluster, lab
from tests.contract.kubernetes.pki import Authority
from tests.contract.kubernetes.scripted import Answer, Request, Scripted, serving
from tests.sim.memory_kubernetes import MemoryKubernetes

# Short enough for a test that waits them out, long enough for a busy machine.
QUICK = Patience(connect_s=2, read_s=2, retry_s=2)
Opener = Callable[..., KubernetesApi]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


def fine(request: Request) -> Answer:
    """A server that says its version to whoever asks."""
    return Answer(body={"gitVersion": "v1.33.1"}) if request.path == "/version" else Answer(404, {"message": "not found"})


@pytest.fixture
def scripted(authority: Authority) -> Iterator[Scripted]:
    with serving(fine, authority.server("127.0.0.1", "localhost")) as server:
        yield server


@pytest.fixture
def opened(scripted: Scripted, authority: Authority, tmp_path: Path) -> Opener:
    """Opens the scripted server with more in the cluster's or the user's section."""

    def open_(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **options: Any) -> KubernetesApi:
        base = {"server": f"https://127.0.0.1:{scripted.port}", "certificate-authority-data": configs.encoded(authority.pem)}
        path = configs.write(tmp_path / "config", {**base, **(cluster or {})}, {"token": "s3cr3t"} if user is None else user)
        return KubernetesApi.of("lab-blue", [path], manners=options.get("manners", Manners()), patience=options.get("patience", QUICK))

    return open_


@pytest.fixture
def lab_cluster(authority: Authority, tmp_path: Path) -> Iterator[LabCluster]:
    with lab(tmp_path, authority) as found:
        yield found


@pytest.fixture(params=["lab", "memory"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    if request.param == "memory":
        return MemoryCluster(MemoryKubernetes(uid=UID))
    found: LabCluster = request.getfixturevalue("lab_cluster")
    return found


@pytest.fixture
def api(cluster: Cluster) -> Kubernetes:
    return cluster.api
