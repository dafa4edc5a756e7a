"""The least Kubernetes client: GET and watch over TLS, on the standard library's asyncio alone (a pod must stay small)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]


class Api:
    """One cluster's API, as the pod's service account would reach it."""

    def __init__(self, cluster: Path) -> None:
        facts = json.loads((cluster / "cluster.json").read_text(encoding="utf-8"))
        url = urlsplit(facts["api_url"])
        self._host, self._port = str(url.hostname), int(url.port or 443)
        self._token = Path(facts["token_file"]).read_text(encoding="utf-8").strip()
        self._tls = ssl.create_default_context(cafile=facts["ca_file"])
        self.colour = str(facts["colour"])

    @classmethod
    def of_pod(cls) -> Api:
        """The API of the cluster that this pod runs in."""
        return cls(Path(os.environ["BENNU_LAB_CLUSTER"]))

    async def get(self, path: str) -> Json | None:
        """What is at *path*; None for 404. Raises OSError."""
        reader, writer = await self._sent(path)
        try:
            status, body = await _response(reader)
        finally:
            writer.close()
        if status == 404:
            return None
        if status != 200:
            raise OSError(f"GET {path}: {status}")
        found: Json = json.loads(body)
        return found

    async def events(self, path: str, selector: str = "") -> AsyncIterator[tuple[str, Json]]:
        """(type, object) for ever: first LISTED with the whole list, then every change; begins anew with LISTED after a break."""
        query = f"fieldSelector={selector}&" if selector else ""
        while True:
            try:
                found = await self.get(f"{path}?{query}limit=500")
                yield "LISTED", found or {}
                version = (found or {}).get("metadata", {}).get("resourceVersion", "")
                async for event in self._watched(f"{path}?{query}watch=true&resourceVersion={version}"):
                    yield event["type"], event["object"]
            except (OSError, ValueError, asyncio.IncompleteReadError):
                # An inherent period: nothing tells when a server is back.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.2)

    async def _watched(self, path: str) -> AsyncIterator[Json]:
        reader, writer = await self._sent(path)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise OSError("watch refused")
            buffer = b""
            while True:
                size = int((await reader.readline()).strip() or b"0", 16)
                if not size:
                    return
                buffer += await reader.readexactly(size)
                await reader.readexactly(2)
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    if line.strip():
                        event: Json = json.loads(line)
                        if event["type"] == "ERROR":
                            return
                        if event["type"] != "BOOKMARK":
                            yield event
        finally:
            writer.close()

    async def _sent(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls, limit=4 * 1024 * 1024)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\nAccept: application/json\r\n\r\n".encode())
        await writer.drain()
        return reader, writer


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split(" ", 2)[1])
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)}
    if "content-length" in headers:
        return status, await reader.readexactly(int(headers["content-length"]))
    body = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return status, body


class Followed:
    """The objects of one collection by (namespace, name), kept current by a watch."""

    def __init__(self, api: Api, path: str, selector: str = "") -> None:
        self._api, self._path, self._selector = api, path, selector
        self.objects: dict[tuple[str, str], Json] = {}
        self.changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """Follow no more; what was seen stays."""
        self._task.cancel()

    async def _run(self) -> None:
        async for kind, obj in self._api.events(self._path, self._selector):
            if kind == "LISTED":
                # Whole: what was deleted while nobody watched is in no event.
                self.objects = {_place(item): item for item in obj.get("items", [])}
            elif kind == "DELETED":
                self.objects.pop(_place(obj), None)
            else:
                self.objects[_place(obj)] = obj
            self.changed.set()
            self.changed = asyncio.Event()


def _place(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
