"""What goes wrong in a request, as the ``Status`` objects that clients branch on (``code`` and ``reason``).

Texts follow kube-apiserver's, since kubectl prints them as they are and users search for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]


@dataclass(frozen=True)
class Cause:
    """One field that is wrong: ``field`` is a dotted path, ``reason`` e.g. ``FieldValueInvalid``."""

    reason: str
    message: str
    field: str

    def as_json(self) -> Obj:
        """The shape inside ``Status.details.causes``."""
        return {"reason": self.reason, "message": self.message, "field": self.field}

    @property
    def text(self) -> str:
        """As kubectl shows it: ``spec.replicas: Invalid value: …``."""
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiProblem(Exception):
    """A request that ends in a ``Status`` of failure. ``details`` is Status.details."""

    def __init__(self, code: int, reason: str, message: str, details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    def status(self) -> Obj:
        """The ``v1 Status`` object."""
        body: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code}
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return body


class NoSuchPath(ApiProblem):
    """A 404 that is no ``Status``."""


def qualified(group: str, plural: str) -> str:
    """``deployments.apps``, or ``pods`` for the core group: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def _details(group: str, plural: str, name: str) -> Obj:
    details: Obj = {"name": name, "kind": plural}
    if group:
        details["group"] = group
    return details


def not_found(group: str, plural: str, name: str) -> ApiProblem:
    """404: there is no such object."""
    return ApiProblem(404, "NotFound", f'{qualified(group, plural)} "{name}" not found', _details(group, plural, name))


def no_such_path() -> ApiProblem:
    """404: nothing is served at this path (an unknown group, version or resource). Upstream answers it from its router, in plain text."""
    return NoSuchPath(404, "NotFound", "404 page not found")


def already_exists(group: str, plural: str, name: str) -> ApiProblem:
    """409: create of an existing object."""
    return ApiProblem(409, "AlreadyExists", f'{qualified(group, plural)} "{name}" already exists', _details(group, plural, name))


def conflict(group: str, plural: str, name: str, why: str) -> ApiProblem:
    """409: somebody else was first; *why* says in what."""
    message = f'Operation cannot be fulfilled on {qualified(group, plural)} "{name}": {why}'
    return ApiProblem(409, "Conflict", message, _details(group, plural, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def bad_request(message: str) -> ApiProblem:
    """400: the request cannot be read."""
    return ApiProblem(400, "BadRequest", message)


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiProblem:
    """422: readable, but some fields are wrong."""
    texts = [cause.text for cause in causes]
    what = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {**_details(group, kind, name), "causes": [cause.as_json() for cause in causes]}
    return ApiProblem(422, "Invalid", f'{qualified(group, kind)} "{name}" is invalid: {what}', details)


def forbidden(group: str, plural: str, name: str, why: str) -> ApiProblem:
    """403: authenticated, not allowed."""
    subject = f'{qualified(group, plural)} "{name}"' if name else qualified(group, plural)
    return ApiProblem(403, "Forbidden", f"{subject} is forbidden: {why}", _details(group, plural, name))


def unauthorized() -> ApiProblem:
    """401: no token, or one that is not known."""
    return ApiProblem(401, "Unauthorized", "Unauthorized")


def method_not_allowed() -> ApiProblem:
    """405: the resource has no such verb."""
    return ApiProblem(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media(message: str) -> ApiProblem:
    """415: the body's content type is not spoken here."""
    return ApiProblem(415, "UnsupportedMediaType", message)


def expired(message: str) -> ApiProblem:
    """410: the resourceVersion or continue token is older than what is remembered."""
    return ApiProblem(410, "Expired", message)
