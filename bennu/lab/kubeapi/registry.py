"""Which resources are served right now: the built-in table plus what CRDs have added.

A CRD counts from the moment it is stored; its versions that are not ``served`` are absent. The registry decides nothing about objects.
"""

from __future__ import annotations

from collections.abc import Iterator

from bennu.lab.kubeapi.kinds import BUILT_IN, CustomVersion, ResourceType
from bennu.lab.kubeapi.problems import Obj
from bennu.lab.kubeapi.schemas import custom_shape

_ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def types_of(crd: Obj) -> Iterator[ResourceType]:
    """The resource types that a CustomResourceDefinition asks to have served."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next((v["name"] for v in spec["versions"] if v.get("storage")), spec["versions"][0]["name"])
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        subresources = version.get("subresources") or {}
        yield ResourceType(
            group=spec["group"],
            version=version["name"],
            plural=names["plural"],
            kind=names["kind"],
            namespaced=spec.get("scope", "Namespaced") == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=frozenset(subresources),
            generation=True,
            custom=CustomVersion(
                shape=custom_shape((version.get("schema") or {}).get("openAPIV3Schema") or _ANYTHING),
                columns=tuple(version.get("additionalPrinterColumns") or ()),
                scale=subresources.get("scale") or {},
                storage_version=storage,
            ),
            singular_name=names.get("singular", ""),
            list_kind_name=names.get("listKind", ""),
        )


class Registry:
    """Lookup of resource types by path and by kind; ``revision`` rises with each change, for caches of what is derived from it."""

    def __init__(self) -> None:
        self.revision = 0
        self._by_path: dict[tuple[str, str, str], ResourceType] = {(t.group, t.version, t.plural): t for t in BUILT_IN}

    def __iter__(self) -> Iterator[ResourceType]:
        return iter(tuple(self._by_path.values()))

    def at(self, group: str, version: str, plural: str) -> ResourceType | None:
        """What is served under ``/apis/<group>/<version>/<plural>``."""
        return self._by_path.get((group, version, plural))

    def of_kind(self, api_version: str, kind: str) -> ResourceType | None:
        """The resource of an object's apiVersion and kind."""
        return next((t for t in self._by_path.values() if t.kind == kind and t.api_version == api_version), None)

    def of_key(self, key: tuple[str, str]) -> ResourceType | None:
        """Any version of a stored resource; the storage version, for custom resources."""
        found = [t for t in self._by_path.values() if t.key == key]
        return next((t for t in found if t.custom is None or t.custom.storage_version == t.version), found[0] if found else None)

    def versions(self) -> dict[str, list[str]]:
        """Group → versions, the preferred one first (GA before beta before alpha, then the higher number)."""
        groups: dict[str, set[str]] = {}
        for t in self._by_path.values():
            groups.setdefault(t.group, set()).add(t.version)
        return {group: sorted(versions, key=_preference) for group, versions in groups.items()}

    def install(self, crd: Obj) -> None:
        """Serve what *crd* asks for, in place of what it asked for before."""
        self.uninstall(crd)
        for t in types_of(crd):
            self._by_path[(t.group, t.version, t.plural)] = t
        self.revision += 1

    def uninstall(self, crd: Obj) -> None:
        """Serve nothing of *crd* any more."""
        key = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        for path in [path for path, t in self._by_path.items() if t.key == key and t.custom is not None]:
            del self._by_path[path]
        self.revision += 1


def _preference(version: str) -> tuple[int, int, int, str]:
    stage = 2 if "alpha" in version else 1 if "beta" in version else 0
    digits = version.lstrip("v").replace("alpha", " ").replace("beta", " ").split()
    major, minor = (int(digits[0]) if digits and digits[0].isdigit() else 0), (int(digits[1]) if len(digits) > 1 and digits[1].isdigit() else 0)
    return (stage, -major, -minor, version)
