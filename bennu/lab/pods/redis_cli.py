"""The part of redis-cli that the redis-init-sync Job needs: ``redis-cli -h HOST -p PORT --user NAME COMMAND …``, password in REDISCLI_AUTH, service names resolved as in a cluster."""

from __future__ import annotations

import asyncio
import os
import sys

from bennu.lab.pods.api import Api
from bennu.lab.pods.resolve import resolved
from bennu.lab.pods.resp import Connection, RedisRefusal


async def main(arguments: list[str]) -> int:
    """Send one command; 0 where the server took it."""
    words = arguments[1:] if arguments[:1] == ["redis-cli"] else list(arguments)
    options = {"-h": "127.0.0.1", "-p": "6379", "--user": ""}
    while words and words[0] in options:
        flag, value, *words = words
        options[flag] = value
    host, port = options["-h"], int(options["-p"])
    try:
        connection = await Connection.opened(await resolved(Api.of_pod(), host, port), os.environ.get("REDISCLI_AUTH", ""), options["--user"])
        print(await connection.ask(*words))
    except (OSError, RedisRefusal, TimeoutError) as error:
        print(f"(error) {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
