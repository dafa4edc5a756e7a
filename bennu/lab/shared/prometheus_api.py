"""Prometheus' HTTP API over the scraped samples: instant and range queries, errors in its own shape, behind a bearer token.

Faults: ``metrics`` = down answers 503, empty answers no series.
"""

from __future__ import annotations

import hmac
import math
import time
from typing import Any

from aiohttp import web

from bennu.lab.places import LabDir
from bennu.lab.shared.promql import Query, QueryError, Value
from bennu.lab.shared.samples import Store


def app(lab: LabDir, store: Store) -> web.Application:
    """Serve *store*."""
    token = (lab.root / "prometheus-token").read_text(encoding="utf-8").strip()

    def told() -> Store:
        return Store() if lab.faults().get("metrics") == "empty" else store

    @web.middleware
    async def guarded(request: web.Request, handler: Any) -> web.StreamResponse:
        fault = lab.faults().get("metrics")
        if fault == "down":
            return web.Response(status=503, text="the lab's Prometheus is broken, as asked")
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="replace"), f"Bearer {token}".encode()):
            return web.Response(status=401, text="Unauthorized")
        try:
            answer: web.StreamResponse = await handler(request)
        except (QueryError, ValueError, KeyError) as error:
            problem = f"parameter {error} is missing" if isinstance(error, KeyError) else str(error)
            return web.json_response({"status": "error", "errorType": "bad_data", "error": problem}, status=400)
        return answer

    async def ready(request: web.Request) -> web.Response:
        return web.Response(text="Prometheus Server is Ready.\n")

    async def instant(request: web.Request) -> web.Response:
        found = await _parameters(request)
        at = float(found["time"]) if "time" in found else time.time()
        return web.json_response({"status": "success", "data": _instant(Query(found["query"], at, told()).result(), at)})

    async def over_range(request: web.Request) -> web.Response:
        found = await _parameters(request)
        start, end, step = float(found["start"]), float(found["end"]), float(found["step"].rstrip("s"))
        if step <= 0 or (end - start) / step > 11_000:
            raise QueryError("exceeded maximum resolution of 11,000 points per timeseries")
        series: dict[Any, list[list[Any]]] = {}
        at, data = start, told()
        while at <= end:
            value = Query(found["query"], at, data).result()
            for labels, number in (value if isinstance(value, dict) else {(): value}).items():
                series.setdefault(labels, []).append([at, _number(number)])
            at += step
        result = [{"metric": dict(labels), "values": values} for labels, values in series.items()]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    made = web.Application(middlewares=[guarded])
    made.router.add_get("/-/ready", ready)
    for path, handler in (("/api/v1/query", instant), ("/api/v1/query_range", over_range)):
        made.router.add_get(path, handler)
        made.router.add_post(path, handler)
    return made


async def _parameters(request: web.Request) -> dict[str, str]:
    found = {key: str(value) for key, value in request.query.items()}
    if request.method == "POST":
        found |= {key: str(value) for key, value in (await request.post()).items()}
    return found


def _instant(value: Value, at: float) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"resultType": "vector", "result": [{"metric": dict(labels), "value": [at, _number(number)]} for labels, number in value.items()]}
    return {"resultType": "scalar", "result": [at, _number(value)]}


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
