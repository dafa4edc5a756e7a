"""One lab cluster's API, put together: store, registry, rules. What HTTP adds is in ``server`` and ``handlers``."""

from __future__ import annotations

from dataclasses import dataclass

from bennu.lab.kubeapi.attendants import Attendants
from bennu.lab.kubeapi.bootstrap import furnish
from bennu.lab.kubeapi.identity import Identities
from bennu.lab.kubeapi.rbac import Authorizer
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.removal import Removal
from bennu.lab.kubeapi.store import Store
from bennu.lab.kubeapi.writer import Writer


@dataclass(frozen=True)
class ClusterSettings:
    """``uid`` becomes kube-system's UID, the cluster's identity; ``ca_bundle`` is PEM; ``address`` is host:port, for discovery."""

    uid: str
    admin_token: str
    ca_bundle: bytes
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Cluster:
    """The parts that handlers use."""

    settings: ClusterSettings
    store: Store
    registry: Registry
    writer: Writer
    removal: Removal
    identities: Identities
    authorizer: Authorizer


def make_cluster(settings: ClusterSettings, store: Store | None = None) -> Cluster:
    """A fresh cluster with what every cluster has from its start."""
    store = store or Store()
    registry = Registry()
    removal = Removal(store, registry)
    writer = Writer(store, Attendants(store, registry, settings.ca_bundle), removal)
    cluster = Cluster(settings, store, registry, writer, removal, Identities(store, settings.admin_token), Authorizer(store))
    furnish(registry, writer, settings.uid)
    return cluster
