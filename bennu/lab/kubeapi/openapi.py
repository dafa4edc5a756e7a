"""OpenAPI: what kubectl reads before it sends (does PATCH take ``fieldValidation``? how is a list merged?) and what ``kubectl explain`` shows."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from aiohttp import web

from bennu.lab.kubeapi.answers import answer
from bennu.lab.kubeapi.discovery import VERSION
from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Obj, no_such_path
from bennu.lab.kubeapi.registry import Registry
from bennu.lab.kubeapi.schemas import definitions, type_name

_INFO: Obj = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
# kubectl reads version 2 as protobuf alone, and only where version 3 does not know the kind: the document ``swagger: "2.0"`` without definitions says so too.
_EMPTY_PROTOBUF = b"\x0a\x032.0"
_PATCHES = ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
_WRITE_PARAMETERS: list[Obj] = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("dryRun", "fieldManager", "fieldValidation")]
_VERBS = {"get": "get", "list": "list", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}


def answer_to(registry: Registry, path: str, request: web.Request) -> web.Response:
    """Answer a path under ``/openapi``. Raises 404."""
    if path == "/openapi/v3":
        return answer(_index(registry))
    if path == "/openapi/v2":
        if "proto-openapi" in request.headers.get("Accept", ""):
            return web.Response(body=_EMPTY_PROTOBUF, headers={"Content-Type": "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"})
        return answer(_version_2(registry))
    prefix = "/openapi/v3/"
    if not path.startswith(prefix):
        raise no_such_path()
    found = [t for t in registry if _root(t) == path.removeprefix(prefix)]
    if not found:
        raise no_such_path()
    return answer(_document(found))


def _root(t: ResourceType) -> str:
    return f"apis/{t.group}/{t.version}" if t.group else f"api/{t.version}"


def _index(registry: Registry) -> Obj:
    stamp = hashlib.sha256(str(registry.revision).encode()).hexdigest()[:16]
    roots = sorted({_root(t) for t in registry})
    return {"paths": {root: {"serverRelativeURL": f"/openapi/v3/{root}?hash={stamp}"} for root in roots}}


def _document(types: list[ResourceType]) -> Obj:
    held = dict(definitions()) if any(t.custom is None for t in types) else {}
    schemas = _closure({_schema_name(t) for t in types if t.custom is None} | {"V1ObjectMeta"}, held or dict(definitions()))
    for t in types:
        schema = t.custom.shape.schema if t.custom is not None else schemas[_schema_name(t)]
        schemas[_schema_name(t)] = {**schema, "x-kubernetes-group-version-kind": [{"group": t.group, "version": t.version, "kind": t.kind}]}
    return {"openapi": "3.0.0", "info": _INFO, "paths": {path: item for t in types for path, item in _paths(t)}, "components": {"schemas": schemas}}


def _schema_name(t: ResourceType) -> str:
    if t.custom is None:
        return type_name(t)
    return ".".join([*reversed(t.group.split(".")), t.version, t.kind])


def _closure(names: set[str], table: dict[str, Any]) -> dict[str, Any]:
    done: dict[str, Any] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        done[name] = table[name]
        text = json.dumps(table[name])
        waiting |= {piece.split('"', 1)[0] for piece in text.split("#/components/schemas/")[1:]} - done.keys()
    return done


def _paths(t: ResourceType) -> list[tuple[str, Obj]]:
    base = f"/{_root(t)}/" + ("namespaces/{namespace}/" if t.namespaced else "") + t.plural
    collection: Obj = {method: _operation(t, verb, method) for verb, method in (("list", "get"), ("create", "post")) if verb in t.verbs}
    single: Obj = {method: _operation(t, verb, method) for verb, method in _VERBS.items() if verb in t.verbs and method != "post" and verb != "list"}
    paths = [(base, collection)]
    if single:
        paths.append((base + "/{name}", single))
    return paths


def _operation(t: ResourceType, verb: str, method: str) -> Obj:
    reference = {"$ref": f"#/components/schemas/{_schema_name(t)}"}
    operation: Obj = {
        "operationId": f"{verb}{t.version}{t.kind}",
        "x-kubernetes-action": {"create": "post", "update": "put"}.get(verb, verb),
        "x-kubernetes-group-version-kind": {"group": t.group, "version": t.version, "kind": t.kind},
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    }
    if method == "patch":
        kinds = [kind for kind in _PATCHES if t.custom is None or "strategic" not in kind]
        operation["parameters"] = [*_WRITE_PARAMETERS, {"name": "force", "in": "query", "schema": {"type": "boolean"}}]
        operation["requestBody"] = {"content": {kind: {"schema": {"type": "object"}} for kind in kinds}}
    elif method in {"post", "put"}:
        operation["parameters"] = _WRITE_PARAMETERS
        operation["requestBody"] = {"content": {"application/json": {"schema": reference}}}
    return operation


def _version_2(registry: Registry) -> Obj:
    names: dict[str, Any] = {}
    paths: Obj = {}
    for t in registry:
        schema = t.custom.shape.schema if t.custom is not None else definitions()[_schema_name(t)]
        names[_schema_name(t)] = {**schema, "x-kubernetes-group-version-kind": [{"group": t.group, "version": t.version, "kind": t.kind}]}
        for path, item in _paths(t):
            paths[path] = {method: _operation_2(operation) for method, operation in item.items()}
    document = {"swagger": "2.0", "info": _INFO, "paths": paths, "definitions": {**definitions(), **names}}
    converted: Obj = json.loads(json.dumps(document).replace("#/components/schemas/", "#/definitions/"))
    return converted


def _operation_2(operation: Obj) -> Obj:
    flat = {key: value for key, value in operation.items() if key not in {"requestBody", "parameters", "responses"}}
    flat["parameters"] = [{"name": p["name"], "in": "query", "type": p["schema"]["type"], "uniqueItems": True} for p in operation.get("parameters", [])]
    flat["responses"] = {"200": {"description": "OK"}}
    if "requestBody" in operation:
        flat["consumes"] = list(operation["requestBody"]["content"])
    return flat
