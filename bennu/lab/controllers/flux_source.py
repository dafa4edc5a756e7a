"""Stands for Flux' source-controller: GitRepository objects become artifacts, folders of one commit each below the cluster's directory.

Honest about what a fetch says: a remote that is down is Ready=False, GitOperationFailed, and the last artifact stays. Signatures are not verified (emulated: plain checkout).
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import shutil
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bennu.lab.controllers.flux_status import Json, asked, condition, now, outcome, ready, seconds
from bennu.lab.controllers.network_informers import Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext

KIND = Watched("source.toolkit.fluxcd.io/v1", "GitRepository")
_RETRY = 1.0
_KEPT = 4  # artifacts kept, so that a reader of an older one is not cut off


class GitError(Exception):
    """Git's own last words."""


def _branch(obj: Json) -> str:
    ref = obj["spec"].get("ref") or {}
    others = sorted(set(ref) - {"branch"})
    if others:
        raise GitError(f"spec.ref.{others[0]} is not emulated in the lab, only branch")
    return str(ref.get("branch") or "master")


def artifact_dir(root: Path, namespace: str, name: str, revision: str) -> Path:
    """Where the files of a revision (``main@sha1:<id>``) lie."""
    return root / "flux" / f"{namespace}-{name}" / revision.rpartition(":")[2]


class Sources:
    """All GitRepositories of one cluster."""

    def __init__(self, ctx: ControllerContext, sources: Informer) -> None:
        self._ctx, self._sources = ctx, sources
        self._due: dict[str, float] = {}

    async def look(self) -> float | None:
        """Fetch what is due; seconds until the next interval."""
        if self._ctx.faults().get(f"flux:{self._ctx.cluster.load().colour}") == "down":
            return 0.25
        waits = [await self._one(obj) for obj in self._sources]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _one(self, obj: Json) -> float | None:
        if obj["metadata"].get("deletionTimestamp") or (obj.get("spec") or {}).get("suspend"):
            return None
        uid = obj["metadata"]["uid"]
        left = self._due.get(uid, 0.0) - time.monotonic()
        if left > 0 and not asked(obj):
            return left
        status = await self._fetched(obj)
        self._sources.note(await self._ctx.client.patch_status(obj, status))
        interval = seconds(str(obj["spec"].get("interval", "")), 60)
        # A failed fetch is tried again soon, as Flux does with its back-off.
        wait = interval if ready({"status": status}) == "True" else min(interval, _RETRY)
        self._due[uid] = time.monotonic() + wait
        return wait

    async def _fetched(self, obj: Json) -> Json:
        meta, artifact = obj["metadata"], (obj.get("status") or {}).get("artifact") or {}
        try:
            branch = _branch(obj)
            commit = await self._checked_out(obj, branch)
        except GitError as error:
            message = f"failed to checkout and determine revision: {error}"
            status = outcome(obj, good=False, reason="GitOperationFailed", message=message)
            status["conditions"].append(condition(obj, "FetchFailed", "True", "GitOperationFailed", message))
            return status
        revision = f"{branch}@sha1:{commit}"
        message = f"stored artifact for revision '{revision}'"
        status = outcome(obj, good=True, reason="Succeeded", message=message)
        status["conditions"].append(condition(obj, "ArtifactInStorage", "True", "Succeeded", message))
        path = f"gitrepository/{meta['namespace']}/{meta['name']}/{commit}.tar.gz"
        status["artifact"] = (
            artifact
            if artifact.get("revision") == revision
            else {
                "revision": revision,
                "path": path,
                "url": f"http://source-controller.{meta['namespace']}.svc/{path}",
                "digest": f"sha256:{commit:0<64}",
                "lastUpdateTime": now(),
            }
        )
        return status

    async def _checked_out(self, obj: Json, branch: str) -> str:
        meta = obj["metadata"]
        clone = self._ctx.cluster.root / "flux" / f"{meta['namespace']}-{meta['name']}" / "clone.git"
        if not (clone / "HEAD").exists():
            clone.mkdir(parents=True, exist_ok=True)
            await _git(clone, {}, "init", "--quiet", "--bare", ".")
        env = await self._credentials(obj)
        await _git(clone, env, "fetch", "--quiet", "--no-tags", "--", str(obj["spec"]["url"]), f"+refs/heads/{branch}:refs/heads/{branch}")
        commit = (await _git(clone, {}, "rev-parse", "--verify", f"refs/heads/{branch}")).decode().strip()
        folder = clone.parent / commit
        if not folder.exists():
            archive = await _git(clone, {}, "archive", "--format=tar", commit)
            await asyncio.to_thread(_unpacked, archive, folder)
            _forget_old(clone.parent)
        return commit

    async def _credentials(self, obj: Json) -> Mapping[str, str]:
        name = (obj["spec"].get("secretRef") or {}).get("name")
        if not name:
            return {}
        secret = await self._ctx.client.find("v1", "Secret", str(name), obj["metadata"]["namespace"])
        if secret is None:
            raise GitError(f"failed to get secret '{obj['metadata']['namespace']}/{name}': not found")
        data: Mapping[str, Any] = secret.get("data") or {}
        pair = b":".join(base64.b64decode(data.get(key, "")) for key in ("username", "password"))
        # In the environment, for this URL alone: arguments are visible to every process.
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{obj['spec']['url']}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {base64.b64encode(pair).decode()}",
        }


async def _git(folder: Path, env: Mapping[str, str], *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise GitError("timed out") from None
    if process.returncode:
        raise GitError((err.decode(errors="replace").strip().splitlines() or ["no output"])[-1])
    return out


def _unpacked(archive: bytes, folder: Path) -> None:
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(temporary, filter="data")
    temporary.replace(folder)


def _forget_old(folder: Path) -> None:
    found = sorted((path for path in folder.iterdir() if len(path.name) == 40), key=lambda path: path.stat().st_mtime)
    for path in found[:-_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


async def run(ctx: ControllerContext) -> None:
    """Reconcile until the context's stop event is set."""
    sources = shared(ctx.client, KIND)
    async with following([sources]) as changed:
        await reconcile(ctx.stop, changed, Sources(ctx, sources).look)
