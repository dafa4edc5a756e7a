"""One cluster's Kubernetes API, through a small REST layer of our own (see ``kubeconfig`` for why).

Server-side apply, merge patches, discovery, watches and access reviews; nothing is retried here that could have taken effect. It does not wait for anything and
knows no kind by name but those of the port.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from bennu.adapters import kubernetes_forward
from bennu.adapters.certificates import PemCertificates
from bennu.adapters.kubeconfig import load
from bennu.adapters.kubernetes_credentials import FREE, Credentials, Manners
from bennu.adapters.kubernetes_discovery import Discovery, Resource, group_path
from bennu.adapters.kubernetes_transport import USUAL, Ask, Patience, Reply, Transport
from bennu.errors import DependencyDown, GateRefused
from bennu.ports.kubernetes import Conflict, Json, Kind, Ref

MANAGER = "bennu"
_PAGE = "500"  # the size that kubectl asks for
_NAMESPACE = Kind("v1", "Namespace")


class KubernetesApi:
    """The port ``Kubernetes`` over HTTPS. Safe to use from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._discovery = Discovery(transport.call)

    @classmethod
    def of(cls, context: str, files: Sequence[Path] = (), *, manners: Manners = FREE, patience: Patience = USUAL) -> KubernetesApi:
        """The API of a kubeconfig context. *files* empty: those of ``KUBECONFIG``. Opens no connection yet.

        Raises UsageError (unknown context) and ConfigError (a kubeconfig that can't be read).
        """
        access = load(context, files)
        return cls(Transport(access, Credentials(access.user, access.server, manners), patience))

    @property
    def context(self) -> str:
        """See the port."""
        return self._transport.context

    def endpoint(self) -> tuple[str, str]:
        """See the port."""
        return self._transport.server.url, self._transport.server.ca_pem

    def credential_expiry(self, needed_until: datetime) -> datetime | None:
        """See the port. A client certificate ends, too."""
        grant = self._transport.credentials.current(needed_until)
        ends = [grant.expires] if grant.expires else []
        if grant.certificate:
            ends.append(PemCertificates().not_after(grant.certificate))
        return min(ends, default=None)

    def uid(self) -> str:
        """See the port."""
        system = self.get(Ref(_NAMESPACE, "kube-system"))
        if system is None:
            raise DependencyDown(f"the API of {self.context} has no namespace kube-system: it is no ordinary cluster, or not ready yet")
        return str(system["metadata"]["uid"])

    def version(self) -> str:
        """See the port."""
        reply = self._transport.call(Ask("GET", "/version", "its version", {}))
        if reply.status != 200:
            self._refused(reply, "get", "its version")
        return str(reply.body.get("gitVersion", ""))

    def serves(self, kind: Kind) -> bool:
        """See the port."""
        return self._discovery.refreshed(kind) is not None

    def get(self, ref: Ref) -> Json | None:
        """See the port."""
        resource = self._discovery.find(ref.kind)
        if resource is None:
            return None
        reply = self._transport.call(Ask("GET", resource.path(ref.namespace, ref.name), f"get {ref}", {}))
        if reply.status == 404:
            return None
        return self._good(reply, "get", str(ref))

    def list(self, kind: Kind, *, namespace: str = "", labels: str = "") -> tuple[Json, ...]:
        """See the port."""
        resource = self._discovery.find(kind)
        if resource is None:
            return ()
        found: builtins.list[Json] = []
        token = ""
        while True:
            query = {"limit": _PAGE, **({"labelSelector": labels} if labels else {}), **({"continue": token} if token else {})}
            reply = self._transport.call(Ask("GET", resource.path(namespace), f"list {kind.kind}", query))
            if reply.status == 410 and token:
                found, token = [], ""  # the continuation is too old: once more, from the start
                continue
            if reply.status == 404:
                return ()
            page = self._good(reply, "list", kind.kind)
            # The items of a list omit what the list itself says.
            found.extend({"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in page.get("items") or ())
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return tuple(found)

    def apply(self, obj: Json, *, force: bool = False) -> Json:
        """See the port."""
        kind = Kind(str(obj["apiVersion"]), str(obj["kind"]))
        meta = dict(obj["metadata"])
        # The server refuses an apply that carries the bookkeeping of an object read earlier.
        meta.pop("managedFields", None)
        ref = Ref(kind, str(meta["name"]), str(meta.get("namespace") or ""))
        query = {"fieldManager": MANAGER, "force": "true" if force else "false"}
        path = self._served(kind).path(ref.namespace, ref.name)
        reply = self._transport.call(Ask("PATCH", path, f"apply {ref}", query, {**obj, "metadata": meta}, "application/apply-patch+yaml"))
        return self._good(reply, "patch", str(ref))

    def patch(self, ref: Ref, change: Json) -> Json:
        """See the port."""
        return self._patched(ref, change, "")

    def patch_status(self, ref: Ref, change: Json) -> Json:
        """See the port."""
        return self._patched(ref, change, "/status")

    def delete(self, ref: Ref) -> bool:
        """See the port."""
        resource = self._discovery.find(ref.kind)
        if resource is None:
            return False
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        reply = self._transport.call(Ask("DELETE", resource.path(ref.namespace, ref.name), f"delete {ref}", {}, options))
        if reply.status == 404:
            return False
        self._good(reply, "delete", str(ref))
        return True

    def can(self, verb: str, kind: Kind, namespace: str = "") -> bool:
        """See the port. A subresource is written after a slash: ``Kind("v1", "Pod/portforward")``."""
        name, _, sub = kind.kind.partition("/")
        resource = self._discovery.find(Kind(kind.api_version, name))
        if resource is None:  # not served yet (its CRD comes later): the usual plural
            resource = Resource(group_path(kind.api_version), name.lower() + "s", True)
        attributes: dict[str, str] = {"verb": verb, "group": resource.group, "resource": resource.plural}
        attributes |= {"subresource": sub} if sub else {}
        attributes |= {"namespace": namespace} if namespace else {}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        body = self._good(self._transport.call(Ask("POST", path, "an access review", {}, review)), "create", "SelfSubjectAccessReview")
        return bool((body.get("status") or {}).get("allowed"))

    def forwarded(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """See the port. Raises GateRefused where ``pods/portforward`` is not allowed."""
        path = Resource("/api/v1", "pods", True).path(namespace, pod) + "/portforward"
        return kubernetes_forward.forwarded(self._transport, path, port)

    def watch(self, kind: Kind, *, namespace: str = "", timeout: float) -> Iterator[Json]:
        """See the port. Ends early where the kind is not served."""
        resource = self._discovery.find(kind)
        if resource is None:
            return
        end = time.monotonic() + timeout
        version = self._version_now(resource, namespace, kind)
        while (left := end - time.monotonic()) > 0:
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(max(1, round(left))), "allowWatchBookmarks": "true"}
            for event in self._transport.stream(Ask("GET", resource.path(namespace), f"watch {kind.kind}", query), left):
                if event["type"] == "ERROR":  # 410: the history is gone; from now on again
                    version = self._version_now(resource, namespace, kind)
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event
                if time.monotonic() >= end:
                    return

    def _version_now(self, resource: Resource, namespace: str, kind: Kind) -> str:
        page = self._good(self._transport.call(Ask("GET", resource.path(namespace), f"list {kind.kind}", {"limit": "1"})), "list", kind.kind)
        return str(page["metadata"]["resourceVersion"])

    def _patched(self, ref: Ref, change: Json, sub: str) -> Json:
        path = self._served(ref.kind).path(ref.namespace, ref.name) + sub
        reply = self._transport.call(Ask("PATCH", path, f"patch {ref}", {"fieldManager": MANAGER}, change, "application/merge-patch+json"))
        return self._good(reply, "patch", str(ref))

    def _served(self, kind: Kind) -> Resource:
        resource = self._discovery.find(kind)
        if resource is None:
            raise DependencyDown(
                f"the API of {self.context} does not serve {kind.kind} ({kind.api_version})", next_step="install its CRD, or wait until it is established"
            )
        return resource

    def _good(self, reply: Reply, verb: str, what: str) -> dict[str, Any]:
        if reply.status >= 300:
            self._refused(reply, verb, what)
        return dict(reply.body)

    def _refused(self, reply: Reply, verb: str, what: str) -> NoReturn:
        if reply.status == 409:
            raise Conflict(f"{what} in {self.context}: {reply.message}")
        if reply.status == 403:
            raise GateRefused(
                f"the API of {self.context} forbids to {verb} {what}: {reply.message}",
                next_step=f"have it granted; check with kubectl --context {self.context} auth can-i --list",
            )
        if reply.status in {400, 422}:
            raise GateRefused(f"the API of {self.context} does not take {what}: {reply.message}", next_step="mend the manifest it comes from")
        raise DependencyDown(f"the API of {self.context} failed to {verb} {what}: {reply.message} (HTTP {reply.status})")
