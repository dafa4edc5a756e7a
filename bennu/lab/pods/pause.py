"""The least program: holds its container's ports, answers what it is sent with the same, and ends when told.

For rehearsals of the kubelet itself; ``--exit CODE`` ends at once, as a Job's program does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _hold(ports: list[int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    servers = [await asyncio.start_server(_echo, "127.0.0.1", port) for port in ports]
    print(f"holding {ports}", flush=True)
    await stop.wait()
    for server in servers:
        server.close()


def main() -> int:
    """Hold every port that ``PORT_<containerPort>`` names; the exit code."""
    parser = argparse.ArgumentParser(prog="pause", description="hold ports until told to end")
    parser.add_argument("--exit", type=int, metavar="CODE", help="end at once with this code")
    arguments = parser.parse_args()
    if arguments.exit is not None:
        return int(arguments.exit)
    asyncio.run(_hold([int(v) for k, v in sorted(os.environ.items()) if k.startswith("PORT_") and v.isdigit()]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
