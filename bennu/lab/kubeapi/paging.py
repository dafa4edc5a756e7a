"""``limit`` and ``continue`` of lists. A token names the last item seen and the revision of the first page, which later pages repeat."""

from __future__ import annotations

import base64
import binascii
import json

from bennu.lab.kubeapi.problems import Obj, bad_request


def page(items: list[Obj], revision: int, limit: str, token: str) -> tuple[list[Obj], Obj]:
    """The asked page of *items* (in the store's order), and the list's metadata. Raises 400 for a token that cannot be read."""
    after, seen = _read(token) if token else (None, revision)
    rest = [item for item in items if after is None or _place(item) > after]
    size = int(limit) if limit.isdigit() else 0
    metadata: Obj = {"resourceVersion": str(seen)}
    if not size or len(rest) <= size:
        return rest, metadata
    shown = rest[:size]
    text = json.dumps({"rv": seen, "after": _place(shown[-1])})
    metadata["continue"] = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    metadata["remainingItemCount"] = len(rest) - size
    return shown, metadata


def _place(item: Obj) -> list[str]:
    return [item["metadata"].get("namespace", ""), item["metadata"]["name"]]


def _read(token: str) -> tuple[list[str], int]:
    try:
        held = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return [str(part) for part in held["after"]], int(held["rv"])
    except (binascii.Error, ValueError, KeyError, TypeError) as problem:
        raise bad_request("continue key is not valid: the token was not given out by this server") from problem
