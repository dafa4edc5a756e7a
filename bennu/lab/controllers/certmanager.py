"""Stands for cert-manager with one issuer (the lab's trust anchor, where Vault's PKI would be), and for trust-manager's bundle.

The issuer is a process of its own, which ends when it has answered: neither the anchor's key nor the library that signs with it (8 MB) stays here. Nothing is renewed.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bennu.lab.controllers.flux_status import Json, now
from bennu.lab.controllers.network_informers import Informer, Watched, following, reconcile, shared
from bennu.lab.controllers.runtime import ControllerContext

KIND = Watched("cert-manager.io/v1", "Certificate")
_MESH, _ROOTS = "linkerd", "linkerd-identity-trust-roots"
_AGAIN = 1.0
_log = logging.getLogger(__name__)


class Certificates:
    """All Certificates of one cluster."""

    def __init__(self, ctx: ControllerContext, certificates: Informer, namespaces: Informer, secrets: Informer, bundles: Informer) -> None:
        self._ctx, self._certificates, self._namespaces, self._secrets, self._bundles = ctx, certificates, namespaces, secrets, bundles

    async def look(self) -> float | None:
        """Issue what is missing; keep the bundle."""
        if self._namespaces.get("", _MESH) is not None and self._bundles.get(_MESH, _ROOTS) is None:
            anchor = (self._anchor / "ca.crt").read_text(encoding="utf-8")
            bundle = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _ROOTS, "namespace": _MESH}, "data": {"ca-bundle.crt": anchor}}
            self._bundles.note(await self._ctx.client.apply(bundle, "lab-trust-manager"))
        missing = [obj for obj in self._certificates if not self._has(obj)]
        good = [await self._issued(obj) for obj in missing]
        return None if all(good) else _AGAIN

    @property
    def _anchor(self) -> Path:
        return self._ctx.cluster.lab.root / "trust"

    def _has(self, obj: Json) -> bool:
        """Nothing is to be done for it: it goes, or its Secret is there."""
        meta = obj["metadata"]
        return bool(meta.get("deletionTimestamp")) or self._secrets.get(meta["namespace"], obj["spec"]["secretName"]) is not None

    async def _issued(self, obj: Json) -> bool:
        """Whether the issuer signed. The Certificate says so either way."""
        try:
            found = await _asked(self._anchor, obj["spec"])
        except OSError as problem:
            _log.warning("Certificate %s: %s", obj["metadata"]["name"], problem)
            await self._told(obj, _condition("False", "IssuerNotReady", str(problem)))
            return False
        data = {"tls.crt": found["certificate"], "tls.key": found["key"], "ca.crt": found["authority"]}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": obj["spec"]["secretName"], "namespace": obj["metadata"]["namespace"]},
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
        }
        self._secrets.note(await self._ctx.client.apply(secret, "lab-cert-manager"))
        ready = _condition("True", "Ready", "Certificate is up to date and has not expired")
        await self._told(obj, ready, notBefore=found["not_before"], notAfter=found["not_after"])
        return True

    async def _told(self, obj: Json, condition: Json, **times: str) -> None:
        before = (obj.get("status") or {}).get("conditions") or []
        if not before or {**before[0], "lastTransitionTime": ""} != {**condition, "lastTransitionTime": ""}:
            self._certificates.note(await self._ctx.client.patch_status(obj, {"conditions": [condition], **times}))


def _condition(status: str, reason: str, message: str) -> Json:
    return {"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}


async def _asked(anchor: Path, spec: Mapping[str, Any]) -> dict[str, str]:
    """What the issuer answers. Raises OSError with its last words."""
    names = list(spec.get("dnsNames") or [])
    subject = {"name": spec.get("commonName") or (names or [spec["secretName"]])[0], "dns": names, "is_ca": bool(spec.get("isCA"))}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bennu.lab.certs", str(anchor)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await process.communicate(json.dumps(subject).encode())
    if process.returncode:
        raise OSError((said.decode(errors="replace").strip().splitlines() or ["the issuer said nothing"])[-1])
    found: dict[str, str] = json.loads(out)
    return found


async def run(ctx: ControllerContext) -> None:
    """Issue until the context's stop event is set."""
    kinds = [KIND, Watched("v1", "Namespace"), Watched("v1", "Secret"), Watched("v1", "ConfigMap")]
    informers = [shared(ctx.client, kind) for kind in kinds]
    async with following(informers) as changed:
        await reconcile(ctx.stop, changed, Certificates(ctx, *informers).look)
