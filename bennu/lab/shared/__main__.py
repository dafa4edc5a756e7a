"""``python -m bennu.lab.shared --lab <dir>``: Git over HTTP, DNS and Prometheus in one process, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from aiohttp import web

from bennu.lab.places import LabDir
from bennu.lab.shared import git_http, name_server, prometheus_api
from bennu.lab.shared.scraper import Scraper


async def _main(lab: LabDir) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ports = lab.load().ports
    scraper = Scraper(lab)
    runners = [await _served(git_http.app(lab), ports["git"]), await _served(prometheus_api.app(lab, scraper.store), ports["prometheus"])]
    server = await name_server.started(lab, ports["dns"])
    scraping = asyncio.create_task(scraper.run(stop))
    await stop.wait()
    await scraping
    server.close()
    for runner in runners:
        await runner.cleanup()


async def _served(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m bennu.lab.shared")
    parser.add_argument("--lab", type=Path, required=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_main(LabDir(parser.parse_args().lab)))


if __name__ == "__main__":
    main()
