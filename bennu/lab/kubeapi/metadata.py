"""Object metadata: what the server sets, what a client may not change, and when ``generation`` rises."""

from __future__ import annotations

import re
import secrets
import uuid
from datetime import UTC, datetime

from bennu.lab.kubeapi.kinds import ResourceType
from bennu.lab.kubeapi.problems import Cause, Obj, bad_request, invalid

SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation")
_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
# RBAC names hold colons (``system:auth-delegator``); the real server only forbids what would break a path.
_PATH_NAME = re.compile(r"^(?!\.\.?$)[^/%]+$")
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def now() -> str:
    """RFC 3339 with seconds, as metadata has it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def generated_name(prefix: str) -> str:
    """A name from ``generateName``: five letters that spell no words."""
    return prefix[:58] + "".join(secrets.choice(_LETTERS) for _ in range(5))


def settle_name(obj: Obj, resource: ResourceType, asked: str = "") -> str:
    """The object's name: its own, the path's (*asked*), or a generated one; written into the object. Raises 400 and 422."""
    metadata = obj["metadata"]
    name = metadata.get("name") or ""
    if asked and name and name != asked:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({asked})")
    name = name or asked
    if not name and metadata.get("generateName"):
        name = generated_name(metadata["generateName"])
    if not name:
        raise invalid(resource.group, resource.kind, "", [Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")])
    pattern = _PATH_NAME if resource.group == "rbac.authorization.k8s.io" else _NAME
    if not isinstance(name, str) or not pattern.match(name) or len(name) > 253:
        message = (
            f"Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        raise invalid(resource.group, resource.kind, str(name), [Cause("FieldValueInvalid", message, "metadata.name")])
    metadata["name"] = name
    return name


def settle_namespace(obj: Obj, resource: ResourceType, namespace: str) -> None:
    """Write the path's namespace into the object. Raises 400 where they differ."""
    metadata = obj["metadata"]
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.get("namespace") and metadata["namespace"] != namespace:
        raise bad_request(f"the namespace of the provided object does not match the namespace sent on the request: {metadata['namespace']!r} != {namespace!r}")
    metadata["namespace"] = namespace


def born(obj: Obj, resource: ResourceType, uid: str = "") -> None:
    """The metadata of a new object; whatever the client sent of the server's own fields is dropped."""
    metadata = obj["metadata"]
    for field in (*SERVER_OWNED, "resourceVersion"):
        metadata.pop(field, None)
    metadata["uid"] = uid or str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    if resource.generation:
        metadata["generation"] = 1


def inherited(obj: Obj, old: Obj) -> None:
    """Give a changed object the server-owned metadata of its predecessor."""
    metadata = obj["metadata"]
    for field in (*SERVER_OWNED, "namespace"):
        if field in old["metadata"]:
            metadata[field] = old["metadata"][field]
        else:
            metadata.pop(field, None)


def next_generation(obj: Obj, old: Obj, resource: ResourceType) -> None:
    """Raise ``generation`` if anything but metadata and status has changed."""
    if not resource.generation:
        return
    outside = {"metadata", "status", "apiVersion", "kind"} if "status" in resource.subresources else {"metadata", "apiVersion", "kind"}
    before = {key: value for key, value in old.items() if key not in outside}
    after = {key: value for key, value in obj.items() if key not in outside}
    generation = old["metadata"].get("generation", 1)
    obj["metadata"]["generation"] = generation + 1 if before != after else generation
