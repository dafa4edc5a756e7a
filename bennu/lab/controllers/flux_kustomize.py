"""Stands for Flux' kustomize-controller: Kustomization objects put a folder of an artifact into the cluster, prune what left it, and tell the revision.

As the real one: a path that isn't there is Ready=False and prunes nothing; a suspended one does nothing; drift is corrected at the interval. Emulated: no health checks,
decryption, impersonation or remote clusters; a Kustomization that asks for ``wait`` or an account says so in its status and applies nothing.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from typing import Any

from bennu.lab.client import ApiError
from bennu.lab.controllers import flux_source
from bennu.lab.controllers.flux_inventory import Owner, apply_all, entries, inventory, prune
from bennu.lab.controllers.flux_status import Json, asked, current, outcome, progressing, ready, seconds
from bennu.lab.controllers.kustomize_build import CLUSTER_SCOPED, built
from bennu.lab.controllers.kustomize_patches import patched
from bennu.lab.controllers.kustomize_variables import substituted
from bennu.lab.controllers.kustomize_yaml import BuildError
from bennu.lab.controllers.network_informers import Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext

KIND = Watched("kustomize.toolkit.fluxcd.io/v1", "Kustomization")
FINALIZER = "finalizers.fluxcd.io"
_RETRY = 0.5  # the real one's is the interval; scaled
_UNSUPPORTED = ("wait", "serviceAccountName", "force")


class Kustomizations:
    """All Kustomizations of one cluster."""

    def __init__(self, ctx: ControllerContext, kustomizations: Informer, sources: Informer) -> None:
        self._ctx, self._all, self._sources = ctx, kustomizations, sources
        self._due: dict[str, float] = {}
        self._tried: dict[str, str] = {}

    async def look(self) -> float | None:
        """Reconcile what is due; seconds until the next."""
        if self._ctx.faults().get(f"flux:{self._ctx.cluster.load().colour}") == "down":
            return 0.25
        waits = [await self._one(obj) for obj in self._all]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _one(self, obj: Json) -> float | None:
        meta, spec = obj["metadata"], obj["spec"]
        held = list(meta.get("finalizers") or [])
        if meta.get("deletionTimestamp"):
            await self._finalised(obj)
            return None
        if FINALIZER not in held:
            # Before anything is applied, so that nothing can be orphaned by a deletion in between.
            obj = await self._ctx.client.patch(obj, {"metadata": {"finalizers": [*held, FINALIZER]}})
        if spec.get("suspend"):
            return None
        uid, revision = meta["uid"], self._revision(obj)
        left = self._due.get(uid, 0.0) - time.monotonic()
        if left > 0 and not asked(obj) and revision == self._tried.get(uid):
            return left
        self._tried[uid] = revision
        status = await self._reconciled(obj, revision)
        self._all.note(await self._ctx.client.patch_status(obj, status))
        good = ready({"status": status}) == "True"
        wait = seconds(str(spec.get("interval", "")), 60) if good else seconds(str(spec.get("retryInterval", "")), _RETRY)
        self._due[uid] = time.monotonic() + wait
        return wait

    def _source(self, obj: Json) -> Json | None:
        ref = obj["spec"]["sourceRef"]
        return self._sources.get(str(ref.get("namespace") or obj["metadata"]["namespace"]), str(ref["name"]))

    def _revision(self, obj: Json) -> str:
        source = self._source(obj)
        return str((((source or {}).get("status") or {}).get("artifact") or {}).get("revision", ""))

    async def _reconciled(self, obj: Json, revision: str) -> Json:
        refusal = self._refusal(obj, revision)
        if refusal is not None:
            return refusal
        await self._ctx.client.patch_status(obj, progressing(obj, f"Building manifests for revision {revision}"))
        owner = Owner("kustomize-controller", "kustomize.toolkit.fluxcd.io", obj)
        attempted = {"lastAttemptedRevision": revision}
        try:
            objects = await self._built(obj, revision)
            await apply_all(self._ctx.client, objects, owner)
        except FileNotFoundError as error:
            return outcome(obj, good=False, reason="ArtifactFailed", message=f"kustomization path not found: {error}")
        except BuildError as error:
            return outcome(obj, good=False, reason="BuildFailed", message=f"kustomize build failed: {error}") | attempted
        except ApiError as error:
            return outcome(obj, good=False, reason="ReconciliationFailed", message=str(error)) | attempted
        left = await prune(self._ctx.client, inventory(obj), objects, owner) if obj["spec"].get("prune") else []
        status = outcome(obj, good=True, reason="ReconciliationSucceeded", message=f"Applied revision: {revision}")
        return status | attempted | {"lastAppliedRevision": revision, "inventory": entries(objects, left)}

    def _refusal(self, obj: Json, revision: str) -> Json | None:
        """Why it cannot even begin."""
        spec = obj["spec"]
        unsupported = [field for field in _UNSUPPORTED if spec.get(field)]
        if unsupported:
            return outcome(obj, good=False, reason="BuildFailed", message=f"spec.{unsupported[0]} is not emulated in the lab")
        if self._source(obj) is None:
            ref = spec["sourceRef"]
            return outcome(obj, good=False, reason="ArtifactFailed", message=f"{ref['kind']} '{ref['name']}' not found")
        if not revision:
            return outcome(obj, good=False, reason="ArtifactFailed", message="Source artifact not found, retrying in 0.5s")
        for dependency in spec.get("dependsOn") or []:
            namespace, name = str(dependency.get("namespace") or obj["metadata"]["namespace"]), str(dependency["name"])
            other = self._all.get(namespace, name)
            if other is None or not current(other):
                return outcome(obj, good=False, reason="DependencyNotReady", message=f"dependency '{namespace}/{name}' is not ready")
        return None

    async def _built(self, obj: Json, revision: str) -> list[Json]:
        """The objects as they shall be. Raises BuildError; FileNotFoundError where the path isn't in the artifact."""
        source, wanted = self._source(obj), str(obj["spec"].get("path") or "./")
        assert source is not None  # noqa: S101  # a revision was read from it
        meta = source["metadata"]
        root = flux_source.artifact_dir(self._ctx.cluster.root, meta["namespace"], meta["name"], revision).resolve()
        folder = (root / wanted.lstrip("/")).resolve()
        if not folder.is_dir() or not folder.is_relative_to(root):
            raise FileNotFoundError(f"stat {wanted}: no such file or directory")
        objects = patched(await asyncio.to_thread(built, folder), list(obj["spec"].get("patches") or []))
        post = obj["spec"].get("postBuild")
        if post:
            objects = substituted(objects, await self._values(obj, post))
        namespace = obj["spec"].get("targetNamespace")
        for one in objects:
            if namespace and one["kind"] not in CLUSTER_SCOPED:
                one["metadata"]["namespace"] = namespace
        return objects

    async def _values(self, obj: Json, post: Mapping[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for ref in post.get("substituteFrom") or []:
            source = await self._ctx.client.find("v1", str(ref["kind"]), str(ref["name"]), obj["metadata"]["namespace"])
            if source is None and not ref.get("optional"):
                raise BuildError(f"substitute from '{ref['kind']}/{ref['name']}' error: not found")
            data = (source or {}).get("data") or {}
            found |= {key: base64.b64decode(value).decode() if ref["kind"] == "Secret" else str(value) for key, value in data.items()}
        return found | {key: str(value) for key, value in (post.get("substitute") or {}).items()}

    async def _finalised(self, obj: Json) -> None:
        """Deleted: prune its inventory, then let it go. One that could not be pruned is tried again at the next look."""
        held = list(obj["metadata"].get("finalizers") or [])
        if FINALIZER not in held:
            return
        if obj["spec"].get("prune") and not obj["spec"].get("suspend"):
            left = await prune(self._ctx.client, inventory(obj), (), Owner("kustomize-controller", "kustomize.toolkit.fluxcd.io", obj))
            if left:
                raise ApiError(500, "PruneFailed", f"{len(left)} objects of Kustomization {obj['metadata']['name']} could not be deleted")
        await self._ctx.client.patch(obj, {"metadata": {"finalizers": [one for one in held if one != FINALIZER] or None}})


async def run(ctx: ControllerContext) -> None:
    """Reconcile until the context's stop event is set."""
    kustomizations, sources = shared(ctx.client, KIND), shared(ctx.client, flux_source.KIND)
    async with following([kustomizations, sources]) as changed:
        await reconcile(ctx.stop, changed, Kustomizations(ctx, kustomizations, sources).look)
