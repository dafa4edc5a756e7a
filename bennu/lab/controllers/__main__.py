"""``python -m bennu.lab.controllers --cluster <cluster dir>``: all controllers of one cluster, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from bennu.lab.client import ApiClient
from bennu.lab.controllers import certmanager, cronjobs, externaldns, flux_kustomize, flux_source, gateway, kubelet, mirror, network, resourceset, workloads
from bennu.lab.controllers.runtime import ControllerContext, run_all, serve_metrics
from bennu.lab.places import ClusterDir

CONTROLLERS = {
    "workloads": workloads.run,
    "cronjobs": cronjobs.run,
    "kubelet": kubelet.run,
    "network": network.run,
    "gateway": gateway.run,
    "mirror": mirror.run,
    "flux-source": flux_source.run,
    "flux-kustomize": flux_kustomize.run,
    "resourceset": resourceset.run,
    "cert-manager": certmanager.run,
    "external-dns": externaldns.run,
}


async def _main(cluster: ClusterDir) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with ApiClient.of(cluster, user_agent="bennu-lab-controllers") as client:
        ctx = ControllerContext(cluster, client, stop)
        server = await serve_metrics(ctx, cluster.load().metrics_port)
        try:
            await run_all(ctx, CONTROLLERS)
        finally:
            server.close()


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m bennu.lab.controllers")
    parser.add_argument("--cluster", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(_main(ClusterDir(parser.parse_args().cluster)))


if __name__ == "__main__":
    main()
