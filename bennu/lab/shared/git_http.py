"""The lab's Git remote: a bare repository over smart HTTP, by Git's own ``http-backend``, behind basic authentication.

Faults: ``git`` = down answers 503, stall never answers.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from collections.abc import Mapping

from aiohttp import web

from bennu.lab.places import LabDir

USER = "lab"
_MAX = 256 * 1024 * 1024


def app(lab: LabDir) -> web.Application:
    """Serves every repository below ``<lab>/git``."""
    found = web.Application(client_max_size=_MAX)
    password = (lab.root / "git-password").read_text(encoding="utf-8").strip()
    expected = "Basic " + base64.b64encode(f"{USER}:{password}".encode()).decode()

    async def answer(request: web.Request) -> web.StreamResponse:
        fault = lab.faults().get("git")
        if fault == "down":
            return web.Response(status=503, text="the lab's Git remote is broken, as asked")
        if fault == "stall":
            await asyncio.Event().wait()
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, expected.encode()):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="lab"'})
        return await _backend(lab, request)

    found.router.add_route("*", "/{tail:.*}", answer)
    return found


async def _backend(lab: LabDir, request: web.Request) -> web.Response:
    # No HOME: how the user of the lab configured their git must not decide what the lab's host serves or refuses.
    env = {
        **{key: value for key, value in os.environ.items() if key in ("PATH", "LANG")},
        "GIT_PROJECT_ROOT": str(lab.root / "git"),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": USER,
        "REMOTE_ADDR": "127.0.0.1",
        **_configured({"http.receivepack": "true", "safe.directory": "*", "receive.autogc": "false"}),
    }
    # No HTTP_CONTENT_ENCODING: aiohttp has undone a gzip body already, git must not try again.
    body = await request.read()
    env["CONTENT_LENGTH"] = str(len(body))
    process = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=env, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    out, _ = await process.communicate(body)
    head, end, rest = out.partition(b"\r\n\r\n")
    if not end:
        return web.Response(status=500, text=f"git http-backend ended with status {process.returncode} and said nothing")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    headers.pop("Content-Length", None)
    return web.Response(status=status, headers=headers, body=rest)


def _configured(settings: Mapping[str, str]) -> dict[str, str]:
    """Git settings as environment variables."""
    env = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env
