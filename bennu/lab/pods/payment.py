"""The example application: follows the write pointer by a watch, writes payments through it, reads balances.

``POST /pay?id=X`` is answered 200 only after Redis said OK. While nobody may write it holds the request, at most three seconds, and goes on as soon as the pointer or the
connection changes; the id makes a retry harmless.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

from bennu.lab.places import ClusterDir
from bennu.lab.pods.api import Api, Followed
from bennu.lab.pods.ending import until_told
from bennu.lab.pods.http import Request, served
from bennu.lab.pods.resolve import resolved
from bennu.lab.pods.resp import Connection, RedisRefusal

_HOLD_S = 3.0
_AGAIN_S = 0.01
_SLOW_S = 0.5
_PATH = "/api/v1/namespaces/{}/configmaps"


class Payments:
    """The application's state: the pointer as last seen, and one connection a host."""

    def __init__(self, api: Api, pointer: Followed, password: str) -> None:
        self._api, self._pointer, self._password = api, pointer, password
        self._connections: dict[str, Connection] = {}
        self._opening = asyncio.Lock()

    def pointer(self) -> dict[str, str]:
        """The ConfigMap's data."""
        found = next(iter(self._pointer.objects.values()), {})
        return dict(found.get("data") or {})

    async def handle(self, request: Request) -> tuple[int, bytes]:
        """One request."""
        if request.path.startswith("/ready"):
            return (200, b"ok") if self._pointer.objects else (503, b"no pointer yet")
        fault = self._fault()
        if fault == "errors" and random.random() < 0.2:
            return 500, b"broken, as asked"
        if fault == "slow":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), _SLOW_S)
        if request.method == "POST":
            return await self._within(self._pay(request.parameter("id")))
        return await self._within(self._balance())

    def _fault(self) -> str:
        lab = ClusterDir(Path(os.environ["BENNU_LAB_CLUSTER"])).lab
        return lab.faults().get(f"payment:{self._api.colour}", "")

    async def _within(self, work: object) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(_HOLD_S):
                return await work  # type: ignore[misc,no-any-return]  # a coroutine of ours
        except TimeoutError:
            return 503, b"nobody accepts writes"

    async def _pay(self, identity: str) -> tuple[int, bytes]:
        if not identity:
            return 400, b"id is missing"
        while True:
            changed, data = self._pointer.changed, self.pointer()
            if data.get("MAINTENANCE_MODE") != "true" and data.get("REDIS_WRITE_HOST"):
                with contextlib.suppress(OSError, RedisRefusal, TimeoutError):
                    connection = await self._connection(data["REDIS_WRITE_HOST"])
                    if await connection.ask("SET", f"pay:{identity}", identity) == "OK":
                        return 200, b"paid"
            # Go on at the pointer's next change; or shortly, since a server that is promoted without a new pointer tells nobody.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _AGAIN_S)

    async def _balance(self) -> tuple[int, bytes]:
        data = self.pointer()
        for host in (data.get("REDIS_READ_HOST", ""), data.get("REDIS_WRITE_HOST", "")):
            with contextlib.suppress(OSError, RedisRefusal):
                if host:
                    return 200, str(await (await self._connection(host)).ask("DBSIZE")).encode()
        return 503, b"no Redis answers"

    async def _connection(self, host: str) -> Connection:
        found = self._connections.get(host)
        if found is not None and not found.closed:
            return found
        async with self._opening:
            found = self._connections.get(host)
            if found is None or found.closed:
                found = self._connections[host] = await Connection.opened(await resolved(self._api, host, 6379), self._password)
            return found


async def main() -> None:
    """Serve on the pod's port 8080."""
    api = Api.of_pod()
    namespace = os.environ["POD_NAMESPACE"]
    pointer = Followed(api, _PATH.format(namespace), "metadata.name=global-traffic-state")
    payments = Payments(api, pointer, os.environ.get("REDIS_PASSWORD", ""))
    server = await served(int(os.environ["PORT_8080"]), payments.handle)
    await until_told().wait()
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
