"""HTTP answers: JSON bodies, warnings, failures as ``Status``, and what the client's Accept header asks objects to be shown as."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from aiohttp import web

from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import ApiProblem, NoSuchPath, Obj
from bennu.lab.kubeapi.tables import table

Shown = Callable[[Obj], Obj]


def answer(body: object, code: int = 200, warnings: Iterable[str] = (), content_type: str = "application/json") -> web.Response:
    """A JSON response; each warning becomes a ``Warning: 299`` header, which kubectl prints."""
    response = web.Response(
        body=json.dumps(body, separators=(",", ":")).encode() + b"\n", status=code, headers={"Content-Type": content_type, "Cache-Control": "no-cache, private"}
    )
    for text in warnings:
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{quoted}"')
    return response


def failure(problem: ApiProblem) -> web.Response:
    """A ``Status`` of failure (plain text for a path that does not exist, as upstream)."""
    if isinstance(problem, NoSuchPath):
        return web.Response(status=404, text=problem.message + "\n")
    response = answer(problem.status(), problem.code)
    if problem.code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="bennu-lab"'
    return response


def accepted_forms(accept: str) -> list[dict[str, str]]:
    """The media types of an Accept header in order, each with its parameters; ``""`` holds the type itself."""
    forms: list[dict[str, str]] = []
    for part in accept.split(","):
        pieces = [piece.strip() for piece in part.split(";")]
        form = {"": pieces[0]}
        form.update({key: value for key, _, value in (piece.partition("=") for piece in pieces[1:])})
        forms.append(form)
    return forms


def wants_table(accept: str) -> bool:
    """Whether the client prefers ``meta.k8s.io/v1 Table`` (kubectl get does)."""
    for form in accepted_forms(accept):
        if form[""] in {"application/json", "*/*"} and form.get("as", "") in {"", "Table"}:
            return form.get("as") == "Table" and form.get("v", "v1") == "v1"
    return False


def wants_metadata(accept: str) -> bool:
    """Whether the client prefers PartialObjectMetadata."""
    return any(form[""] == "application/json" and form.get("as", "").startswith("PartialObjectMetadata") for form in accepted_forms(accept)[:1])


def partial(obj: Obj) -> Obj:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def shown_one(resource: ResourceType, accept: str, include: str) -> Shown:
    """How a single object is shown; *include* is the query's ``includeObject``."""
    if wants_table(accept):
        return lambda obj: table(resource, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")}, include or "Metadata")
    if wants_metadata(accept):
        return partial
    return lambda obj: obj


def shown_list(resource: ResourceType, items: list[Obj], metadata: Obj, accept: str, include: str) -> Obj:
    """A list as the client wants it. Items of a plain list carry no kind, as upstream's do not."""
    if wants_table(accept):
        return table(resource, items, metadata, include or "Metadata")
    if wants_metadata(accept):
        return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": [partial(item) for item in items]}
    if resource.custom is None:
        items = [{key: value for key, value in item.items() if key not in {"kind", "apiVersion"}} for item in items]
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
