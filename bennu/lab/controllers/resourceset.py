"""Stands for flux-operator's ResourceSet: whole objects with ``<< inputs.x >>`` filled in, applied and pruned as one set."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from bennu.lab.client import ApiError
from bennu.lab.controllers.flux_inventory import Owner, apply_all, entries, entry, inventory, prune
from bennu.lab.controllers.flux_status import Json, asked, condition, outcome, progressing, ready
from bennu.lab.controllers.network_informers import Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext

KIND = Watched("fluxcd.controlplane.io/v1", "ResourceSet")
FINALIZER = "fluxcd.controlplane.io/finalizer"
_DISABLED = "fluxcd.controlplane.io/reconcile"
_EXPRESSION = re.compile(r"<<\s*inputs\.([A-Za-z0-9_.-]+)\s*(\|\s*quote)?\s*>>")
_OPENING = re.compile("<<")
_RETRY = 0.5
_UNSUPPORTED = ("resourcesTemplate", "dependsOn", "wait", "serviceAccountName", "commonMetadata")


class TemplateError(Exception):
    """An expression that cannot be filled in."""


def filled(value: Any, inputs: Mapping[str, Any]) -> Any:
    """*value* with every expression replaced. Raises TemplateError for an unknown input, and for a function other than ``quote``.

    As with the real operator, templating happens on the text before it is parsed: a number in a string field needs ``| quote``.
    """

    def one(match: re.Match[str]) -> str:
        found: Any = inputs
        for part in match[1].split("."):
            if not isinstance(found, Mapping) or part not in found:
                raise TemplateError(f'map has no entry for key "{match[1]}"')
            found = found[part]
        return str(found).lower() if isinstance(found, bool) else str(found)

    if isinstance(value, str):
        text = _EXPRESSION.sub(one, value)
        if _OPENING.search(_EXPRESSION.sub("", value)):
            raise TemplateError(f"{value!r} is not emulated: only << inputs.NAME >> and << inputs.NAME | quote >> are")
        whole = _EXPRESSION.fullmatch(value.strip())
        return _scalar(text) if whole and not whole[2] else text
    if isinstance(value, dict):
        return {key: filled(item, inputs) for key, item in value.items()}
    return [filled(item, inputs) for item in value] if isinstance(value, list) else value


def _scalar(text: str) -> Any:
    """As YAML reads a bare word: numbers and booleans are no strings."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    return parsed if isinstance(parsed, int | float | bool) else text


class ResourceSets:
    """All ResourceSets of one cluster."""

    def __init__(self, ctx: ControllerContext, sets: Informer) -> None:
        self._ctx, self._sets = ctx, sets

    async def look(self) -> float | None:
        """Reconcile what changed."""
        if self._ctx.faults().get(f"flux:{self._ctx.cluster.load().colour}") == "down":
            return 0.25
        waits = [await self._one(obj) for obj in self._sets]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _one(self, obj: Json) -> float | None:
        meta = obj["metadata"]
        held = list(meta.get("finalizers") or [])
        if meta.get("deletionTimestamp"):
            await self._finalised(obj, held)
            return None
        if FINALIZER not in held:
            obj = await self._ctx.client.patch(obj, {"metadata": {"finalizers": [*held, FINALIZER]}})
        if (meta.get("annotations") or {}).get(_DISABLED) == "disabled" or (not asked(obj) and (ready(obj) == "True" or _stalled(obj))):
            return None
        status = await self._reconciled(obj)
        self._sets.note(await self._ctx.client.patch_status(obj, status))
        return None if ready({"status": status}) == "True" or _stalled({"status": status}) else _RETRY

    async def _reconciled(self, obj: Json) -> Json:
        await self._ctx.client.patch_status(obj, progressing(obj, "Reconciliation in progress"))
        try:
            objects = _objects(obj)
        except TemplateError as error:
            # A template that cannot be filled is not tried again until it changes.
            status = outcome(obj, good=False, reason="BuildFailed", message=f"build failed: {error}")
            status["conditions"][1] = condition(obj, "Stalled", "True", "BuildFailed", f"build failed: {error}")
            return status | {"observedGeneration": obj["metadata"].get("generation", 1)}
        try:
            await apply_all(self._ctx.client, objects, _owner(obj))
        except ApiError as error:
            return outcome(obj, good=False, reason="ReconciliationFailed", message=f"reconciliation failed: {error}")
        left = await prune(self._ctx.client, inventory(obj), objects, _owner(obj))
        digest = hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()
        status = outcome(obj, good=True, reason="ReconciliationSucceeded", message=f"Reconciliation finished, {len(objects)} resources")
        return status | {"lastAppliedRevision": f"sha256:{digest}", "inventory": entries(objects, left)}

    async def _finalised(self, obj: Json, held: list[str]) -> None:
        """Deleted: its set goes with it, unless it is disabled."""
        if FINALIZER not in held:
            return
        if (obj["metadata"].get("annotations") or {}).get(_DISABLED) != "disabled":
            left = await prune(self._ctx.client, inventory(obj), (), _owner(obj))
            if left:
                raise ApiError(500, "PruneFailed", f"{len(left)} objects of ResourceSet {obj['metadata']['name']} could not be deleted")
        await self._ctx.client.patch(obj, {"metadata": {"finalizers": [one for one in held if one != FINALIZER] or None}})


def _owner(obj: Json) -> Owner:
    return Owner("flux-operator", "resourceset.fluxcd.controlplane.io", obj)


def _stalled(obj: Json) -> bool:
    return any(one["type"] == "Stalled" and one["status"] == "True" for one in (obj.get("status") or {}).get("conditions") or [])


def _objects(obj: Json) -> list[Json]:
    """The set. Without inputs the resources are taken once, as they are; what several inputs make alike is one object. Raises TemplateError."""
    spec = obj["spec"]
    unsupported = [field for field in _UNSUPPORTED if spec.get(field)]
    if unsupported:
        raise TemplateError(f"spec.{unsupported[0]} is not emulated in the lab")
    found: dict[str, Json] = {}
    for inputs in spec.get("inputs") or [{}]:
        for resource in spec.get("resources") or []:
            one = filled(resource, inputs)
            if not one["metadata"].get("name"):
                raise TemplateError(f"a {one['kind']} has no metadata.name")
            one["metadata"].setdefault("namespace", obj["metadata"]["namespace"])
            found.setdefault(entry(one)["id"], one)
    return list(found.values())


async def run(ctx: ControllerContext) -> None:
    """Reconcile until the context's stop event is set."""
    sets = shared(ctx.client, KIND)
    async with following([sets]) as changed:
        await reconcile(ctx.stop, changed, ResourceSets(ctx, sets).look)
