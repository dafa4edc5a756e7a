"""The verbs over HTTP: reading the request's body and options, calling the writer or the store, answering in the form asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from bennu.lab.kubeapi import merge_patches, paging, subresources, watches
from bennu.lab.kubeapi.answers import Shown, answer, shown_list, shown_one
from bennu.lab.kubeapi.bodies import as_object, decoded
from bennu.lab.kubeapi.cluster import Cluster
from bennu.lab.kubeapi.identity import User
from bennu.lab.kubeapi.portforward import forward
from bennu.lab.kubeapi.problems import Obj, bad_request, method_not_allowed, not_found, unsupported_media
from bennu.lab.kubeapi.removal import DeleteOptions
from bennu.lab.kubeapi.requests import Target, WriteOptions, truth, write_options
from bennu.lab.kubeapi.reviews import REVIEWS, review
from bennu.lab.kubeapi.selectors import both
from bennu.lab.kubeapi.strategic import strategic_patched
from bennu.lab.kubeapi.writer import Written, in_version


class Handlers:
    """Answers authorized requests for one cluster's resources."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._verbs: dict[str, Callable[[web.Request, Target, User], Any]] = {
            "get": self._get,
            "list": self._list,
            "watch": self._watch,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    async def handle(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        """Answer *request*, whose caller has been found to be allowed. Raises ApiProblem."""
        if target.subresource == "portforward":
            return await forward(request, self._found(target))
        handler = self._verbs.get(target.verb)
        if handler is None or (not target.subresource and target.verb not in target.resource.verbs):
            raise method_not_allowed()
        response: web.StreamResponse = await handler(request, target, user)
        return response

    def _found(self, target: Target) -> Obj:
        obj = self._cluster.store.get(target.address)
        if obj is None:
            raise not_found(target.resource.group, target.resource.plural, target.name)
        return in_version(obj, target.resource)

    async def _get(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        obj = self._found(target)
        if target.subresource == "scale":
            return answer(subresources.scale_of(target.resource, obj))
        if target.subresource == "log":
            return web.Response(text=subresources.log_of(obj, request.query), content_type="text/plain")
        return answer(_shown(request, target)(obj))

    async def _list(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        matches = _matches(request, target)
        store, resource = self._cluster.store, target.resource
        found = [in_version(obj, resource) for obj in store.list(resource.key, target.namespace) if matches(obj)]
        page, metadata = paging.page(found, store.revision, request.query.get("limit", ""), request.query.get("continue", ""))
        return answer(shown_list(resource, page, metadata, request.headers.get("Accept", ""), request.query.get("includeObject", "")))

    async def _watch(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        query = request.query
        since = query.get("resourceVersion", "")
        if since and not since.isdigit():
            raise bad_request(f'invalid resource version "{since}"')
        initial = truth(query.get("sendInitialEvents"))
        asked = watches.WatchRequest(
            resource=target.resource,
            namespace=target.namespace,
            matches=_matches(request, target),
            since=None if initial or since in {"", "0"} else int(since),
            timeout=float(query["timeoutSeconds"]) if query.get("timeoutSeconds", "").isdigit() else watches.default_timeout(),
            bookmarks=truth(query.get("allowWatchBookmarks")),
            initial_end=initial,
            shown=_shown(request, target),
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for line in watches.stream(self._cluster.store, asked):
                await response.write(line)
        except (ConnectionError, asyncio.CancelledError):
            return response
        await response.write_eof()
        return response

    async def _create(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        body = as_object(await _body(request))
        if target.resource.group in REVIEWS:
            return answer(review(self._cluster, target.resource.kind, body, user), 201)
        if target.subresource == "token":
            return answer(subresources.issued_token(self._cluster, target, body), 201)
        if target.subresource == "eviction":
            pod = self._found(target)
            options = _delete_options(body.get("deleteOptions") or {}, request)
            self._cluster.removal.delete(target.address, pod, options)
            return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, 201)
        if target.name:
            raise method_not_allowed()
        return _written(request, target, self._cluster.writer.create(target, body, _options(request)))

    async def _update(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        body, options = as_object(await _body(request)), _options(request)
        if target.subresource == "scale":
            return answer(subresources.scaled(self._cluster, target, lambda _: body, options))
        return _written(request, target, self._cluster.writer.replace(target, body, options))

    async def _patch(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        kind = request.content_type
        raw = decoded(await request.read(), kind)
        if kind == "application/apply-patch+yaml":
            options = _options(request, apply=True)
            return _written(request, target, self._cluster.writer.apply(target, as_object(raw), options))
        change = _change(kind, raw, target)
        options = _options(request)
        if target.subresource == "scale":
            return answer(subresources.scaled(self._cluster, target, change, options))
        return _written(request, target, self._cluster.writer.patch(target, lambda old: as_object(change(old)), options))

    async def _delete(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        obj = self._found(target)
        options = _delete_options(await _body(request, empty={}), request)
        left = self._cluster.removal.delete(target.address, obj, options)
        if self._cluster.store.get(target.address) is not None or target.resource.kind in {"Pod", "Namespace"}:
            return answer(_shown(request, target)(in_version(left, target.resource)))
        details = {"name": target.name, "kind": target.resource.plural, "uid": obj["metadata"]["uid"]}
        if target.resource.group:
            details["group"] = target.resource.group
        return answer({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})

    async def _delete_collection(self, request: web.Request, target: Target, user: User) -> web.StreamResponse:
        matches = _matches(request, target)
        options = _delete_options(await _body(request, empty={}), request)
        gone: list[Obj] = []
        for obj in self._cluster.store.list(target.resource.key, target.namespace):
            if matches(obj):
                place = Target(target.resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"], "", "delete")
                gone.append(self._cluster.removal.delete(place.address, obj, options))
        return answer(shown_list(target.resource, gone, {"resourceVersion": str(self._cluster.store.revision)}, "", ""))


async def _body(request: web.Request, empty: Any = None) -> Any:
    raw = await request.read()
    if not raw and empty is not None:
        return empty
    return decoded(raw, request.content_type if "Content-Type" in request.headers else "")


def _options(request: web.Request, *, apply: bool = False) -> WriteOptions:
    return write_options(request.query, request.headers.get("User-Agent", ""), apply=apply)


def _matches(request: web.Request, target: Target) -> Callable[[Obj], bool]:
    fields = request.query.get("fieldSelector", "")
    if target.name and target.verb == "watch":
        fields = ",".join(filter(None, [fields, f"metadata.name={target.name}"]))
    return both(request.query.get("labelSelector", ""), fields, target.resource.kind)


def _shown(request: web.Request, target: Target) -> Shown:
    return shown_one(target.resource, request.headers.get("Accept", ""), request.query.get("includeObject", ""))


def _written(request: web.Request, target: Target, written: Written) -> web.Response:
    return answer(_shown(request, target)(in_version(written.object, target.resource)), written.code, written.warnings)


def _change(kind: str, patch: Any, target: Target) -> Callable[[Obj], Obj]:
    """What a patch of the given content type does to an object. Raises 415 for types that the resource does not take."""
    if kind == "application/merge-patch+json":
        return lambda old: merge_patches.merge_patched(old, patch)
    if kind == "application/json-patch+json":
        return lambda old: merge_patches.json_patched(old, patch)
    if kind == "application/strategic-merge-patch+json" and target.resource.custom is None:
        return lambda old: strategic_patched(target, old, patch)
    taken = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
    if target.resource.custom is None:
        taken.insert(2, "application/strategic-merge-patch+json")
    raise unsupported_media(f"the body of the request was in an unknown format - accepted media types include: {', '.join(taken)}")


def _delete_options(body: Any, request: web.Request) -> DeleteOptions:
    if not isinstance(body, dict):
        raise bad_request("delete options are an object")
    query = request.query
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
    if not propagation:
        propagation = "Orphan" if body.get("orphanDependents") or truth(query.get("orphanDependents")) else "Background"
    if propagation not in {"Background", "Foreground", "Orphan"}:
        raise bad_request(f"propagationPolicy: Unsupported value: {json.dumps(propagation)}")
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        propagation=propagation,
        grace=None if grace in (None, "") else int(grace),
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run="All" in (body.get("dryRun") or [query.get("dryRun", "")]),
    )
