"""Port-forward over a WebSocket (``v4.channel.k8s.io``), as the Python client speaks it.

For the i-th asked port, channel 2i carries bytes and channel 2i+1 the error text; the first message on each is the port's number, two bytes little-endian. The
pod's port is a real listener on loopback, named by the pod's annotation ``lab.bennu.io/port.<port>``. kubectl's own port-forward tunnels SPDY, which is not
spoken here.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from aiohttp import WSMsgType, web

from bennu.lab.kubeapi.problems import Obj, bad_request

PORT_ANNOTATION = "lab.bennu.io/port."
PROTOCOL = "v4.channel.k8s.io"
_CHUNK = 64 * 1024


@dataclass
class _Port:
    """``settled`` is set once the connection to the pod stands, or never will (``writer`` stays None)."""

    number: int
    channel: int
    settled: asyncio.Event
    writer: asyncio.StreamWriter | None = None


async def forward(request: web.Request, pod: Obj) -> web.StreamResponse:
    """Carry bytes between the client and the pod's ports until either side ends. Raises 400 for a request that is no such upgrade."""
    asked = [int(text) for value in request.query.getall("ports", []) for text in value.split(",") if text.isdigit()]
    if not asked:
        raise bad_request('query parameter "ports" is required')
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=0)
    if not socket.can_prepare(request):
        raise bad_request("Upgrade request required")
    await socket.prepare(request)
    ports = [_Port(number, 2 * index, asyncio.Event()) for index, number in enumerate(asked)]
    async with asyncio.TaskGroup() as carriers:
        tasks = [carriers.create_task(_from_pod(socket, port, pod)) for port in ports]
        try:
            await _to_pod(socket, ports)
        finally:
            for task in tasks:
                task.cancel()
            for port in ports:
                if port.writer is not None:
                    port.writer.close()
    return socket


async def _from_pod(socket: web.WebSocketResponse, port: _Port, pod: Obj) -> None:
    head = struct.pack("<H", port.number)
    try:
        await socket.send_bytes(bytes([port.channel]) + head)
        await socket.send_bytes(bytes([port.channel + 1]) + head)
        real = (pod["metadata"].get("annotations") or {}).get(f"{PORT_ANNOTATION}{port.number}", "")
        try:
            reader, port.writer = await asyncio.open_connection("127.0.0.1", int(real))
        except (OSError, ValueError) as problem:
            text = f"failed to connect to pod {pod['metadata']['name']} port {port.number}: {problem or 'it does not listen'}"
            await socket.send_bytes(bytes([port.channel + 1]) + text.encode())
            await socket.close()
            return
        finally:
            port.settled.set()
        while chunk := await _read(reader):
            await socket.send_bytes(bytes([port.channel]) + chunk)
        await socket.close()
    except ConnectionError:
        return


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(_CHUNK)
    except ConnectionError:
        return b""


async def _to_pod(socket: web.WebSocketResponse, ports: list[_Port]) -> None:
    by_channel = {port.channel: port for port in ports}
    async for message in socket:
        if message.type is not WSMsgType.BINARY or len(message.data) < 2:
            continue
        port = by_channel.get(message.data[0])
        if port is not None and not await _given(port, message.data[1:]):
            return


async def _given(port: _Port, payload: bytes) -> bool:
    """Hand bytes to the pod; False once it takes no more."""
    await port.settled.wait()
    if port.writer is None:
        return False
    try:
        port.writer.write(payload)
        await port.writer.drain()
    except ConnectionError:
        return False
    return True
