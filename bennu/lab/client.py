"""A small asyncio client of the Kubernetes API, for the lab's controllers and pods' controllers alike.

It knows what honest controllers need: read, list, create, server-side apply, merge patch, delete, and a watch that never ends and never loses an event. It
verifies the server's certificate, retries nothing but its own watches, and keeps no cache.

Deleting a Pod that has a node only *marks* it (``metadata.deletionTimestamp``), as on a real server: its kubelet ends the process and then deletes the Pod with
``grace=0``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml

from bennu.errors import DependencyDown

if TYPE_CHECKING:
    from bennu.lab.places import ClusterDir

Obj = dict[str, Any]
Objects = list[Obj]
_RETRY_SECONDS = 0.2
_REQUESTS = 4
"""Connections for plain requests. Each holds a TLS buffer of 256 KiB in the client and in the server, and a burst of controllers would open a dozen."""
_UNBOUNDED = 0
_CORE_PLURALS = {"Endpoints": "endpoints"}
_CLUSTER_SCOPED = frozenset(
    {"Namespace", "Node", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "StorageClass", "IngressClass", "PriorityClass"}
)
_BUILT_IN_GROUPS = frozenset(
    {
        "",
        "apps",
        "batch",
        "policy",
        "autoscaling",
        "discovery.k8s.io",
        "coordination.k8s.io",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "apiextensions.k8s.io",
        "storage.k8s.io",
    }
)


class ApiError(Exception):
    """The server refused: ``code`` is the HTTP status, ``reason`` the Status' reason (``Conflict``, ``NotFound``, …)."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Access:
    """How to reach one API server. ``ca`` is PEM text."""

    server: str
    token: str
    ca: str


class ApiClient:
    """One API server. Use as ``async with ApiClient.of(cluster) as api:``, or call ``close`` at the end."""

    def __init__(self, access: Access, *, user_agent: str = "bennu-lab") -> None:
        self._access = access
        self._agent = user_agent
        self._sessions: dict[int, aiohttp.ClientSession] = {}
        self._closed = asyncio.Event()
        self._plurals: dict[tuple[str, str], tuple[str, bool]] = {}

    @classmethod
    def of(cls, cluster: ClusterDir, *, user_agent: str = "bennu-lab") -> ApiClient:
        """The cluster's admin, from its ``cluster.json``."""
        facts = cluster.load()
        token = Path(facts.token_file).read_text(encoding="utf-8").strip()
        return cls(Access(facts.api_url, token, Path(facts.ca_file).read_text(encoding="utf-8")), user_agent=user_agent)

    @classmethod
    def from_kubeconfig(cls, text: str, *, user_agent: str = "bennu-lab") -> ApiClient:
        """From a kubeconfig's current (or only) context; its data must be inline: this reads no file that a Secret names. Raises ValueError."""
        config = yaml.safe_load(text)
        try:
            contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
            context = contexts[config.get("current-context") or next(iter(contexts))]
            cluster = next(entry["cluster"] for entry in config["clusters"] if entry["name"] == context["cluster"])
            user = next(entry["user"] for entry in config["users"] if entry["name"] == context["user"])
            ca = base64.b64decode(cluster["certificate-authority-data"]).decode()
            return cls(Access(cluster["server"], user["token"], ca), user_agent=user_agent)
        except (KeyError, TypeError, StopIteration) as problem:
            raise ValueError(f"the kubeconfig lacks {problem}") from problem

    @property
    def server(self) -> str:
        """The API's URL."""
        return self._access.server

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections and end all watches."""
        self._closed.set()
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def _open(self, limit: int) -> aiohttp.ClientSession:
        """The session with at most *limit* connections: a watch holds one each, and must not starve plain requests."""
        if limit not in self._sessions:
            connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=self._access.ca), limit=limit)
            headers = {"Authorization": f"Bearer {self._access.token}", "User-Agent": self._agent}
            self._sessions[limit] = aiohttp.ClientSession(self._access.server.rstrip("/"), connector=connector, headers=headers)
        return self._sessions[limit]

    async def request(
        self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None, content_type: str = "application/json"
    ) -> Obj:
        """One request; the parsed answer. Raises ApiError for a refusal, DependencyDown if the server does not answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            async with self._open(_REQUESTS).request(
                method, path, data=data, params=query, headers=headers, timeout=aiohttp.ClientTimeout(total=20)
            ) as response:
                answer = _parsed(await response.read(), response.status)
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as problem:
            raise DependencyDown(f"the API server at {self.server} does not answer: {type(problem).__name__}") from problem
        if response.status >= 400:
            raise ApiError(response.status, str(answer.get("reason", "")), str(answer.get("message", "")))
        return answer

    async def path_of(self, api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
        """The URL path of a kind's collection or of one object. *kind* may be its plural. Raises ApiError (404) for kinds that are not served."""
        plural, namespaced = await self._plural(api_version, kind)
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        within = f"/namespaces/{namespace}" if namespaced and namespace else ""
        return f"{root}{within}/{plural}" + (f"/{name}" if name else "")

    async def _plural(self, api_version: str, kind: str) -> tuple[str, bool]:
        if (api_version, kind) in self._plurals:
            return self._plurals[api_version, kind]
        group = api_version.rpartition("/")[0]
        if group in _BUILT_IN_GROUPS and kind[:1].isupper():
            found = (_CORE_PLURALS.get(kind) or _plural_of(kind), kind not in _CLUSTER_SCOPED)
        else:
            found = await self._discovered(api_version, kind)
        self._plurals[api_version, kind] = found
        return found

    async def _discovered(self, api_version: str, kind: str) -> tuple[str, bool]:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        for entry in (await self.request("GET", root))["resources"]:
            if "/" not in entry["name"] and kind in (entry["kind"], entry["name"]):
                return entry["name"], bool(entry["namespaced"])
        raise ApiError(404, "NotFound", f"{kind} is not served in {api_version}")

    async def _object_path(self, obj: Mapping[str, Any]) -> str:
        metadata = obj["metadata"]
        return await self.path_of(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])

    async def get(self, path: str) -> Obj | None:
        """What is at a URL path; None if it is not there."""
        try:
            return await self.request("GET", path)
        except ApiError as refused:
            if refused.code == 404:
                return None
            raise

    async def find(self, api_version: str, kind: str, name: str, namespace: str = "") -> Obj | None:
        """One object by kind and name; None if it, or its kind, is not there."""
        try:
            return await self.get(await self.path_of(api_version, kind, namespace, name))
        except ApiError as refused:
            if refused.code == 404:
                return None
            raise

    async def list(self, api_version: str, kind: str, namespace: str = "", labels: str = "") -> Objects:
        """All objects of a kind (or plural), each with apiVersion and kind; in all namespaces if none is given."""
        return (await self._listed(api_version, kind, namespace, labels))[0]

    async def _listed(self, api_version: str, kind: str, namespace: str, labels: str) -> tuple[Objects, str]:
        path = await self.path_of(api_version, kind, namespace)
        answer = await self.request("GET", path, query={"labelSelector": labels} if labels else None)
        of_kind = str(answer["kind"]).removesuffix("List")
        items = [{"apiVersion": api_version, "kind": of_kind, **item} for item in answer["items"]]
        return items, answer["metadata"]["resourceVersion"]

    async def create(self, obj: Mapping[str, Any]) -> Obj:
        """POST. Raises ApiError 409 if it exists."""
        path = await self.path_of(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
        return await self.request("POST", path, body=obj)

    async def apply(self, obj: Mapping[str, Any], manager: str, force: bool = True, subresource: str = "", *, dry_run: bool = False) -> Obj:
        """Server-side apply under *manager*. Raises ApiError 409 naming other owners unless *force*. *dry_run* changes nothing, but is refused as the real one."""
        path = await self._object_path(obj) + (f"/{subresource}" if subresource else "")
        query = {"fieldManager": manager, "force": "true" if force else "false", **({"dryRun": "All"} if dry_run else {})}
        return await self.request("PATCH", path, body=obj, query=query, content_type="application/apply-patch+yaml")

    async def replace(self, obj: Mapping[str, Any], subresource: str = "") -> Obj:
        """PUT: a compare-and-swap on the object's resourceVersion. Raises ApiError 409."""
        return await self.request("PUT", await self._object_path(obj) + (f"/{subresource}" if subresource else ""), body=obj)

    async def patch(self, obj: Mapping[str, Any], change: Mapping[str, Any], subresource: str = "") -> Obj:
        """JSON merge patch of the object that *obj* names (apiVersion, kind, metadata.name, metadata.namespace are enough)."""
        path = await self._object_path(obj) + (f"/{subresource}" if subresource else "")
        return await self.request("PATCH", path, body=change, content_type="application/merge-patch+json")

    async def patch_status(self, obj: Mapping[str, Any], status: Mapping[str, Any]) -> Obj:
        """JSON merge patch of the status subresource; *status* is what goes under ``status``."""
        return await self.patch(obj, {"status": status}, "status")

    async def delete(self, obj: Mapping[str, Any], *, grace: int | None = None, propagation: str = "Background") -> bool:
        """Delete; False if it was not there. ``grace=0`` is the kubelet's word that a Pod's processes have ended."""
        body: Obj = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        uid = obj["metadata"].get("uid")
        if uid:
            # A new object of the same name is not the one that was meant.
            body["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", await self._object_path(obj), body=body)
        except ApiError as refused:
            if refused.code in {404, 409}:
                return False
            raise
        return True

    async def watch(self, api_version: str, kind: str, namespace: str = "", labels: str = "") -> AsyncGenerator[tuple[str, Obj], None]:
        """(type, object) until ``close``: first what exists, as ADDED, then every change. Survives lost connections and restarted servers.

        After a gap that the server no longer remembers it lists again: objects that vanished in the gap are told as DELETED (their last known state), the
        others as MODIFIED. A kind that is not served (yet) is waited for.
        """
        seen = _Seen()
        while not self._closed.is_set():
            try:
                async for event in self._some(api_version, kind, namespace, labels, seen):
                    yield event
            except (ApiError, DependencyDown, aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as problem:
                if isinstance(problem, ApiError):
                    seen.revision = ""
                # An inherent period: nothing tells a client when a server is back.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), _RETRY_SECONDS)

    async def _some(self, api_version: str, kind: str, namespace: str, labels: str, seen: _Seen) -> AsyncGenerator[tuple[str, Obj], None]:
        """One connection's worth of events, after a list where there is no revision to go on from."""
        if not seen.revision:
            items, seen.revision = await self._listed(api_version, kind, namespace, labels)
            for event in seen.told_anew(items):
                yield event
        async for name, obj in self._events(api_version, kind, namespace, labels, seen.revision):
            if name == "ERROR":
                seen.revision = ""
                return
            seen.revision = obj["metadata"]["resourceVersion"]
            if name != "BOOKMARK":
                seen.remember(name, obj)
                yield name, obj

    async def _events(self, api_version: str, kind: str, namespace: str, labels: str, revision: str) -> AsyncGenerator[tuple[str, Obj], None]:
        query = {"watch": "true", "resourceVersion": revision, "allowWatchBookmarks": "true"}
        if labels:
            query["labelSelector"] = labels
        path = await self.path_of(api_version, kind, namespace)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
        async with self._open(_UNBOUNDED).get(path, params=query, timeout=timeout, read_bufsize=2**22) as response:
            if response.status >= 400:
                raise ApiError(response.status, "", (await response.text())[:200])
            async for line in response.content:
                event = json.loads(line)
                yield event["type"], event["object"]


def _parsed(raw: bytes, status: int) -> Obj:
    """The answer's JSON. A failure may come as plain text (an unknown path does); a success may not."""
    try:
        answer: Obj = json.loads(raw)
    except json.JSONDecodeError:
        if status < 400:
            raise
        return {"message": raw.decode(errors="replace")[:200].strip()}
    return answer


def _plural_of(kind: str) -> str:
    low = kind.lower()
    if low.endswith("y"):
        return low[:-1] + "ies"
    return low + "es" if low.endswith(("s", "x")) else low + "s"


def _place(obj: Obj) -> tuple[str, str]:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


class _Seen:
    """What one watch has told so far, and the revision that it has come to (empty: list first)."""

    def __init__(self) -> None:
        self.revision = ""
        self._known: dict[tuple[str, str], Obj] = {}

    def remember(self, name: str, obj: Obj) -> None:
        """Note an event."""
        if name == "DELETED":
            self._known.pop(_place(obj), None)
        else:
            self._known[_place(obj)] = obj

    def told_anew(self, items: Objects) -> list[tuple[str, Obj]]:
        """The events that lead from what was known to what was listed."""
        fresh = {_place(item): item for item in items}
        gone = [old for place, old in self._known.items() if _uid(fresh.get(place)) != _uid(old)]
        known = {place: old for place, old in self._known.items() if old not in gone}
        self._known = fresh
        changed = [(place, item) for place, item in fresh.items() if _version(known.get(place)) != _version(item)]
        return [("DELETED", old) for old in gone] + [("MODIFIED" if place in known else "ADDED", item) for place, item in changed]


def _uid(obj: Obj | None) -> str:
    return str(obj["metadata"]["uid"]) if obj is not None else ""


def _version(obj: Obj | None) -> str:
    return str(obj["metadata"]["resourceVersion"]) if obj is not None else ""
