"""What the API server itself does beside storing: addresses for Services, tokens for ServiceAccounts, CRDs put into service, namespaces furnished.

Each runs in the same instant as the write that asked for it, so that no client sees the one without the other.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator

from bennu.lab.kubeapi import defaults
from bennu.lab.kubeapi.metadata import born, now
from bennu.lab.kubeapi.problems import Cause, Obj, invalid
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.store import Address, Store

SECRETS = ("", "secrets")
ACCOUNTS = ("", "serviceaccounts")
SERVICES = ("", "services")
TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"


class Attendants:
    """Bound to one cluster's store and registry; ``ca_bundle`` is the PEM that token Secrets hand out."""

    def __init__(self, store: Store, registry: Registry, ca_bundle: bytes) -> None:
        self._store = store
        self._registry = registry
        self._ca = base64.b64encode(ca_bundle).decode()
        self._addresses: Iterator[str] = defaults.cluster_addresses()

    def before(self, obj: Obj, old: Obj | None) -> None:
        """Complete an object that is about to be stored."""
        if obj["kind"] == "Service" and obj["apiVersion"] == "v1":
            self._address(obj, old)
        elif obj["kind"] == "Secret" and obj.get("type") == TOKEN_TYPE:
            self._token(obj)
        elif obj["kind"] == "CustomResourceDefinition":
            _establish(obj, old)

    def after(self, obj: Obj, old: Obj | None) -> None:
        """Act on an object that has just been stored."""
        if obj["kind"] == "CustomResourceDefinition" and (old is None or old.get("spec") != obj.get("spec")):
            self._registry.install(obj)
        elif obj["kind"] == "Namespace" and old is None:
            self._furnish(obj["metadata"]["name"])

    def _address(self, obj: Obj, old: Obj | None) -> None:
        spec = obj["spec"]
        if spec.get("type") == "ExternalName":
            for field in ("clusterIP", "clusterIPs"):
                spec.pop(field, None)
            return
        held = (old or {}).get("spec", {}).get("clusterIP")
        if held and spec.get("clusterIP") not in (None, "", held):
            raise invalid(
                "",
                "Service",
                obj["metadata"]["name"],
                [Cause("FieldValueInvalid", f'Invalid value: "{spec["clusterIP"]}": may not change once set', "spec.clusterIP")],
            )
        if not spec.get("clusterIP"):
            spec["clusterIP"] = held or self._free_address()
        spec["clusterIPs"] = [spec["clusterIP"]]

    def _free_address(self) -> str:
        taken = {service["spec"].get("clusterIP") for service in self._store.list(SERVICES)}
        return next(address for address in self._addresses if address not in taken)

    def _token(self, obj: Obj) -> None:
        metadata = obj["metadata"]
        name = (metadata.get("annotations") or {}).get(ACCOUNT_NAME, "")
        account = self._store.get(Address(ACCOUNTS, metadata["namespace"], name))
        if account is None:
            raise invalid(
                "",
                "Secret",
                metadata["name"],
                [Cause("FieldValueInvalid", f'Invalid value: "{name}": there is no such ServiceAccount', f"metadata.annotations[{ACCOUNT_NAME}]")],
            )
        metadata["annotations"][ACCOUNT_UID] = account["metadata"]["uid"]
        data = obj.setdefault("data", {})
        data.setdefault("token", base64.b64encode(fresh_token().encode()).decode())
        data.setdefault("namespace", base64.b64encode(metadata["namespace"].encode()).decode())
        data.setdefault("ca.crt", self._ca)

    def _furnish(self, namespace: str) -> None:
        registry_types = [
            (("", "serviceaccounts"), "ServiceAccount", "default", {}),
            (("", "configmaps"), "ConfigMap", "kube-root-ca.crt", self._root_certificate()),
        ]
        for key, kind, name, more in registry_types:
            address = Address(key, namespace, name)
            resource = self._registry.of_key(key)
            if self._store.get(address) is None and resource is not None:
                obj: Obj = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}
                born(obj, resource)
                self._store.put(address, obj)

    def _root_certificate(self) -> Obj:
        return {"data": {"ca.crt": base64.b64decode(self._ca).decode()}}


def fresh_token() -> str:
    """A bearer token that nobody can guess and that says where it is from."""
    return "bennu-lab." + secrets.token_urlsafe(32)


def _establish(crd: Obj, old: Obj | None) -> None:
    """CRDs are accepted at once: the lab has no second one that could claim the same names."""
    spec = crd["spec"]
    status = crd.setdefault("status", {})
    status["acceptedNames"] = dict(spec["names"])
    storage = [version["name"] for version in spec["versions"] if version.get("storage")]
    status["storedVersions"] = sorted({*storage, *((old or {}).get("status", {}).get("storedVersions") or [])})
    if not status.get("conditions"):
        moment = now()
        status["conditions"] = [
            {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts", "message": "no conflicts found", "lastTransitionTime": moment},
            {
                "type": "Established",
                "status": "True",
                "reason": "InitialNamesAccepted",
                "message": "the initial names have been accepted",
                "lastTransitionTime": moment,
            },
        ]
