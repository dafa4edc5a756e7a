"""Follows the pointer by a watch of the API: it hears of the flip while it is written. Needs get and watch on one ConfigMap (deployment.yaml has the Role)."""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
from ledger import run  # beside the folder of each example

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = os.environ.get("API", "https://kubernetes.default.svc")
PATH = f"{API}/api/v1/namespaces/payments/configmaps"
ONE = "fieldSelector=metadata.name%3Dglobal-traffic-state"


class Pointer:
    """The pointer as last seen."""

    def __init__(self) -> None:
        self.moved = threading.Event()
        self._data: dict[str, str] = {}
        self._seen = threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def where(self) -> str:
        """The write host."""
        self._seen.wait()
        return self._data["REDIS_WRITE_HOST"]

    def _follow(self) -> None:
        while True:
            try:
                # List, then watch from there; whatever ends the watch, list again: what changed between is in no event.
                with _asked(f"{PATH}?{ONE}") as answer:
                    found = json.load(answer)
                for one in found["items"]:
                    self._take(one)
                for event in _events(f"{PATH}?{ONE}&watch=true&resourceVersion={found['metadata']['resourceVersion']}"):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._take(event["object"])
            except (OSError, ValueError, KeyError):
                threading.Event().wait(0.5)

    def _take(self, configmap: dict[str, Any]) -> None:
        data = configmap.get("data") or {}
        if data.get("REDIS_WRITE_HOST") != self._data.get("REDIS_WRITE_HOST"):
            self._data = data
            self.moved.set()
        self._seen.set()


def _asked(url: str) -> Any:
    token = (ACCOUNT / "token").read_text(encoding="utf-8").strip()
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"}), context=trust, timeout=300)  # noqa: S310


def _events(url: str) -> Iterator[dict[str, Any]]:
    with _asked(url) as answer:
        for line in answer:
            yield json.loads(line)


if __name__ == "__main__":
    pointer = Pointer()
    run(pointer.where, pointer.moved)
