"""From a kind to the paths of its objects, as the API's own discovery says. Cached; asked again on a miss, since CRDs come and go during a rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from bennu.adapters.kubernetes_transport import Ask, Reply
from bennu.ports.kubernetes import Kind


@dataclass(frozen=True)
class Resource:
    """What discovery says of one kind."""

    group_path: str  # /api/v1 or /apis/<group>/<version>
    plural: str
    namespaced: bool

    @property
    def group(self) -> str:
        """The API group; empty for the core."""
        return "" if self.group_path.startswith("/api/") else self.group_path.split("/")[2]

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of a collection, or of one object."""
        where = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{self.group_path}{where}/{self.plural}" + (f"/{quote(name, safe='')}" if name else "")


def group_path(api_version: str) -> str:
    """``/api/v1`` for the core, else ``/apis/<group>/<version>``."""
    return f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"


class Discovery:
    """Asks with *call*, the transport's own."""

    def __init__(self, call: Callable[[Ask], Reply]) -> None:
        self._call = call
        self._known: dict[str, dict[str, Resource]] = {}

    def find(self, kind: Kind) -> Resource | None:
        """The resource, or None if the API does not serve it now."""
        known = self._known.get(kind.api_version, {})
        if kind.kind not in known:
            known = self._known[kind.api_version] = self._asked(kind.api_version)
        return known.get(kind.kind)

    def refreshed(self, kind: Kind) -> Resource | None:
        """The same without the cache."""
        self._known.pop(kind.api_version, None)
        return self.find(kind)

    def _asked(self, api_version: str) -> dict[str, Resource]:
        base = group_path(api_version)
        reply = self._call(Ask("GET", base, f"the discovery of {api_version}", {}))
        if reply.status != 200:
            return {}
        return {
            item["kind"]: Resource(base, item["name"], bool(item["namespaced"]))
            for item in reply.body.get("resources") or ()
            if "/" not in item["name"]  # subresources
        }
