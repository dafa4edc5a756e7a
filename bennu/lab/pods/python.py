"""An image with Python in it: ``python /app/app.py`` runs a program that knows nothing of the lab, as in a cluster.

The program finds what a pod finds: its account's token where ACCOUNT says, the API where API says, and the cluster's DNS. That DNS stands in the process itself, since the lab has none in the
kernel: a Service's name is its first ready endpoint, asked anew each time (kube-proxy's part, at once); an ExternalName is a CNAME, kept for its TTL.
"""

from __future__ import annotations

import http.client
import json
import os
import runpy
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bennu.lab.pods.resolve import SUFFIX, first_ready

TTL_S = 1.0
"""Of what a name stands for. CoreDNS as kubeadm sets it up has 30 seconds, and keeps them in its cache; scaled."""
_ASKED_S = 5.0
Json = dict[str, Any]


class Cluster:
    """The API of the cluster that this pod runs in, over one connection that is kept: a name must not cost a handshake."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))
        self.url, self.ca = str(facts["api_url"]), Path(facts["ca_file"])
        self._token = Path(facts["token_file"]).read_text(encoding="utf-8").strip()
        at = urlsplit(self.url)
        self._kept = http.client.HTTPSConnection(str(at.hostname), at.port, timeout=_ASKED_S, context=ssl.create_default_context(cafile=str(self.ca)))
        self._one = threading.Lock()

    def asked(self, path: str, body: Json | None = None) -> Json | None:
        """GET, or POST of *body*; None for 404. Raises OSError."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        with self._one:
            try:
                self._kept.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
                answer = self._kept.getresponse()
                text = answer.read()
            except (http.client.HTTPException, OSError) as error:
                self._kept.close()  # the next question opens it again
                raise OSError(f"{path}: {error}") from error
        if answer.status == 404:
            return None
        if answer.status >= 400:
            raise OSError(f"{path}: {answer.status}")
        found: Json = json.loads(text)
        return found


class Names:
    """The cluster's DNS."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._aliases: dict[str, tuple[str, float]] = {}

    def address(self, host: str, port: int) -> tuple[str, int]:
        """(ip, port) of a Service's name; other names are taken as they are. Raises OSError."""
        if not host.endswith(SUFFIX):
            return host, port
        alias = self._alias(host)
        if alias != host:
            return self.address(alias, port)
        found = first_ready(self._cluster.asked(_path(host, "endpoints")) or {}, port)
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} has no ready endpoint")
        return found

    def _alias(self, host: str) -> str:
        alias, until = self._aliases.get(host, (host, 0.0))
        if time.monotonic() >= until:
            spec = (self._cluster.asked(_path(host, "services")) or {}).get("spec") or {}
            alias = str(spec.get("externalName") or host)
            self._aliases[host] = alias, time.monotonic() + TTL_S
        return alias


def _path(host: str, what: str) -> str:
    service, namespace = host.removesuffix(SUFFIX).split(".")[:2]
    return f"/api/v1/namespaces/{namespace}/{what}/{service}"


def account(cluster: Cluster, folder: Path) -> None:
    """What the kubelet mounts for the pod's ServiceAccount, where it names one: a token of its own, and the API's authority."""
    namespace = os.environ["POD_NAMESPACE"]
    pod = cluster.asked(f"/api/v1/namespaces/{namespace}/pods/{os.environ['POD_NAME']}") or {}
    name = str((pod.get("spec") or {}).get("serviceAccountName") or "default")
    if name == "default":
        return
    issued = cluster.asked(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", {"spec": {}})
    if issued is None:
        raise OSError(f"there is no ServiceAccount {namespace}/{name}")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "token").write_text(str(issued["status"]["token"]), encoding="utf-8")
    (folder / "ca.crt").write_bytes(cluster.ca.read_bytes())


def main() -> None:
    """Furnish the process, then become the program."""
    words = sys.argv[1:]
    if words[:1] == ["python"]:
        words = words[1:]
    cluster, place = Cluster(Path(os.environ["BENNU_LAB_CLUSTER"])), Path(os.environ.get("ACCOUNT", "account")).absolute()
    account(cluster, place)
    os.environ |= {"ACCOUNT": str(place), "API": cluster.url}
    names, kernel = Names(cluster), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *more: Any, **named: Any) -> Any:
        return kernel(*names.address(host, port), *more, **named) if isinstance(host, str) else kernel(host, port, *more, **named)

    socket.getaddrinfo = getaddrinfo
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
