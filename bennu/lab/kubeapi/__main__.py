"""``python -m bennu.lab.kubeapi --cluster <cluster dir>``: serve one lab cluster's API until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from bennu.lab.kubeapi.cluster import ClusterSettings
from bennu.lab.kubeapi.server import make_app, serve_until, tls_of
from bennu.lab.places import ClusterDir


def _arguments() -> Path:
    parser = argparse.ArgumentParser(prog="python -m bennu.lab.kubeapi", description="serve a lab cluster's Kubernetes API")
    parser.add_argument("--cluster", type=Path, required=True, help="the cluster's directory, with its cluster.json")
    found: Path = parser.parse_args().cluster
    return found


async def _serve(root: Path) -> None:
    facts = ClusterDir(root).load()
    url = urlsplit(facts.api_url)
    settings = ClusterSettings(
        uid=facts.uid,
        admin_token=Path(facts.token_file).read_text(encoding="utf-8").strip(),
        ca_bundle=Path(facts.ca_file).read_bytes(),
        address=url.netloc,
    )
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await serve_until(stopped, make_app(settings), tls_of(root / "server.crt", root / "server.key"), url.port or 443)


def main() -> int:
    """Serve until a signal ends it; 1 if the port is taken."""
    try:
        asyncio.run(_serve(_arguments()))
    except OSError as problem:
        print(f"kubeapi: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
